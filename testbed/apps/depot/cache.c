// Answers of searches, the least recently used go first. An update of an item
// makes all of them stale.
#include "depot.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

struct entry {
	struct entry *next_in_bucket, *newer, *older;
	char *key, *data;
	size_t len;
	unsigned hash, generation;
};

static struct entry *buckets[BUCKETS], *newest, *oldest;
static int entries;
static unsigned generation;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned hash(const char *s)
{
	unsigned h = 2166136261u;
	while (*s)
		h = (h ^ (unsigned char)*s++) * 16777619u;
	return h;
}

static void use(struct entry *e)
{
	e->older = newest;
	e->newer = NULL;
	if (newest)
		newest->newer = e;
	newest = e;
	if (!oldest)
		oldest = e;
}

static void unuse(struct entry *e)
{
	if (e->newer)
		e->newer->older = e->older;
	else
		newest = e->older;
	if (e->older)
		e->older->newer = e->newer;
	else
		oldest = e->newer;
}

static struct entry *find(const char *key, unsigned h)
{
	for (struct entry *e = buckets[h % BUCKETS]; e; e = e->next_in_bucket)
		if (e->hash == h && strcmp(e->key, key) == 0)
			return e;
	return NULL;
}

static void drop(struct entry *e)
{
	struct entry **at = &buckets[e->hash % BUCKETS];
	while (*at != e)
		at = &(*at)->next_in_bucket;
	*at = e->next_in_bucket;
	unuse(e);
	entries--;
	free(e->key);
	free(e->data);
	free(e);
}

bool cache_get(const char *key, struct buf *out)
{
	unsigned h = hash(key);
	pthread_mutex_lock(&lock);
	struct entry *e = find(key, h);
	if (e && e->generation != generation) {
		drop(e);
		e = NULL;
	}
	if (e) {
		unuse(e);
		use(e);
		buf_add(out, e->data, e->len);
		stats.cache_hits++;
	} else {
		stats.cache_misses++;
	}
	pthread_mutex_unlock(&lock);
	return e != NULL;
}

unsigned cache_generation(void)
{
	pthread_mutex_lock(&lock);
	unsigned g = generation;
	pthread_mutex_unlock(&lock);
	return g;
}

void cache_put(const char *key, const char *data, size_t n, unsigned g)
{
	struct entry *e = calloc(1, sizeof *e);
	if (!e)
		abort();
	e->key = strdup(key);
	e->data = malloc(n);
	memcpy(e->data, data, n);
	e->len = n;
	e->hash = hash(key);
	e->generation = g;
	pthread_mutex_lock(&lock);
	struct entry *old = find(key, e->hash);
	if (old)
		drop(old);
	e->next_in_bucket = buckets[e->hash % BUCKETS];
	buckets[e->hash % BUCKETS] = e;
	use(e);
	entries++;
	while (entries > config.cache_entries)
		drop(oldest);
	pthread_mutex_unlock(&lock);
}

void cache_invalidate(void)
{
	pthread_mutex_lock(&lock);
	generation++;
	pthread_mutex_unlock(&lock);
}
