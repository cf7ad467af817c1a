#include "depot.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { READ_SIZE = 4096, PATIENCE = 10000 };

static bool more(struct conn *c)
{
	if (c->in_len + READ_SIZE > c->in_cap) {
		c->in_cap = c->in_cap ? 2 * c->in_cap : 2 * READ_SIZE;
		c->in = realloc(c->in, c->in_cap);
		if (!c->in)
			abort();
	}
	ssize_t n = sock_read(c->fd, c->in + c->in_len, READ_SIZE, PATIENCE);
	if (n <= 0)
		return false;
	c->in_len += n;
	return true;
}

static bool parse_line(struct request *r, char *line)
{
	r->method = strsep(&line, " ");
	r->path = strsep(&line, " ");
	if (!line || strncmp(line, "HTTP/1.", 7) != 0)
		return false;
	r->keep_alive = line[7] == '1';
	r->query = strchr(r->path, '?');
	if (r->query)
		*r->query++ = 0;
	return r->path[0] == '/';
}

static bool parse_head(struct request *r, char *head)
{
	char *line = strsep(&head, "\n");
	line[strcspn(line, "\r")] = 0;
	if (!parse_line(r, line))
		return false;
	while ((line = strsep(&head, "\n"))) {
		line[strcspn(line, "\r")] = 0;
		if (!*line)
			break;
		char *value = strchr(line, ':');
		if (!value || r->nheaders == MAX_HEADERS)
			return false;
		*value++ = 0;
		r->headers[r->nheaders].name = line;
		r->headers[r->nheaders++].value = value + strspn(value, " \t");
	}
	const char *connection = http_header(r, "Connection");
	if (connection)
		r->keep_alive = strcasecmp(connection, "close") != 0;
	return true;
}

// http_read reads one request. Its strings are in the connection's buffer.
enum http_read http_read(struct conn *c, struct request *r, size_t *used)
{
	memset(r, 0, sizeof *r);
	r->conn = c;
	char *end = NULL;
	for (size_t from = 0;;) {
		if (c->in_len > 0 && (end = memmem(c->in + from, c->in_len - from, "\r\n\r\n", 4)))
			break;
		if (c->in_len > MAX_HEAD)
			return HTTP_BAD;
		from = c->in_len > 3 ? c->in_len - 3 : 0;
		if (!more(c))
			return HTTP_CLOSED;
	}
	size_t head = end + 4 - c->in;
	// The body may move the buffer: it is read before anything points there.
	size_t body = 0;
	end[2] = 0;
	char *length = strcasestr(c->in, "\r\ncontent-length:");
	end[2] = '\r';
	if (length) {
		body = strtoul(length + 17, NULL, 10);
		if (body > MAX_BODY)
			return HTTP_BAD;
	}
	while (c->in_len < head + body)
		if (!more(c))
			return HTTP_CLOSED;
	c->in[head - 1] = 0;
	if (!parse_head(r, c->in))
		return HTTP_BAD;
	r->body = c->in + head;
	r->body_len = body;
	*used = head + body;
	return HTTP_OK;
}

const char *http_header(const struct request *r, const char *name)
{
	for (int i = 0; i < r->nheaders; i++)
		if (strcasecmp(r->headers[i].name, name) == 0)
			return r->headers[i].value;
	return NULL;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(char *out, size_t n, const char *p, const char *end)
{
	while (p < end && n > 1) {
		if (*p == '%' && end - p > 2 && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
			*out++ = (char)(hex(p[1]) * 16 + hex(p[2]));
			p += 3;
		} else {
			*out++ = *p == '+' ? ' ' : *p;
			p++;
		}
		n--;
	}
	*out = 0;
}

bool http_query(const struct request *r, const char *name, char *value, size_t n)
{
	size_t len = strlen(name);
	for (const char *p = r->query; p && *p;) {
		const char *end = strchrnul(p, '&');
		if (strncmp(p, name, len) == 0 && p[len] == '=') {
			unescape(value, n, p + len + 1, end);
			return true;
		}
		p = *end ? end + 1 : end;
	}
	return false;
}

bool http_cookie(const struct request *r, const char *name, char *value, size_t n)
{
	const char *p = http_header(r, "Cookie");
	size_t len = strlen(name);
	while (p && *p) {
		p += strspn(p, "; ");
		size_t pair = strcspn(p, ";");
		if (pair > len && strncmp(p, name, len) == 0 && p[len] == '=') {
			snprintf(value, n, "%.*s", (int)(pair - len - 1), p + len + 1);
			return true;
		}
		p += pair;
	}
	return false;
}

static const char *reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 201: return "Created";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 503: return "Service Unavailable";
	}
	return "Error";
}

static int head(struct request *r, char *out, size_t n, int status, const char *type, size_t length)
{
	r->status = status;
	if (status >= 400)
		stats.errors++;
	return snprintf(out, n, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n", status,
		reason(status), type, length, r->keep_alive ? "keep-alive" : "close");
}

// http_begin sends the head of an answer whose body follows.
bool http_begin(struct request *r, int status, const char *type, size_t length)
{
	char text[512];
	int n = head(r, text, sizeof text, status, type, length);
	r->sent += length;
	stats.bytes_out += n + length;
	return sock_write_all(r->conn->fd, text, n);
}

bool http_answer(struct request *r, int status, const char *type, const struct buf *body)
{
	char text[1024];
	int n = head(r, text, 512, status, type, body->len);
	r->sent += body->len;
	stats.bytes_out += n + body->len;
	if (body->len > sizeof text - n)
		return sock_write_all(r->conn->fd, text, n) && sock_write_all(r->conn->fd, body->data, body->len);
	if (body->len > 0)
		memcpy(text + n, body->data, body->len); // one packet
	return sock_write_all(r->conn->fd, text, n + body->len);
}
