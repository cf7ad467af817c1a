// Sessions in a table. A thread expires them, a part of the table per second;
// where there is none to spare, session.gc has requests do it.
#include "depot.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUCKETS = 16384, SID = 24, NOTES = 8 };

struct session {
	struct session *next;
	char sid[SID + 1];
	char *user;
	time_t created, used;
	char *notes[NOTES]; // what was looked at last
	int nnotes;
	unsigned visits;
};

static struct session *table[BUCKETS];
static size_t count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned seed = 12345;

static unsigned bucket_of(const char *sid)
{
	unsigned h = 2166136261u;
	for (int i = 0; i < SID && sid[i]; i++)
		h = (h ^ (unsigned char)sid[i]) * 16777619u;
	return h % BUCKETS;
}

static struct session *find(const char *sid)
{
	for (struct session *s = table[bucket_of(sid)]; s; s = s->next)
		if (strcmp(s->sid, sid) == 0)
			return s;
	return NULL;
}

static struct session *insert(const char *sid, const char *user, time_t used)
{
	struct session *s = calloc(1, sizeof *s);
	if (!s)
		abort();
	snprintf(s->sid, sizeof s->sid, "%s", sid);
	s->user = strdup(user);
	s->created = s->used = used;
	unsigned b = bucket_of(s->sid);
	s->next = table[b];
	table[b] = s;
	count++;
	return s;
}

static void session_free(struct session *s)
{
	for (int i = 0; i < s->nnotes; i++)
		free(s->notes[i]);
	free(s->user);
	free(s);
	count--;
}

// sessions_expire ends the sessions of some buckets that were not used for
// too long. Under the lock.
static void sessions_expire(int from, int to, time_t now)
{
	time_t oldest = now - config.session_life;
	for (int b = from; b < to; b++)
		for (struct session **at = &table[b]; *at;) {
			struct session *s = *at;
			if (s->used < oldest) {
				*at = s->next;
				session_free(s);
				stats.sessions_expired++;
			} else {
				at = &s->next;
			}
		}
}

// session_open finds a session and says whose it is.
bool session_open(const char *sid, char *user, size_t n)
{
	time_t now = time(NULL);
	pthread_mutex_lock(&lock);
	if (config.session_gc > 0 && (int)(rand_r(&seed) % 100) < config.session_gc)
		sessions_expire(0, BUCKETS, now);
	struct session *s = find(sid);
	if (s) {
		s->used = now;
		s->visits++;
		snprintf(user, n, "%s", s->user);
	}
	pthread_mutex_unlock(&lock);
	return s != NULL;
}

void session_create(const char *user, char *sid, size_t n)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	char fresh[SID + 1] = {0};
	pthread_mutex_lock(&lock);
	for (int i = 0; i < SID; i++)
		fresh[i] = letters[rand_r(&seed) % (sizeof letters - 1)];
	insert(fresh, user, time(NULL));
	pthread_mutex_unlock(&lock);
	stats.sessions_created++;
	snprintf(sid, n, "%s", fresh);
}

// session_note remembers what a user looked at.
bool session_note(const char *sid, const char *note)
{
	char *copy = strdup(note);
	pthread_mutex_lock(&lock);
	struct session *s = find(sid);
	if (s) {
		if (s->nnotes == NOTES) {
			free(s->notes[0]);
			memmove(s->notes, s->notes + 1, (NOTES - 1) * sizeof *s->notes);
			s->nnotes--;
		}
		s->notes[s->nnotes++] = copy;
	}
	pthread_mutex_unlock(&lock);
	if (!s)
		free(copy);
	return s != NULL;
}

size_t sessions_count(void)
{
	pthread_mutex_lock(&lock);
	size_t n = count;
	pthread_mutex_unlock(&lock);
	return n;
}

static void *janitor_run(void *arg)
{
	(void)arg;
	enum { PART = BUCKETS / 64 };
	for (int b = 0;; b = (b + PART) % BUCKETS) {
		usleep(250 * 1000);
		pthread_mutex_lock(&lock);
		sessions_expire(b, b + PART, time(NULL));
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

void sessions_start(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, janitor_run, NULL) != 0)
		abort();
	pthread_setname_np(t, "janitor");
}

// sessions_load reads sid, user and the seconds since it was used.
void sessions_load(const char *file)
{
	FILE *f = fopen(file, "re");
	if (!f)
		return; // the first start
	char line[256], sid[SID + 1], user[64];
	long age;
	time_t now = time(NULL);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%24s %63s %ld", sid, user, &age) == 3)
			insert(sid, user, now - age);
	fclose(f);
}

// sessions_save writes them, a few buckets at a time so that nobody waits.
bool sessions_save(const char *file)
{
	FILE *f = fopen(file, "we");
	if (!f)
		return false;
	struct buf part = {0};
	time_t now = time(NULL);
	for (int b = 0; b < BUCKETS; b += 64) {
		part.len = 0;
		pthread_mutex_lock(&lock);
		for (int i = b; i < b + 64; i++)
			for (struct session *s = table[i]; s; s = s->next)
				buf_printf(&part, "%s %s %ld\n", s->sid, s->user, (long)(now - s->used));
		pthread_mutex_unlock(&lock);
		fwrite(part.data, 1, part.len, f);
	}
	free(part.data);
	bool ok = fflush(f) == 0 && fdatasync(fileno(f)) == 0;
	fclose(f);
	return ok;
}
