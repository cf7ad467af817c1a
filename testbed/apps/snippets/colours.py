"""How snippets look."""
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

formatter = HtmlFormatter(linenos=False)
lexers = {}


def lexer_of(language):
    if language not in lexers:
        lexers[language] = get_lexer_by_name(language)
    return lexers[language]


def paint(text, language):
    return highlight(text, lexer_of(language), formatter)
