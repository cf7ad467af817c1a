// depot is a catalogue behind HTTP: items on shelves, a search over their
// texts, documents, prices that another service knows, and the sessions of
// those who look at them. A listener hands connections with something to read
// to a pool of workers; others expire sessions, take snapshots and write logs.
#ifndef DEPOT_H
#define DEPOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

// ---- config.c ----

struct config {
	char *dir;
	int port, workers;
	int sndbuf;         // bytes the kernel may hold for a client
	int keep_alive;     // seconds
	int buffer_keep;    // KiB of response buffer a worker keeps
	int cache_entries;  // answers of searches
	int session_life;   // seconds
	int session_gc;     // percent of requests that also expire sessions
	int doc_revalidate; // seconds until a document is looked at again
	int snapshot;       // seconds between two snapshots
	char *price_host;
	int price_port, price_ttl;
};

extern struct config config;
bool config_load(const char *file);
const char *config_set(const char *name, const char *value); // NULL or what is wrong

// ---- buf.c: the text of an answer ----

struct buf {
	char *data;
	size_t len, cap;
};

void buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *data, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_json(struct buf *b, const char *s); // quoted
void buf_release(struct buf *b);

// ---- sock.c ----

int sock_listen(int port);
int sock_accept(int listener);
int sock_connect(const char *host, int port);
ssize_t sock_read(int fd, void *data, size_t n, int timeout_ms);
bool sock_write_all(int fd, const void *data, size_t n);

// ---- http.c ----

enum { MAX_HEAD = 16 * 1024, MAX_BODY = 1 << 20, MAX_HEADERS = 40 };

struct conn {
	struct conn *next, *prev; // among the idle
	int fd;
	char *in;
	size_t in_len, in_cap;
	time_t idle_since;
	uint64_t requests;
};

struct request {
	struct conn *conn;
	char *method, *path, *query;
	struct {
		char *name, *value;
	} headers[MAX_HEADERS];
	int nheaders;
	char *body;
	size_t body_len;
	bool keep_alive;
	int status;
	size_t sent;
};

enum http_read { HTTP_OK, HTTP_CLOSED, HTTP_BAD };
enum http_read http_read(struct conn *c, struct request *r, size_t *used);
const char *http_header(const struct request *r, const char *name);
bool http_query(const struct request *r, const char *name, char *value, size_t n);
bool http_cookie(const struct request *r, const char *name, char *value, size_t n);
bool http_answer(struct request *r, int status, const char *type, const struct buf *body);
bool http_begin(struct request *r, int status, const char *type, size_t length);

// ---- listener.c, worker.c ----

void listener_start(int port);
void listener_rearm(struct conn *c);
void conn_close(struct conn *c);
size_t listener_idle(void);

void workers_start(int n);
void workers_submit(struct conn *c);

// ---- routes.c ----

bool route(struct request *r, struct buf *out);

// ---- items.c ----

struct item {
	struct item *next;
	uint32_t id;
	uint16_t shelf;
	uint16_t doc;
	char *name, *text;
	uint32_t changed;
};

enum { SHELVES = 64, SHELF_PAGE = 100 };

bool items_load(const char *file);
void items_read_lock(void);
void items_unlock(void);
const struct item *item_find(uint32_t id); // under the lock
int shelf_page(int shelf, int page, const struct item **out, int max);
const struct item *shelf_nth(int shelf, int n);
bool item_update(uint32_t id, const char *name, const char *text);
void item_render(struct buf *out, const struct item *it, int cents, bool full);
size_t items_count(void);

// ---- search.c ----

void index_add(const struct item *it);
void index_remove(const struct item *it);
int search(char *query, uint32_t *found, int max);

// ---- cache.c: answers of searches ----

bool cache_get(const char *key, struct buf *out);
void cache_put(const char *key, const char *data, size_t n, unsigned generation);
unsigned cache_generation(void);
void cache_invalidate(void);

// ---- docs.c ----

enum { DOCS = 2048 };

bool docs_load(void);
bool doc_send(struct request *r, const char *name);
int doc_revision(int doc); // -1 when there is none

// ---- price.c ----

int price_get(uint32_t id); // cents, -1 when nobody knows

// ---- sessions.c ----

void sessions_load(const char *file);
bool session_open(const char *sid, char *user, size_t n);
void session_create(const char *user, char *sid, size_t n);
bool session_note(const char *sid, const char *note);
size_t sessions_count(void);
void sessions_start(void);
bool sessions_save(const char *file);

// ---- snapshot.c, log.c ----

void snapshot_start(void);
void log_start(void);
void log_access(const struct request *r, long micros);
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---- stats.c ----

struct stats {
	atomic_ulong accepted, closed, requests, errors, bytes_out;
	atomic_ulong cache_hits, cache_misses, price_hits, price_asked, price_failed;
	atomic_ulong sessions_created, sessions_expired, docs_checked, docs_changed, snapshots;
};

extern struct stats stats;
void stats_render(struct buf *out);

#endif
