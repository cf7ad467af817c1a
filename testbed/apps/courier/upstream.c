// Topics that match forward.topic go to another courier over a few links, each
// with up to a window of messages that are not confirmed yet.
#include "courier.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WINDOW = 32, MAX_LINKS = 16, MIN_BACKOFF = 50, MAX_BACKOFF = 5000, HEARTBEAT = 2000, ANSWER = 10000 };

enum state { DOWN, CONNECTING, UP };

struct link {
	struct watch watch;
	struct timer retry, heartbeat;
	enum state state;
	int number, backoff;
	struct buf in, out;
	struct message *sent[WINDOW];
	int first, unconfirmed;
	uint64_t confirmed, last_answer;
};

static struct link links[MAX_LINKS];
static struct message **queue;
static int queue_first, queue_len;

static void upstream_connect(struct link *l);
static void upstream_send(struct link *l);

// ---- the queue ----

static bool queue_push(struct message *m)
{
	if (queue_len >= config.forward_limit) {
		stats.forward_dropped++;
		return false;
	}
	queue[(queue_first + queue_len++) % 100000] = m;
	return true;
}

static void queue_push_front(struct message *m)
{
	if (queue_len >= 100000) {
		message_unref(m);
		return;
	}
	queue_first = (queue_first + 100000 - 1) % 100000;
	queue[queue_first] = m;
	queue_len++;
}

static struct message *queue_pop(void)
{
	if (queue_len == 0)
		return NULL;
	struct message *m = queue[queue_first];
	queue_first = (queue_first + 1) % 100000;
	queue_len--;
	return m;
}

// ---- a link ----

static void link_close(struct link *l)
{
	timer_cancel(&l->heartbeat);
	loop_remove(&l->watch);
	close(l->watch.fd);
	l->watch.fd = -1;
	buf_consume(&l->in, l->in.len);
	buf_consume(&l->out, l->out.len);
	while (l->unconfirmed > 0) { // they go out again, in their order
		l->unconfirmed--;
		queue_push_front(l->sent[(l->first + l->unconfirmed) % WINDOW]);
	}
	l->first = 0;
	l->state = DOWN;
}

// upstream_down closes a link and sees that there will be another.
static void upstream_down(struct link *l, const char *why)
{
	log_line(LOG_DEBUG, "link %d: %s", l->number, why);
	link_close(l);
	stats.upstream_failures++;
	if (l->backoff == 0) {
		l->backoff = MIN_BACKOFF;
		upstream_connect(l); // the first try is at once
		return;
	}
	timer_set(&l->retry, loop_now() + l->backoff);
	l->backoff *= 2;
	if (l->backoff > MAX_BACKOFF)
		l->backoff = MAX_BACKOFF;
}

static void upstream_up(struct link *l)
{
	int error = 0;
	socklen_t len = sizeof error;
	getsockopt(l->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		upstream_down(l, strerror(error));
		return;
	}
	l->state = UP;
	l->backoff = 0;
	l->last_answer = loop_now();
	timer_set(&l->heartbeat, loop_now() + HEARTBEAT);
	loop_change(&l->watch, EPOLLIN);
	buf_printf(&l->out, "PING\n\n");
	upstream_send(l);
}

static void confirm(struct link *l)
{
	if (l->unconfirmed == 0)
		return; // of a heartbeat
	message_unref(l->sent[l->first]);
	l->first = (l->first + 1) % WINDOW;
	l->unconfirmed--;
	l->confirmed++;
	stats.forwarded++;
}

static bool upstream_answers(struct link *l)
{
	char *eol;
	while (l->in.len > 0 && (eol = memchr(buf_begin(&l->in), '\n', l->in.len))) {
		char *line = buf_begin(&l->in);
		if (strncmp(line, "OK 0\n", 5) != 0) {
			if (strncmp(line, "OK", 2) != 0 && strncmp(line, "ERR", 3) != 0)
				return false;
			confirm(l);
		}
		buf_consume(&l->in, eol - line + 1);
	}
	l->last_answer = loop_now();
	return true;
}

static bool upstream_read(struct link *l)
{
	for (;;) {
		ssize_t n = recv(l->watch.fd, buf_room(&l->in, 4096), 4096, 0);
		if (n == 0)
			return false;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		l->in.len += n;
		if (!upstream_answers(l))
			return false;
		if (n < 4096)
			return true;
	}
}

static void encode(struct link *l, struct message *m)
{
	buf_printf(&l->out, "PUB %s %u\n", m->topic->name, m->body_len);
	buf_add(&l->out, m->data, m->block_len);
	if (m->block_len > 0 && m->data[m->block_len - 1] != '\n')
		buf_add(&l->out, "\n", 1);
	buf_add(&l->out, "\n", 1);
	buf_add(&l->out, m->data + m->block_len, m->body_len);
	l->sent[(l->first + l->unconfirmed++) % WINDOW] = m;
}

// upstream_send fills the window and writes what the kernel takes.
static void upstream_send(struct link *l)
{
	while (l->unconfirmed < WINDOW && queue_len > 0)
		encode(l, queue_pop());
	while (l->out.len > 0) {
		ssize_t n = send(l->watch.fd, buf_begin(&l->out), l->out.len, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN)
				loop_change(&l->watch, EPOLLIN | EPOLLOUT);
			else
				upstream_down(l, strerror(errno));
			return;
		}
		buf_consume(&l->out, n);
	}
	loop_change(&l->watch, EPOLLIN);
}

static void upstream_ready(struct watch *w, uint32_t events)
{
	struct link *l = (struct link *)w;
	if (l->state == CONNECTING) {
		upstream_up(l);
		return;
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
		if (!upstream_read(l)) {
			upstream_down(l, "closed by the upstream");
			return;
		}
	}
	upstream_send(l);
}

static void upstream_connect(struct link *l)
{
	stats.upstream_connects++;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		timer_set(&l->retry, loop_now() + MAX_BACKOFF);
		return;
	}
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(config.forward_port)};
	inet_pton(AF_INET, config.forward_host, &a.sin_addr);
	int r = connect(fd, (struct sockaddr *)&a, sizeof a);
	l->watch.fd = fd;
	l->watch.ready = upstream_ready;
	l->state = CONNECTING;
	loop_add(&l->watch, EPOLLOUT);
	if (r < 0 && errno != EINPROGRESS)
		upstream_down(l, strerror(errno));
}

static void retry(struct timer *t)
{
	upstream_connect((struct link *)((char *)t - offsetof(struct link, retry)));
}

static void heartbeat(struct timer *t)
{
	struct link *l = (struct link *)((char *)t - offsetof(struct link, heartbeat));
	if (loop_now() - l->last_answer > ANSWER) {
		upstream_down(l, "silent");
		return;
	}
	buf_printf(&l->out, "PING\n\n");
	timer_set(t, loop_now() + HEARTBEAT);
	upstream_send(l);
}

// ---- for the others ----

static struct link *pick(void)
{
	struct link *best = NULL;
	for (int i = 0; i < config.forward_links; i++)
		if (links[i].state == UP && links[i].unconfirmed < WINDOW && (!best || links[i].unconfirmed < best->unconfirmed))
			best = &links[i];
	return best;
}

bool upstream_wants(const struct topic *t)
{
	return config.forward_topic && config.forward_host && topic_matches(config.forward_topic, t->name);
}

bool upstream_forward(struct message *m)
{
	m->refs++;
	if (!queue_push(m)) {
		m->refs--;
		return false;
	}
	struct link *l = pick();
	if (l)
		upstream_send(l);
	return true;
}

void upstream_start(void)
{
	if (!config.forward_topic || !config.forward_host)
		return;
	queue = calloc(100000, sizeof *queue);
	for (int i = 0; i < config.forward_links; i++) {
		struct link *l = &links[i];
		l->number = i;
		l->watch.fd = -1;
		l->backoff = MIN_BACKOFF;
		l->retry.fire = retry;
		l->heartbeat.fire = heartbeat;
		upstream_connect(l);
	}
}

// upstream_reload moves the links to where the configuration now points.
void upstream_reload(void)
{
	if (!queue)
		return;
	for (int i = 0; i < config.forward_links; i++) {
		struct link *l = &links[i];
		if (l->state != DOWN)
			link_close(l);
		timer_cancel(&l->retry);
		l->backoff = MIN_BACKOFF;
		upstream_connect(l);
	}
}

void upstream_report(struct buf *out)
{
	static const char *states[] = {"down", "connecting", "up"};
	buf_printf(out, "queue %d\n", queue_len);
	for (int i = 0; queue && i < config.forward_links; i++)
		buf_printf(out, "link %d %s unconfirmed %d confirmed %llu backoff %d\n", i, states[links[i].state],
			links[i].unconfirmed, (unsigned long long)links[i].confirmed, links[i].backoff);
}
