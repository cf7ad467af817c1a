// A frame is a command line, headers, an empty line and, for PUB, a body:
//
//	PUB orders.new 11
//	region: eu
//
//	hello world
#include "courier.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	enum command command;
	int min_args;
} commands[] = {
	{"PUB", CMD_PUB, 2}, {"GET", CMD_GET, 1}, {"PEEK", CMD_PEEK, 1}, {"SUB", CMD_SUB, 2},
	{"ACK", CMD_ACK, 1}, {"INFO", CMD_INFO, 1}, {"PING", CMD_PING, 0}, {"QUIT", CMD_QUIT, 0},
};

enum { MAX_BODY = 1 << 20, MAX_LINE = 1024 };

static void *arena_take(struct frame *f, size_t n)
{
	struct arena *a = f->arena;
	n = (n + 15) & ~(size_t)15;
	if (!a || a->used + n > a->size) {
		size_t size = a ? 2 * a->size : 1024;
		struct arena *more = malloc(sizeof *more);
		if (!more)
			abort();
		*more = (struct arena){.chunk = malloc(size), .size = size, .full = a};
		if (!more->chunk)
			abort();
		f->arena = a = more;
	}
	void *p = a->chunk + a->used;
	a->used += n;
	return p;
}

void frame_reset(struct frame *f)
{
	struct arena *a = f->arena;
	while (a && a->full) { // the first chunk stays
		struct arena *full = a->full;
		free(a->chunk);
		free(a);
		a = full;
	}
	if (a)
		a->used = 0;
	memset(f, 0, sizeof *f);
	f->arena = a;
	headers_init(&f->headers);
}

static bool valid_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("-_.", s[i]))
			return false;
	return len > 0;
}

static const char *frame_add_header(struct frame *f, char *line, size_t len)
{
	char *colon = memchr(line, ':', len);
	if (!colon || !valid_name(line, colon - line))
		return "bad header";
	char *value = colon + 1, *end = line + len;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	struct header *h = arena_take(f, sizeof *h);
	*h = (struct header){.name = line, .name_len = colon - line, .value = value, .value_len = end - value};
	return headers_add(&f->headers, h, config.max_header_bytes) ? NULL : "headers too large";
}

static const char *parse_headers(struct frame *f, char *p, char *end)
{
	f->block = p;
	f->block_len = end - p;
	while (p < end) {
		char *eol = memchr(p, '\n', end - p);
		if (!eol)
			eol = end;
		size_t len = eol - p;
		if (len > 0 && p[len - 1] == '\r')
			len--;
		if (len > MAX_LINE)
			return "header too long";
		const char *error = frame_add_header(f, p, len);
		if (error)
			return error;
		p = eol + 1;
	}
	return NULL;
}

static const char *parse_command(struct frame *f, char *line, size_t len)
{
	char *copy = arena_take(f, len + 1), *word;
	memcpy(copy, line, len);
	copy[len] = 0;
	copy[strcspn(copy, "\r")] = 0;
	char *name = strsep(&copy, " ");
	while (copy && f->nargs < 3 && (word = strsep(&copy, " ")))
		f->args[f->nargs++] = word;
	f->command = CMD_UNKNOWN;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(name, commands[i].name) == 0) {
			if (f->nargs < commands[i].min_args)
				return "missing argument";
			f->command = commands[i].command;
			return NULL;
		}
	return NULL;
}

// find_end looks for the empty line, from where the last look stopped.
static char *find_end(char *data, size_t len, size_t *scanned)
{
	size_t i = *scanned;
	while (i < len) {
		char *eol = memchr(data + i, '\n', len - i);
		if (!eol)
			break;
		size_t at = eol - data;
		if (at + 1 < len && data[at + 1] == '\n')
			return eol;
		if (at + 1 >= len) {
			*scanned = at;
			return NULL;
		}
		i = at + 1;
	}
	*scanned = len;
	return NULL;
}

// frame_parse takes one frame from the input; *used is its length.
enum parsed frame_parse(struct frame *f, struct buf *in, size_t *scanned, size_t *used)
{
	char *data = buf_begin(in), *end = find_end(data, in->len, scanned);
	if (!end)
		return in->len > (size_t)config.max_header_bytes + MAX_LINE ? PARSE_BAD : PARSE_MORE;
	char *eol = memchr(data, '\n', end - data + 1);
	size_t body_at = end + 2 - data;

	// The body must be there before anything is parsed twice.
	size_t body = 0;
	if (strncmp(data, "PUB ", 4) == 0) {
		char *space = memrchr(data, ' ', eol - data);
		body = strtoul(space, NULL, 10);
		if (body > MAX_BODY)
			return PARSE_BAD;
		if (in->len < body_at + body) {
			*scanned = end - data;
			return PARSE_MORE;
		}
	}
	frame_reset(f);
	f->error = parse_command(f, data, eol - data);
	if (!f->error && eol < end)
		f->error = parse_headers(f, eol + 1, end);
	f->body = data + body_at;
	f->body_len = body;
	*used = body_at + body;
	*scanned = 0;
	return PARSE_DONE;
}
