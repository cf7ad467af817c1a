#include "courier.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void buf_free(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

static void buf_compact(struct buf *b)
{
	memmove(b->data, b->data + b->start, b->len);
	b->start = 0;
}

char *buf_room(struct buf *b, size_t n)
{
	if (b->start > 0 && b->start + b->len + n > b->cap)
		buf_compact(b);
	if (b->len + n > b->cap) {
		size_t cap = b->cap ? b->cap : 1024;
		while (cap < b->len + n)
			cap *= 2;
		b->data = realloc(b->data, cap);
		if (!b->data)
			abort();
		b->cap = cap;
	}
	return b->data + b->start + b->len;
}

void buf_add(struct buf *b, const void *data, size_t n)
{
	memcpy(buf_room(b, n), data, n);
	b->len += n;
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *room = buf_room(b, 256);
	int n = vsnprintf(room, 256, format, args);
	va_end(args);
	if (n >= 256) {
		room = buf_room(b, n + 1);
		va_start(args, format);
		vsnprintf(room, n + 1, format, args);
		va_end(args);
	}
	b->len += n;
}

void buf_consume(struct buf *b, size_t n)
{
	b->start += n;
	b->len -= n;
	if (b->len == 0) {
		b->start = 0;
		// One large message must not cost memory for ever.
		if (b->cap > 256 * 1024)
			buf_free(b);
	}
}
