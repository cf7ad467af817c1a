#include "convoy.h"

#include <pthread.h>

// item is handed to the stage that encodes, whose result the request waits for at a
// condition variable.
struct item {
	struct item *next;
	bool done;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, results = PTHREAD_COND_INITIALIZER;
static struct item *first, **last = &first;
static volatile uint64_t encoded;

static __attribute__((noinline)) void encode_block(void)
{
	encoded += compute(slower(100000, 2500000));
}

static __attribute__((noinline)) void *encoder(void *unused)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		while (!first)
			pthread_cond_wait(&work, &lock);
		struct item *i = first;
		if (!(first = i->next))
			last = &first;
		pthread_mutex_unlock(&lock);
		encode_block();
		pthread_mutex_lock(&lock);
		i->done = true;
		pthread_cond_broadcast(&results);
	}
	return unused;
}

static __attribute__((noinline)) void submit_block(void *unused)
{
	(void)unused;
	struct item i = {0};
	pthread_mutex_lock(&lock);
	*last = &i;
	last = &i.next;
	pthread_cond_signal(&work);
	while (!i.done)
		pthread_cond_wait(&results, &lock);
	pthread_mutex_unlock(&lock);
}

static void start(void)
{
	pthread_t t;
	pthread_create(&t, NULL, encoder, NULL);
}

const struct kind pipeline_kind = {"pipeline", start, NULL, submit_block};
