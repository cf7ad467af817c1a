#include "convoy.h"

#include <pthread.h>

enum { WORKERS = 2 };

struct job {
	struct job *next;
	pthread_cond_t finished;
	bool done;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct job *first, **last = &first;

// fetch_remote sleeps, as one that asks again later.
static __attribute__((noinline)) void fetch_remote(void)
{
	usleep(slower(500, 16000));
}

static __attribute__((noinline)) void *pool_thread(void *unused)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		while (!first)
			pthread_cond_wait(&work, &lock);
		struct job *j = first;
		if (!(first = j->next))
			last = &first;
		pthread_mutex_unlock(&lock);
		fetch_remote();
		pthread_mutex_lock(&lock);
		j->done = true;
		pthread_cond_signal(&j->finished);
	}
	return unused;
}

static __attribute__((noinline)) void run_job(void *unused)
{
	(void)unused;
	struct job j = {.finished = PTHREAD_COND_INITIALIZER};
	pthread_mutex_lock(&lock);
	*last = &j;
	last = &j.next;
	pthread_cond_signal(&work);
	while (!j.done)
		pthread_cond_wait(&j.finished, &lock);
	pthread_mutex_unlock(&lock);
}

static void start(void)
{
	for (int i = 0; i < WORKERS; i++) {
		pthread_t t;
		pthread_create(&t, NULL, pool_thread, NULL);
	}
}

const struct kind pool_kind = {"pool", start, NULL, run_job};
