#include "convoy.h"

#include <pthread.h>

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static int table;
static volatile uint64_t found;

// load_table is on the disk before it returns, with the lock held for writing.
static __attribute__((noinline)) void load_table(void)
{
	store(table, slower(0, 20));
}

static __attribute__((noinline)) void *refresh(void *unused)
{
	for (;;) {
		usleep(20000);
		pthread_rwlock_wrlock(&lock);
		load_table();
		pthread_rwlock_unlock(&lock);
	}
	return unused;
}

static __attribute__((noinline)) void look_up(void *unused)
{
	(void)unused;
	pthread_rwlock_rdlock(&lock);
	found += compute(100000);
	pthread_rwlock_unlock(&lock);
}

static void start(void)
{
	pthread_t t;
	table = open_data("table");
	pthread_create(&t, NULL, refresh, NULL);
}

const struct kind rwlock_kind = {"rwlock", start, NULL, look_up};
