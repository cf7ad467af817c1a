#include "courier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 16 * 1024, MAX_OUTPUT = 8 << 20 };

static struct watch listener;
static struct client *clients, *dirty;
static uint64_t last_client;

static void client_close(struct client *c)
{
	c->closing = true;
	unsubscribe_all(c);
	timer_cancel(&c->idle);
	loop_remove(&c->watch);
	close(c->watch.fd);
	if (c->prev)
		c->prev->next = c->next;
	else
		clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	for (struct client **at = &dirty; *at; at = &(*at)->next_dirty)
		if (*at == c) {
			*at = c->next_dirty;
			break;
		}
	buf_free(&c->in);
	buf_free(&c->out);
	frame_reset(&c->frame);
	if (c->frame.arena) {
		free(c->frame.arena->chunk);
		free(c->frame.arena);
	}
	free(c);
	stats.closed++;
}

bool client_behind(const struct client *c) { return c->out.len > 0; }

void client_flush_later(struct client *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	c->next_dirty = dirty;
	dirty = c;
}

// client_write sends what the kernel takes; false when the client is gone.
static bool client_write(struct client *c)
{
	while (c->out.len > 0) {
		ssize_t n = send(c->watch.fd, buf_begin(&c->out), c->out.len, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				return false;
			loop_change(&c->watch, EPOLLIN | EPOLLOUT);
			return c->out.len < MAX_OUTPUT;
		}
		stats.bytes_out += n;
		buf_consume(&c->out, n);
	}
	loop_change(&c->watch, EPOLLIN);
	return !c->closing;
}

static void flush_clients(void)
{
	while (dirty) {
		struct client *c = dirty;
		dirty = c->next_dirty;
		c->dirty = false;
		if (c->watch.interest & EPOLLOUT)
			continue; // it will say when it can take more
		if (!client_write(c))
			client_close(c);
	}
}

static void reply_error(struct client *c, const char *why)
{
	buf_printf(&c->out, "ERR %s\n", why);
	stats.errors++;
}

static void do_publish(struct client *c, struct frame *f)
{
	struct topic *t = topic_find(f->args[0], true);
	if (upstream_wants(t)) {
		// Forwarded topics are not kept here once they are on their way.
		struct message *m = topic_publish(t, f);
		journal_append(m);
		bool queued = upstream_forward(m);
		if (t->last == m && t->first == m)
			message_unref(topic_take(t));
		if (!queued) {
			reply_error(c, "busy");
			return;
		}
		buf_printf(&c->out, "OK %llu\n", (unsigned long long)t->retained->id);
		return;
	}
	struct message *m = topic_publish(t, f);
	buf_printf(&c->out, "OK %llu\n", (unsigned long long)m->id);
	journal_append(m);
	topic_deliver(t);
}

static void do_get(struct client *c, struct frame *f)
{
	struct topic *t = topic_find(f->args[0], false);
	if (!t) {
		reply_error(c, "no such topic");
		return;
	}
	if (f->command == CMD_PEEK) {
		if (t->retained)
			message_write(&c->out, t->retained);
		else
			buf_printf(&c->out, "NONE\n");
		return;
	}
	struct message *m = topic_take(t);
	if (!m) {
		buf_printf(&c->out, "NONE\n");
		return;
	}
	message_write(&c->out, m);
	message_unref(m);
}

static void do_subscribe(struct client *c, struct frame *f)
{
	int window = atoi(f->args[1]);
	if (window < 1 || window > 1000) {
		reply_error(c, "bad window");
		return;
	}
	struct topic *t = topic_find(f->args[0], true);
	if (!subscribe(c, t, window, headers_find(&f->headers, "filter"))) {
		reply_error(c, "bad filter");
		return;
	}
	buf_printf(&c->out, "OK 0\n");
	topic_deliver(t);
}

static void do_info(struct client *c, struct frame *f)
{
	struct topic *t = topic_find(f->args[0], false);
	if (!t) {
		reply_error(c, "no such topic");
		return;
	}
	buf_printf(&c->out, "OK queued=%d published=%llu delivered=%llu expired=%llu dropped=%llu\n", t->queued,
		(unsigned long long)t->published, (unsigned long long)t->delivered, (unsigned long long)t->expired,
		(unsigned long long)t->dropped);
}

static void execute(struct client *c, struct frame *f)
{
	c->requests++;
	stats.requests++;
	stats.by_command[f->command]++;
	if (f->error) {
		reply_error(c, f->error);
		return;
	}
	switch (f->command) {
	case CMD_PUB:
		do_publish(c, f);
		break;
	case CMD_GET:
	case CMD_PEEK:
		do_get(c, f);
		break;
	case CMD_SUB:
		do_subscribe(c, f);
		break;
	case CMD_ACK: // is not answered
		if (!acknowledge(c, strtoull(f->args[0], NULL, 10)))
			log_line(LOG_DEBUG, "client %llu acknowledges what it does not hold", (unsigned long long)c->id);
		break;
	case CMD_INFO:
		do_info(c, f);
		break;
	case CMD_PING:
		buf_printf(&c->out, "OK 0\n");
		break;
	case CMD_QUIT:
		c->closing = true;
		break;
	default:
		reply_error(c, "unknown command");
	}
}

// client_input runs the frames that are complete.
static bool client_input(struct client *c)
{
	while (c->in.len > 0 && !c->closing) {
		size_t used = 0;
		switch (frame_parse(&c->frame, &c->in, &c->scanned, &used)) {
		case PARSE_MORE:
			return true;
		case PARSE_BAD:
			reply_error(c, "bad frame");
			c->closing = true;
			return true;
		case PARSE_DONE:
			execute(c, &c->frame);
			buf_consume(&c->in, used);
		}
	}
	return true;
}

static bool client_read(struct client *c)
{
	for (int i = 0; i < 4; i++) { // then the others
		char *room = buf_room(&c->in, READ_SIZE);
		ssize_t n = recv(c->watch.fd, room, READ_SIZE, 0);
		if (n == 0)
			return false;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->in.len += n;
		stats.bytes_in += n;
		if (!client_input(c))
			return false;
		if (n < READ_SIZE)
			return true;
	}
	return true;
}

static void client_ready(struct watch *w, uint32_t events)
{
	struct client *c = (struct client *)((char *)w - offsetof(struct client, watch));
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		if (!client_read(c)) {
			client_close(c);
			return;
		}
	}
	if ((events & EPOLLOUT) || c->out.len > 0) {
		if (!client_write(c))
			client_close(c);
	}
}

static void client_idle(struct timer *t)
{
	struct client *c = (struct client *)((char *)t - offsetof(struct client, idle));
	if (c->requests == 0) {
		log_line(LOG_INFO, "client %llu said nothing", (unsigned long long)c->id);
		client_close(c);
		return;
	}
	c->requests = 0;
	timer_set(t, loop_now() + (uint64_t)config.idle_timeout * 1000);
}

static void accept_clients(struct watch *w, uint32_t events)
{
	(void)events;
	int fd;
	while ((fd = socket_accept(w->fd)) >= 0) {
		struct client *c = calloc(1, sizeof *c);
		if (!c)
			abort();
		c->id = ++last_client;
		c->watch.fd = fd;
		c->watch.ready = client_ready;
		c->idle.fire = client_idle;
		c->next = clients;
		if (clients)
			clients->prev = c;
		clients = c;
		frame_reset(&c->frame);
		loop_add(&c->watch, EPOLLIN);
		timer_set(&c->idle, loop_now() + (uint64_t)config.idle_timeout * 1000);
		stats.accepted++;
		log_line(LOG_DEBUG, "client %llu is here", (unsigned long long)c->id);
	}
}

void clients_listen(int port)
{
	listener.fd = socket_listen(port);
	listener.ready = accept_clients;
	loop_add(&listener, EPOLLIN);
	loop_later(flush_clients);
}

void clients_each(void (*visit)(struct client *c, void *arg), void *arg)
{
	for (struct client *c = clients; c; c = c->next)
		visit(c, arg);
}
