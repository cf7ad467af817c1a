"""The last snippets."""
from collections import Counter, OrderedDict, namedtuple

Snippet = namedtuple("Snippet", "language text page")
LAST = 500
snippets = OrderedDict()
count = 0


def keep(language, text, page):
    global count
    count += 1
    snippets[count] = Snippet(language, text, page)
    while len(snippets) > LAST:
        snippets.popitem(last=False)
    return count


def find(number):
    return snippets.get(number) or snippets.get(max(snippets, default=0) - number % LAST)


def languages():
    return Counter(s.language for s in snippets.values()).most_common(10)
