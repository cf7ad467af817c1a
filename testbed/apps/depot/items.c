#include "depot.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUCKETS = 16384 };

static struct item *buckets[BUCKETS];
static struct {
	struct item **items;
	int count, cap;
} shelves[SHELVES];
static size_t count;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

void items_read_lock(void) { pthread_rwlock_rdlock(&lock); }
void items_unlock(void) { pthread_rwlock_unlock(&lock); }

const struct item *item_find(uint32_t id)
{
	for (struct item *it = buckets[id % BUCKETS]; it; it = it->next)
		if (it->id == id)
			return it;
	return NULL;
}

static void shelf_add(struct item *it)
{
	int s = it->shelf;
	if (shelves[s].count == shelves[s].cap) {
		shelves[s].cap = shelves[s].cap ? 2 * shelves[s].cap : 64;
		shelves[s].items = realloc(shelves[s].items, shelves[s].cap * sizeof *shelves[s].items);
		if (!shelves[s].items)
			abort();
	}
	shelves[s].items[shelves[s].count++] = it;
}

int shelf_page(int shelf, int page, const struct item **out, int max)
{
	if (shelf < 0 || shelf >= SHELVES || page < 0)
		return 0;
	int from = page * SHELF_PAGE, n = 0;
	while (n < max && n < SHELF_PAGE && from + n < shelves[shelf].count) {
		out[n] = shelves[shelf].items[from + n];
		n++;
	}
	return n;
}

const struct item *shelf_nth(int shelf, int n)
{
	if (shelf < 0 || shelf >= SHELVES || n >= shelves[shelf].count)
		return NULL;
	return shelves[shelf].items[n];
}

bool item_update(uint32_t id, const char *name, const char *text)
{
	pthread_rwlock_wrlock(&lock);
	struct item *it = (struct item *)item_find(id);
	if (it) {
		index_remove(it);
		if (name) {
			free(it->name);
			it->name = strdup(name);
		}
		if (text) {
			free(it->text);
			it->text = strdup(text);
		}
		it->changed = (uint32_t)time(NULL);
		index_add(it);
	}
	pthread_rwlock_unlock(&lock);
	return it != NULL;
}

void item_render(struct buf *out, const struct item *it, int cents, bool full)
{
	buf_printf(out, "{\"id\":%u,\"shelf\":%u,\"name\":", it->id, it->shelf);
	buf_json(out, it->name);
	if (cents >= 0)
		buf_printf(out, ",\"price\":\"%d.%02d\"", cents / 100, cents % 100);
	if (full) {
		buf_str(out, ",\"text\":");
		buf_json(out, it->text);
		buf_printf(out, ",\"changed\":%u", it->changed);
	}
	buf_str(out, "}");
}

size_t items_count(void) { return count; }

// items_load reads id, shelf, document, name and text, with tabs between.
bool items_load(const char *file)
{
	FILE *f = fopen(file, "re");
	if (!f) {
		perror(file);
		return false;
	}
	char *line = NULL;
	size_t cap = 0;
	while (getline(&line, &cap, f) > 0) {
		line[strcspn(line, "\n")] = 0;
		char *rest = line, *id = strsep(&rest, "\t"), *shelf = strsep(&rest, "\t"), *doc = strsep(&rest, "\t"), *name = strsep(&rest, "\t");
		if (!rest)
			continue;
		struct item *it = calloc(1, sizeof *it);
		if (!it)
			abort();
		it->id = (uint32_t)strtoul(id, NULL, 10);
		it->shelf = (uint16_t)(atoi(shelf) % SHELVES);
		it->doc = (uint16_t)atoi(doc);
		it->name = strdup(name);
		it->text = strdup(rest);
		it->next = buckets[it->id % BUCKETS];
		buckets[it->id % BUCKETS] = it;
		shelf_add(it);
		index_add(it);
		count++;
	}
	free(line);
	fclose(f);
	return true;
}
