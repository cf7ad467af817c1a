// An inverted index: for every word the items that have it in their name or
// text, in the order of their ids. Protected by the items' lock.
#include "depot.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096, MAX_WORD = 32 };

struct word {
	struct word *next;
	char *text;
	uint32_t *ids;
	int count, cap;
};

static struct word *buckets[BUCKETS];

static unsigned hash(const char *s)
{
	unsigned h = 5381;
	while (*s)
		h = h * 33 + (unsigned char)*s++;
	return h;
}

static struct word *word_find(const char *text, bool create)
{
	struct word **at = &buckets[hash(text) % BUCKETS];
	for (struct word *w = *at; w; w = w->next)
		if (strcmp(w->text, text) == 0)
			return w;
	if (!create)
		return NULL;
	struct word *w = calloc(1, sizeof *w);
	if (!w)
		abort();
	w->text = strdup(text);
	w->next = *at;
	*at = w;
	return w;
}

static int position(const struct word *w, uint32_t id)
{
	int low = 0, high = w->count;
	while (low < high) {
		int mid = (low + high) / 2;
		if (w->ids[mid] < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void word_add(struct word *w, uint32_t id)
{
	int at = position(w, id);
	if (at < w->count && w->ids[at] == id)
		return;
	if (w->count == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 4;
		w->ids = realloc(w->ids, w->cap * sizeof *w->ids);
		if (!w->ids)
			abort();
	}
	memmove(w->ids + at + 1, w->ids + at, (w->count - at) * sizeof *w->ids);
	w->ids[at] = id;
	w->count++;
}

static void word_drop(struct word *w, uint32_t id)
{
	int at = position(w, id);
	if (at == w->count || w->ids[at] != id)
		return;
	memmove(w->ids + at, w->ids + at + 1, (w->count - at - 1) * sizeof *w->ids);
	w->count--;
}

// next_word takes a word from the text, in lower case.
static bool next_word(const char **text, char *word)
{
	const char *p = *text;
	while (*p && !isalnum((unsigned char)*p))
		p++;
	int n = 0;
	for (; isalnum((unsigned char)*p); p++)
		if (n < MAX_WORD - 1)
			word[n++] = (char)tolower((unsigned char)*p);
	word[n] = 0;
	*text = p;
	return n > 0;
}

void index_add(const struct item *it)
{
	char word[MAX_WORD];
	for (const char *p = it->name; next_word(&p, word);)
		word_add(word_find(word, true), it->id);
	for (const char *p = it->text; next_word(&p, word);)
		word_add(word_find(word, true), it->id);
}

void index_remove(const struct item *it)
{
	char word[MAX_WORD];
	struct word *w;
	for (const char *p = it->name; next_word(&p, word);)
		if ((w = word_find(word, false)))
			word_drop(w, it->id);
	for (const char *p = it->text; next_word(&p, word);)
		if ((w = word_find(word, false)))
			word_drop(w, it->id);
}

// search finds the items that have all words, the rarest word first.
int search(char *query, uint32_t *found, int max)
{
	struct word *words[8];
	int n = 0;
	char text[MAX_WORD];
	for (const char *p = query; n < 8 && next_word(&p, text);) {
		struct word *w = word_find(text, false);
		if (!w)
			return 0;
		words[n++] = w;
	}
	if (n == 0)
		return 0;
	for (int i = 1; i < n; i++)
		if (words[i]->count < words[0]->count) {
			struct word *w = words[0];
			words[0] = words[i];
			words[i] = w;
		}
	int hits = 0;
	for (int i = 0; i < words[0]->count && hits < max; i++) {
		uint32_t id = words[0]->ids[i];
		bool all = true;
		for (int k = 1; k < n && all; k++) {
			int at = position(words[k], id);
			all = at < words[k]->count && words[k]->ids[at] == id;
		}
		if (all)
			found[hits++] = id;
	}
	return hits;
}
