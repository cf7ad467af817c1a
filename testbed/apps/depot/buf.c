#include "depot.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { STEP = 16 * 1024 };

// buf_reserve makes room for n bytes more, in steps.
void buf_reserve(struct buf *b, size_t n)
{
	if (b->len + n <= b->cap)
		return;
	size_t cap = (b->len + n + STEP - 1) / STEP * STEP;
	char *data = malloc(cap);
	if (!data)
		abort();
	if (b->len > 0)
		memcpy(data, b->data, b->len);
	free(b->data);
	b->data = data;
	b->cap = cap;
}

void buf_add(struct buf *b, const void *data, size_t n)
{
	buf_reserve(b, n);
	memcpy(b->data + b->len, data, n);
	b->len += n;
}

void buf_str(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }

void buf_printf(struct buf *b, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	buf_add(b, text, n < (int)sizeof text ? n : (int)sizeof text - 1);
}

void buf_json(struct buf *b, const char *s)
{
	size_t n = strlen(s);
	buf_reserve(b, 6 * n + 2);
	char *p = b->data + b->len;
	*p++ = '"';
	for (size_t i = 0; i < n; i++) {
		unsigned char c = s[i];
		if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = c;
		} else if (c < 0x20) {
			p += sprintf(p, "\\u%04x", c);
		} else {
			*p++ = c;
		}
	}
	*p++ = '"';
	b->len = p - b->data;
}

// buf_release empties a worker's buffer after an answer; one that is larger
// than what workers may keep goes back to the system.
void buf_release(struct buf *b)
{
	b->len = 0;
	if (b->cap > (size_t)config.buffer_keep * 1024) {
		free(b->data);
		b->data = NULL;
		b->cap = 0;
	}
}
