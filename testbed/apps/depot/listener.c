// The listener accepts connections and watches those that are idle. As soon
// as one has something to read, it goes to the workers.
#include "depot.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int epoll_fd, listen_fd;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct conn *idle;
static size_t nidle;

static void idle_link(struct conn *c)
{
	pthread_mutex_lock(&lock);
	c->idle_since = time(NULL);
	c->prev = NULL;
	c->next = idle;
	if (idle)
		idle->prev = c;
	idle = c;
	nidle++;
	pthread_mutex_unlock(&lock);
}

static void unlink_locked(struct conn *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		idle = c->next;
	if (c->next)
		c->next->prev = c->prev;
	nidle--;
}

static void idle_unlink(struct conn *c)
{
	pthread_mutex_lock(&lock);
	unlink_locked(c);
	pthread_mutex_unlock(&lock);
}

void conn_close(struct conn *c)
{
	close(c->fd);
	free(c->in);
	free(c);
	stats.closed++;
}

static void accept_all(void)
{
	int fd;
	while ((fd = sock_accept(listen_fd)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);
		if (!c)
			abort();
		c->fd = fd;
		stats.accepted++;
		idle_link(c);
		struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = c};
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
	}
}

// listener_rearm watches a connection again.
void listener_rearm(struct conn *c)
{
	idle_link(c);
	struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = c};
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

// close_idle ends connections that were kept alive for too long. Only the
// listener takes connections out of the list of the idle.
static void close_idle(void)
{
	time_t oldest = time(NULL) - config.keep_alive;
	pthread_mutex_lock(&lock);
	for (struct conn *c = idle, *next; c; c = next) {
		next = c->next;
		if (c->idle_since < oldest) {
			unlink_locked(c);
			conn_close(c);
		}
	}
	pthread_mutex_unlock(&lock);
}

size_t listener_idle(void)
{
	pthread_mutex_lock(&lock);
	size_t n = nidle;
	pthread_mutex_unlock(&lock);
	return n;
}

static void *listener_run(void *arg)
{
	(void)arg;
	struct epoll_event events[64];
	time_t swept = time(NULL);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, 64, 1000);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (!c) {
				accept_all();
				continue;
			}
			idle_unlink(c);
			workers_submit(c);
		}
		if (time(NULL) != swept) {
			close_idle();
			swept = time(NULL);
		}
	}
	return NULL;
}

void listener_start(int port)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	listen_fd = sock_listen(port);
	struct epoll_event e = {.events = EPOLLIN};
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &e);
	pthread_t t;
	if (pthread_create(&t, NULL, listener_run, NULL) != 0)
		abort();
	pthread_setname_np(t, "listener");
}
