#include "convoy.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile uint64_t index_sum;

// rebuild_index computes with the lock held.
static __attribute__((noinline)) void rebuild_index(void)
{
	index_sum += compute(slower(100000, 2500000));
}

static __attribute__((noinline)) void update_account(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	rebuild_index();
	pthread_mutex_unlock(&lock);
}

const struct kind mutex_kind = {"mutex", NULL, NULL, update_account};
