// convoy is a small server in which requests wait for others: at a lock, for a
// stage of a pipeline, for a leader that commits for all, for a thread of a pool,
// for another process. One kind at a time, chosen by its configuration. After the
// line FAULT what they wait for takes longer.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 512, PATH = 600 };

struct settings {
	char dir[LINE];
	char kind[LINE];
	int port;
};

extern struct settings settings;
// faulty is in memory that all processes of the server share.
extern volatile bool *faulty;

// kind is one way to wait. A connection has a thread and what open returned.
struct kind {
	const char *name;
	void (*start)(void);
	void *(*open)(void);
	void (*request)(void *conn);
};

extern const struct kind mutex_kind, rwlock_kind, pipeline_kind, commit_kind, pool_kind, pipe_kind, socket_kind, flock_kind;

void serve(const struct kind *k);
int open_data(const char *name);

// compute is inlined, so that who computes is who calls it: about a nanosecond each.
static inline __attribute__((always_inline)) uint64_t compute(long steps)
{
	uint64_t x = 88172645463325252ULL;
	for (long i = 0; i < steps; i++)
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
	__asm__ volatile("" : "+r"(x));
	return x;
}

static inline __attribute__((always_inline)) double milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

// store is inlined, too: a write that is on the disk, and more of them, one by one, until
// so much time has passed: as many on a fast disk as it takes to be as slow as on another.
static inline __attribute__((always_inline)) void store(int fd, int ms)
{
	char block[512] = {0};
	double end = milliseconds() + ms;
	do {
		if (pwrite(fd, block, sizeof block, 0) < 0)
			return;
		fdatasync(fd);
	} while (milliseconds() < end);
}

// slower is what something takes, normally and with the fault.
static inline int slower(int normal, int slow) { return *faulty ? slow : normal; }
