// courier relays messages between programs: publishers put messages on topics,
// consumers take them or subscribe to them, and some topics are forwarded to
// another courier. One thread runs an event loop; two helpers sync the journal
// and write the log.
#ifndef COURIER_H
#define COURIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// ---- buf.c: a queue of bytes ----

struct buf {
	char *data;
	size_t start, len, cap;
};

void buf_free(struct buf *b);
char *buf_room(struct buf *b, size_t n); // n bytes to write at the end
void buf_add(struct buf *b, const void *data, size_t n);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t n);
static inline char *buf_begin(const struct buf *b) { return b->data + b->start; }

// ---- timer.c: deadlines in a heap ----

struct timer {
	uint64_t due; // milliseconds of loop_now
	size_t slot;  // place in the heap + 1, 0 when it is not in it
	size_t firing;
	void (*fire)(struct timer *t);
};

void timer_set(struct timer *t, uint64_t due);
void timer_cancel(struct timer *t);
void timers_run(uint64_t now);
int timers_wait(uint64_t now); // milliseconds until the next one, -1 for none
size_t timers_count(void);

// ---- loop.c ----

struct watch {
	int fd;
	uint32_t interest;
	void (*ready)(struct watch *w, uint32_t events);
};

void loop_init(void);
void loop_add(struct watch *w, uint32_t events);
void loop_change(struct watch *w, uint32_t events);
void loop_remove(struct watch *w);
void loop_later(void (*work)(void)); // at the end of every turn
void loop_run(void);
void loop_stop(void);
uint64_t loop_now(void); // milliseconds, as of this turn
uint64_t clock_ms(void);

// ---- config.c ----

struct config {
	char *dir;
	int port, admin_port;
	int sndbuf;              // bytes the kernel may hold for a client
	int lease;               // milliseconds for an acknowledgement
	int retention;           // seconds a message is kept
	int topic_limit;         // messages of a topic
	int max_header_bytes;    // all headers of a message
	int idle_timeout;        // seconds
	bool journal_sync_always; // otherwise once a second
	int journal_rotate;      // MiB
	int log_level;
	int forward_limit; // messages that wait for the upstream
	int forward_links;
	char *forward_topic; // pattern
	char *forward_host;
	int forward_port;
};

extern struct config config;

bool config_load(const char *file, bool again);
const char *config_set(const char *name, const char *value); // NULL or what is wrong
bool config_get(const char *name, struct buf *out);

// ---- log.c ----

enum { LOG_DEBUG, LOG_INFO, LOG_WARN };
void log_start(const char *file);
void log_stop(void);
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---- header.c ----

struct header {
	struct header *next;
	const char *name, *value;
	uint32_t name_len, value_len;
};

struct headers {
	struct header *first, **end;
	size_t count;
};

void headers_init(struct headers *hs);
size_t headers_bytes(const struct headers *hs); // with separators
bool headers_add(struct headers *hs, struct header *h, size_t limit);
const struct header *headers_find(const struct headers *hs, const char *name);

// ---- frame.c: the protocol ----

enum command { CMD_PUB, CMD_GET, CMD_PEEK, CMD_SUB, CMD_ACK, CMD_INFO, CMD_PING, CMD_QUIT, CMD_UNKNOWN };

// A frame points into the buffer it was parsed from.
struct frame {
	enum command command;
	char *args[3];
	int nargs;
	struct headers headers;
	const char *block; // the headers as they came
	size_t block_len;
	const char *body;
	size_t body_len;
	const char *error;
	struct arena *arena;
};

struct arena {
	char *chunk;
	size_t used, size;
	struct arena *full;
};

enum parsed { PARSE_MORE, PARSE_DONE, PARSE_BAD };
enum parsed frame_parse(struct frame *f, struct buf *in, size_t *scanned, size_t *used);
void frame_reset(struct frame *f);

// ---- client.c ----

struct topic;
struct subscription;

struct client {
	struct client *next, *prev;
	struct watch watch;
	struct buf in, out;
	struct frame frame;
	size_t scanned;
	struct timer idle;
	struct subscription *subscriptions;
	uint64_t id, requests;
	bool closing, dirty;
	struct client *next_dirty;
};

void clients_listen(int port);
void clients_each(void (*visit)(struct client *c, void *arg), void *arg);
void client_flush_later(struct client *c);
bool client_behind(const struct client *c); // has output that has not left

// ---- topic.c ----

struct message {
	struct message *next;
	int refs;
	uint64_t id, when;
	struct topic *topic;
	uint32_t block_len, body_len;
	uint32_t attempts;
	char data[]; // headers, body
};

struct topic {
	struct topic *next_in_bucket;
	char *name;
	uint32_t hash;
	struct message *first, *last, *retained;
	int queued;
	struct subscription *subscriptions;
	uint64_t published, delivered, expired, dropped, bytes;
};

struct topic *topic_find(const char *name, bool create);
void topics_each(void (*visit)(struct topic *t, void *arg), void *arg);
struct message *topic_publish(struct topic *t, const struct frame *f);
struct message *topic_take(struct topic *t);
void message_unref(struct message *m);
void message_write(struct buf *out, const struct message *m);
void topics_init(void);
bool topic_matches(const char *pattern, const char *name);

// ---- subscribe.c ----

bool subscribe(struct client *c, struct topic *t, int window, const struct header *filter);
void unsubscribe_all(struct client *c);
bool acknowledge(struct client *c, uint64_t id);
void topic_deliver(struct topic *t);

// ---- journal.c ----

void journal_start(void);
void journal_stop(void);
void journal_append(const struct message *m);
void journal_rotate(void);

// ---- upstream.c ----

void upstream_start(void);
bool upstream_wants(const struct topic *t);
bool upstream_forward(struct message *m);
void upstream_report(struct buf *out);
void upstream_reload(void);

// ---- admin.c ----

void admin_listen(int port);

// ---- stats.c ----

struct stats {
	uint64_t accepted, closed, requests, errors, published, delivered, redelivered, acked, expired;
	uint64_t bytes_in, bytes_out, turns, journal_bytes, journal_syncs;
	uint64_t forwarded, forward_dropped, upstream_connects, upstream_failures;
	uint64_t by_command[CMD_UNKNOWN + 1];
};

extern struct stats stats;
void stats_start(void);
void stats_write(struct buf *out);

// ---- socket.c ----

int socket_listen(int port);
int socket_accept(int listener);

#endif
