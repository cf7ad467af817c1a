#include "depot.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { QUEUE = 1024 };

static struct conn *queue[QUEUE];
static unsigned queue_first, queue_len;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, emptied = PTHREAD_COND_INITIALIZER;

void workers_submit(struct conn *c)
{
	pthread_mutex_lock(&lock);
	while (queue_len == QUEUE)
		pthread_cond_wait(&emptied, &lock);
	queue[(queue_first + queue_len++) % QUEUE] = c;
	pthread_cond_signal(&filled);
	pthread_mutex_unlock(&lock);
}

static struct conn *queue_take(void)
{
	pthread_mutex_lock(&lock);
	while (queue_len == 0)
		pthread_cond_wait(&filled, &lock);
	struct conn *c = queue[queue_first];
	queue_first = (queue_first + 1) % QUEUE;
	if (queue_len-- == QUEUE)
		pthread_cond_signal(&emptied);
	pthread_mutex_unlock(&lock);
	return c;
}

static long micros(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

// serve answers what a connection has sent; false when it is over.
static bool serve(struct conn *c, struct buf *out)
{
	do {
		struct request r;
		size_t used = 0;
		switch (http_read(c, &r, &used)) {
		case HTTP_CLOSED:
			return false;
		case HTTP_BAD:
			http_answer(&r, 400, "text/plain", out);
			return false;
		case HTTP_OK:
			break;
		}
		long start = micros();
		stats.requests++;
		c->requests++;
		bool ok = route(&r, out);
		log_access(&r, micros() - start);
		buf_release(out);
		if (!ok || !r.keep_alive)
			return false;
		memmove(c->in, c->in + used, c->in_len - used);
		c->in_len -= used;
	} while (c->in_len > 0);
	return true;
}

static void *worker_run(void *arg)
{
	(void)arg;
	struct buf out = {0};
	for (;;) {
		struct conn *c = queue_take();
		if (serve(c, &out))
			listener_rearm(c);
		else
			conn_close(c);
	}
	return NULL;
}

void workers_start(int n)
{
	for (int i = 0; i < n; i++) {
		pthread_t t;
		char name[24];
		if (pthread_create(&t, NULL, worker_run, NULL) != 0)
			abort();
		snprintf(name, sizeof name, "worker-%d", i);
		pthread_setname_np(t, name);
	}
}
