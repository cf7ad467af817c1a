#include "courier.h"

#include <string.h>
#include <strings.h>

void headers_init(struct headers *hs)
{
	hs->first = NULL;
	hs->end = &hs->first;
	hs->count = 0;
}

size_t headers_bytes(const struct headers *hs)
{
	size_t n = 0;
	for (const struct header *h = hs->first; h; h = h->next)
		n += h->name_len + h->value_len + 4;
	return n;
}

bool headers_add(struct headers *hs, struct header *h, size_t limit)
{
	if (headers_bytes(hs) + h->name_len + h->value_len + 4 > limit)
		return false;
	h->next = NULL;
	*hs->end = h;
	hs->end = &h->next;
	hs->count++;
	return true;
}

const struct header *headers_find(const struct headers *hs, const char *name)
{
	size_t len = strlen(name);
	for (const struct header *h = hs->first; h; h = h->next)
		if (h->name_len == len && strncasecmp(h->name, name, len) == 0)
			return h;
	return NULL;
}
