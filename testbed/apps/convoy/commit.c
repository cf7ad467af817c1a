#include "convoy.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t appended, committed;
static bool flushing;
static int journal;

// flush_group is what the leader does for all that have come.
static __attribute__((noinline)) void flush_group(void)
{
	store(journal, slower(0, 12));
}

static __attribute__((noinline)) void commit_order(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	uint64_t mine = ++appended;
	while (committed < mine) {
		if (flushing) {
			pthread_cond_wait(&changed, &lock);
			continue;
		}
		uint64_t upto = appended;
		flushing = true;
		pthread_mutex_unlock(&lock);
		flush_group();
		pthread_mutex_lock(&lock);
		flushing = false;
		committed = upto;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
}

static void start(void) { journal = open_data("journal"); }

const struct kind commit_kind = {"commit", start, NULL, commit_order};
