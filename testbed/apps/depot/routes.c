#include "depot.h"

#include <stdlib.h>
#include <string.h>

// user_of says whose request it is; false for one without a session.
static bool user_of(struct request *r, char *sid, char *user, size_t n)
{
	return http_cookie(r, "sid", sid, 32) && session_open(sid, user, n);
}

static bool get_item(struct request *r, struct buf *out)
{
	char sid[32], user[64], note[32];
	uint32_t id = (uint32_t)strtoul(r->path + 6, NULL, 10);
	bool known = user_of(r, sid, user, sizeof user);
	int cents = price_get(id);
	items_read_lock();
	const struct item *it = item_find(id);
	if (it)
		item_render(out, it, cents, true);
	items_unlock();
	if (it && known) {
		snprintf(note, sizeof note, "item %u", id);
		session_note(sid, note);
	}
	return http_answer(r, it ? 200 : 404, "application/json", out);
}

// json_string takes a member of a flat object.
static char *json_string(char *body, const char *name)
{
	char key[64];
	snprintf(key, sizeof key, "\"%s\"", name);
	char *p = strstr(body, key);
	if (!p)
		return NULL;
	p += strlen(key);
	p += strspn(p, " :");
	if (*p++ != '"')
		return NULL;
	char *out = p, *w = p;
	for (; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		*w++ = *p;
	}
	*w = 0;
	return out;
}

static bool post_item(struct request *r, struct buf *out)
{
	char *body = strndup(r->body, r->body_len);
	char *text = json_string(body, "text");
	bool ok = false;
	if (text) {
		ok = item_update((uint32_t)strtoul(r->path + 6, NULL, 10), NULL, text);
		cache_invalidate();
	}
	free(body);
	buf_str(out, ok ? "{\"ok\":true}" : "{\"ok\":false}");
	return http_answer(r, ok ? 200 : text ? 404 : 400, "application/json", out);
}

static bool get_search(struct request *r, struct buf *out)
{
	enum { MAX = 500, SHOWN = 20 };
	char query[128], sid[32], user[64];
	uint32_t found[MAX];
	if (!http_query(r, "q", query, sizeof query))
		return http_answer(r, 400, "text/plain", out);
	user_of(r, sid, user, sizeof user);
	if (cache_get(query, out))
		return http_answer(r, 200, "application/json", out);
	unsigned generation = cache_generation();
	items_read_lock();
	int n = search(query, found, MAX);
	buf_printf(out, "{\"hits\":%d,\"items\":[", n);
	for (int i = 0; i < n && i < SHOWN; i++) {
		const struct item *it = item_find(found[i]);
		if (!it)
			continue;
		if (i > 0)
			buf_str(out, ",");
		item_render(out, it, -1, false);
	}
	items_unlock();
	buf_str(out, "]}");
	cache_put(query, out->data, out->len, generation);
	return http_answer(r, 200, "application/json", out);
}

static bool get_shelf(struct request *r, struct buf *out)
{
	const struct item *page[SHELF_PAGE];
	char number[16] = "0", sid[32], user[64];
	http_query(r, "page", number, sizeof number);
	user_of(r, sid, user, sizeof user);
	items_read_lock();
	int n = shelf_page(atoi(r->path + 7), atoi(number), page, SHELF_PAGE);
	buf_str(out, "[");
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_str(out, ",\n");
		buf_str(out, "{\"item\":");
		item_render(out, page[i], -1, false);
		buf_printf(out, ",\"doc\":\"%u.txt\",\"revision\":%d}", page[i]->doc, doc_revision(page[i]->doc));
	}
	items_unlock();
	buf_str(out, "]");
	return http_answer(r, n > 0 ? 200 : 404, "application/json", out);
}

static bool get_export(struct request *r, struct buf *out)
{
	char shelf[16];
	if (!http_query(r, "shelf", shelf, sizeof shelf))
		return http_answer(r, 400, "text/plain", out);
	buf_str(out, "[");
	const struct item *it;
	for (int i = 0;; i++) {
		// Item by item, so that updates are not kept waiting.
		items_read_lock();
		it = shelf_nth(atoi(shelf), i);
		if (it) {
			if (i > 0)
				buf_str(out, ",\n");
			item_render(out, it, -1, true);
		}
		items_unlock();
		if (!it)
			break;
	}
	buf_str(out, "]");
	return http_answer(r, 200, "application/json", out);
}

static bool post_session(struct request *r, struct buf *out)
{
	char *body = strndup(r->body, r->body_len), sid[32];
	char *user = json_string(body, "user");
	if (user && *user && strlen(user) < 60) {
		session_create(user, sid, sizeof sid);
		buf_printf(out, "{\"sid\":\"%s\"}", sid);
	}
	free(body);
	return http_answer(r, out->len > 0 ? 201 : 400, "application/json", out);
}

static bool get_session(struct request *r, struct buf *out)
{
	char sid[32], user[64];
	bool known = user_of(r, sid, user, sizeof user);
	if (known) {
		buf_str(out, "{\"user\":");
		buf_json(out, user);
		buf_str(out, "}");
	}
	return http_answer(r, known ? 200 : 401, "application/json", out);
}

static bool get_doc(struct request *r, struct buf *out)
{
	(void)out;
	return doc_send(r, r->path + 5);
}

static bool get_stats(struct request *r, struct buf *out)
{
	stats_render(out);
	return http_answer(r, 200, "text/plain", out);
}

static bool post_setting(struct request *r, struct buf *out)
{
	char value[128];
	const char *name = r->path + strlen("/admin/set/");
	const char *wrong = http_query(r, "value", value, sizeof value) ? config_set(name, value) : "no value";
	if (wrong)
		buf_str(out, wrong);
	else
		log_error("%s is now %s", name, value);
	return http_answer(r, wrong ? 400 : 200, "text/plain", out);
}

static const struct {
	const char *method, *prefix;
	bool (*handle)(struct request *r, struct buf *out);
} routes[] = {
	{"GET", "/item/", get_item}, {"POST", "/item/", post_item}, {"GET", "/search", get_search},
	{"GET", "/shelf/", get_shelf}, {"GET", "/export", get_export}, {"GET", "/doc/", get_doc},
	{"POST", "/session", post_session}, {"GET", "/session", get_session}, {"GET", "/stats", get_stats},
	{"POST", "/admin/set/", post_setting},
};

bool route(struct request *r, struct buf *out)
{
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (strcmp(r->method, routes[i].method) == 0 && strncmp(r->path, routes[i].prefix, strlen(routes[i].prefix)) == 0)
			return routes[i].handle(r, out);
	return http_answer(r, 404, "text/plain", out);
}
