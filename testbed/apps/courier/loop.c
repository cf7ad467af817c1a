#include "courier.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int epoll_fd = -1;
static volatile bool stopping;
static uint64_t now_ms;
static void (*later[8])(void);
static int nlater;

// Watches that were removed while their events are still in hand.
static struct epoll_event events[128];
static int nevents;

uint64_t clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t loop_now(void) { return now_ms; }

void loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0) {
		perror("epoll_create1");
		exit(1);
	}
	now_ms = clock_ms();
}

void loop_add(struct watch *w, uint32_t interest)
{
	struct epoll_event e = {.events = interest, .data.ptr = w};
	w->interest = interest;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->fd, &e) < 0)
		log_line(LOG_WARN, "epoll_ctl add %d: errno %d", w->fd, errno);
}

void loop_change(struct watch *w, uint32_t interest)
{
	if (w->interest == interest)
		return;
	struct epoll_event e = {.events = interest, .data.ptr = w};
	w->interest = interest;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, w->fd, &e) < 0)
		log_line(LOG_WARN, "epoll_ctl mod %d: errno %d", w->fd, errno);
}

void loop_remove(struct watch *w)
{
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	for (int i = 0; i < nevents; i++)
		if (events[i].data.ptr == w)
			events[i].data.ptr = NULL;
}

void loop_later(void (*work)(void)) { later[nlater++] = work; }

void loop_stop(void) { stopping = true; }

void loop_run(void)
{
	while (!stopping) {
		nevents = epoll_wait(epoll_fd, events, 128, timers_wait(now_ms));
		now_ms = clock_ms();
		stats.turns++;
		if (nevents < 0) {
			nevents = 0;
			if (errno != EINTR) {
				log_line(LOG_WARN, "epoll_wait: errno %d", errno);
				break;
			}
		}
		for (int i = 0; i < nevents; i++) {
			struct watch *w = events[i].data.ptr;
			if (w)
				w->ready(w, events[i].events);
		}
		nevents = 0;
		timers_run(now_ms);
		for (int i = 0; i < nlater; i++)
			later[i]();
	}
}
