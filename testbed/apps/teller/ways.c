#include "teller.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCOUNTS 4096
#define SPOOLED 3000

static pthread_rwlock_t accounts_lock = PTHREAD_RWLOCK_INITIALIZER;
static unsigned accounts[ACCOUNTS];
static int ledger;

static unsigned mix(unsigned h, unsigned x) { return (h ^ x) * 16777619u; }

/* check_balance is what every request does. */
static __attribute__((noinline)) unsigned check_balance(long id, int turns)
{
	unsigned sum = 2166136261u;

	pthread_rwlock_rdlock(&accounts_lock);
	for (int t = 0; t < turns; t++)
		for (int i = 0; i < ACCOUNTS; i++)
			sum = mix(sum, accounts[i] + id);
	pthread_rwlock_unlock(&accounts_lock);
	return sum;
}

/* append_ledger writes each of several entries to the disk by itself. */
static __attribute__((noinline)) void append_ledger(long id)
{
	char line[64];

	for (int i = 0; i < 100; i++) {
		int n = snprintf(line, sizeof line, "%ld %d\n", id, i);
		if (write(ledger, line, n) < 0 || fsync(ledger))
			perror("ledger");
	}
}

/* count_spool looks at every file that waits. */
static __attribute__((noinline)) int count_spool(void)
{
	char path[512];
	struct stat st;
	struct dirent *e;
	int n = 0;

	for (int turn = 0; turn < 4; turn++) {
		DIR *d = opendir(settings.dir);
		while (d && (e = readdir(d))) {
			snprintf(path, sizeof path, "%.250s/%.250s", settings.dir, e->d_name);
			if (!stat(path, &st))
				n += st.st_size > 0;
		}
		if (d)
			closedir(d);
	}
	return n;
}

/* match_rule tries every way to match a's and b's: exponential when there is none. */
static __attribute__((noinline)) int match_rule(const char *rule, const char *text)
{
	if (!*rule)
		return !*text;
	if (rule[1] == '*') {
		for (const char *t = text; *t == *rule; t++)
			if (match_rule(rule + 2, t + 1))
				return 1;
		return match_rule(rule + 2, text);
	}
	return *text == *rule && match_rule(rule + 1, text + 1);
}

/* rebuild_index lets nobody read while it computes. */
static __attribute__((noinline)) void rebuild_index(long id)
{
	pthread_rwlock_wrlock(&accounts_lock);
	for (int t = 0; t < 25000; t++)
		for (int i = 0; i < ACCOUNTS; i++)
			accounts[i] = mix(accounts[i], i + id);
	pthread_rwlock_unlock(&accounts_lock);
}

void ways_init(void)
{
	char path[512];

	snprintf(path, sizeof path, "%s/ledger", settings.dir);
	ledger = open(path, O_CREAT | O_APPEND | O_WRONLY, 0644);
	for (int i = 0; i < SPOOLED && !strcmp(settings.slow, "spool"); i++) {
		snprintf(path, sizeof path, "%s/job-%d", settings.dir, i);
		close(open(path, O_CREAT | O_WRONLY, 0644));
	}
}

int answer(long id, char *body, int room)
{
	int turns = 200;

	if (id % 1000 < settings.permille) {
		if (!strcmp(settings.slow, "ledger"))
			append_ledger(id);
		else if (!strcmp(settings.slow, "spool"))
			count_spool();
		else if (!strcmp(settings.slow, "rule"))
			match_rule("a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaac");
		else if (!strcmp(settings.slow, "index"))
			rebuild_index(id);
		else if (!strcmp(settings.slow, "large"))
			turns *= 40;
	}
	return snprintf(body, room, "%ld %u\n", id, check_balance(id, turns));
}
