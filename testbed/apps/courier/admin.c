// The admin port: one command per line, the answer ends with a dot.
#include "courier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct session {
	struct watch watch;
	struct buf in, out;
};

static struct watch listener;
extern const char *config_file;

static void list_topic(struct topic *t, void *arg)
{
	buf_printf(arg, "%s queued %d published %llu bytes %llu\n", t->name, t->queued, (unsigned long long)t->published,
		(unsigned long long)t->bytes);
}

static void list_client(struct client *c, void *arg)
{
	buf_printf(arg, "%llu requests %llu in %zu out %zu%s\n", (unsigned long long)c->id, (unsigned long long)c->requests,
		c->in.len, c->out.len, c->subscriptions ? " subscribed" : "");
}

static void admin_run(struct session *s, char *line)
{
	char *rest = line, *word = strsep(&rest, " ");
	if (strcmp(word, "stats") == 0) {
		stats_write(&s->out);
	} else if (strcmp(word, "topics") == 0) {
		topics_each(list_topic, &s->out);
	} else if (strcmp(word, "clients") == 0) {
		clients_each(list_client, &s->out);
	} else if (strcmp(word, "links") == 0) {
		upstream_report(&s->out);
	} else if (strcmp(word, "rotate") == 0) {
		journal_rotate();
	} else if (strcmp(word, "reload") == 0) {
		if (!config_load(config_file, true))
			buf_printf(&s->out, "error: see the log\n");
		upstream_reload();
	} else if (strcmp(word, "get") == 0 && rest) {
		if (!config_get(rest, &s->out))
			buf_printf(&s->out, "error: no such setting\n");
	} else if (strcmp(word, "set") == 0 && rest) {
		char *name = strsep(&rest, " ");
		const char *wrong = rest ? config_set(name, rest) : "no value";
		if (wrong)
			buf_printf(&s->out, "error: %s\n", wrong);
	} else {
		buf_printf(&s->out, "error: stats, topics, clients, links, rotate, reload, get, set\n");
	}
	buf_printf(&s->out, ".\n");
}

static void admin_close(struct session *s)
{
	loop_remove(&s->watch);
	close(s->watch.fd);
	buf_free(&s->in);
	buf_free(&s->out);
	free(s);
}

static void admin_ready(struct watch *w, uint32_t events)
{
	struct session *s = (struct session *)w;
	if (events & ~EPOLLOUT) {
		ssize_t n = recv(w->fd, buf_room(&s->in, 1024), 1024, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN) || s->in.len > 4096) {
			admin_close(s);
			return;
		}
		if (n > 0)
			s->in.len += n;
		char *eol;
		while (s->in.len > 0 && (eol = memchr(buf_begin(&s->in), '\n', s->in.len))) {
			char *line = buf_begin(&s->in);
			*eol = 0;
			line[strcspn(line, "\r")] = 0;
			admin_run(s, line);
			buf_consume(&s->in, eol - line + 1);
		}
	}
	if (s->out.len > 0) {
		ssize_t n = send(w->fd, buf_begin(&s->out), s->out.len, MSG_NOSIGNAL);
		if (n > 0)
			buf_consume(&s->out, n);
	}
	loop_change(w, s->out.len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void admin_accept(struct watch *w, uint32_t events)
{
	(void)events;
	int fd = socket_accept(w->fd);
	if (fd < 0)
		return;
	struct session *s = calloc(1, sizeof *s);
	if (!s)
		abort();
	s->watch.fd = fd;
	s->watch.ready = admin_ready;
	loop_add(&s->watch, EPOLLIN);
}

void admin_listen(int port)
{
	listener.fd = socket_listen(port);
	listener.ready = admin_accept;
	loop_add(&listener, EPOLLIN);
}
