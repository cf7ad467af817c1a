#include "clerk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
	int fd;
	size_t used;
	char line[LINE];
};

static int queue, listener;

static void await(struct conn *c, int op)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = c};
	epoll_ctl(queue, op, c->fd, &ev);
}

// accept_all takes every connection that has come: the last accept fails with
// EAGAIN, as it should.
static void accept_all(struct conn *l)
{
	for (;;) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 && errno == EAGAIN)
			break;
		if (fd < 0)
			continue;
		struct conn *c = calloc(1, sizeof *c);
		c->fd = fd;
		await(c, EPOLL_CTL_ADD);
	}
	await(l, EPOLL_CTL_MOD);
}

static bool send_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		data += sent;
		n -= sent;
	}
	return true;
}

static void handle(struct conn *c, char *reply)
{
	ssize_t n = recv(c->fd, c->line + c->used, LINE - 1 - c->used, 0);
	if (n <= 0) {
		close(c->fd);
		free(c);
		return;
	}
	c->used += n;
	c->line[c->used] = 0;
	if (c->line[c->used - 1] == '\n' || c->used == LINE - 1) {
		size_t size = answer(c->line, reply);
		c->used = 0;
		send_all(c->fd, reply, size); // one that is gone is seen at the next recv
	}
	await(c, EPOLL_CTL_MOD);
}

static void *work(void *unused)
{
	(void)unused;
	char *reply = malloc(REPLY);
	for (;;) {
		struct epoll_event ev;
		if (epoll_wait(queue, &ev, 1, -1) != 1)
			continue;
		struct conn *c = ev.data.ptr;
		if (c->fd == listener)
			accept_all(c);
		else
			handle(c, reply);
	}
	return NULL;
}

void serve(void)
{
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(settings.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(listener, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(listener, 128) != 0) {
		perror("listen");
		exit(1);
	}
	queue = epoll_create1(EPOLL_CLOEXEC);
	struct conn *l = calloc(1, sizeof *l);
	l->fd = listener;
	await(l, EPOLL_CTL_ADD);
	for (int i = 1; i < settings.workers; i++) {
		pthread_t t;
		pthread_create(&t, NULL, work, NULL);
	}
	work(NULL);
}
