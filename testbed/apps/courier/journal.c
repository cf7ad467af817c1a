// The journal holds every message that was published. It is written at the
// end of a turn and synced by a thread once a second, or, with "journal.sync
// always", before the publisher has its answer.
#include "courier.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct record {
	uint32_t magic, crc;
	uint64_t id, when;
	uint32_t topic_len, block_len, body_len;
};

static int fd = -1;
static char *path;
static struct buf pending;
static uint64_t written;
static uint32_t crc_table[256];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool stop, unsynced;
static pthread_t syncer;

static void crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
		crc_table[i] = c;
	}
}

static uint32_t crc(uint32_t c, const void *data, size_t n)
{
	const unsigned char *p = data;
	c = ~c;
	while (n--)
		c = crc_table[(c ^ *p++) & 0xff] ^ (c >> 8);
	return ~c;
}

static void encode(struct buf *out, const struct message *m)
{
	const char *topic = m->topic->name;
	struct record r = {
		.magic = 0x6a726e6c, .id = m->id, .when = m->when, .topic_len = strlen(topic),
		.block_len = m->block_len, .body_len = m->body_len,
	};
	r.crc = crc(crc(0, topic, r.topic_len), m->data, m->block_len + m->body_len);
	buf_add(out, &r, sizeof r);
	buf_add(out, topic, r.topic_len);
	buf_add(out, m->data, m->block_len + m->body_len);
}

static void journal_open(void)
{
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	written = lseek(fd, 0, SEEK_END);
}

void journal_rotate(void)
{
	char old[4096];
	snprintf(old, sizeof old, "%s.1", path);
	pthread_mutex_lock(&lock);
	close(fd);
	rename(path, old);
	journal_open();
	pthread_mutex_unlock(&lock);
	log_line(LOG_INFO, "journal rotated");
}

static void journal_write(void)
{
	while (pending.len > 0) {
		ssize_t n = write(fd, buf_begin(&pending), pending.len);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			log_line(LOG_WARN, "journal: errno %d", errno);
			buf_consume(&pending, pending.len);
			return;
		}
		buf_consume(&pending, n);
		written += n;
		stats.journal_bytes += n;
	}
}

void journal_append(const struct message *m)
{
	encode(&pending, m);
	if (config.journal_sync_always) {
		journal_write();
		if (fdatasync(fd) < 0)
			log_line(LOG_WARN, "journal: fdatasync: errno %d", errno);
		stats.journal_syncs++;
	}
}

static void journal_turn(void)
{
	if (pending.len == 0)
		return;
	journal_write();
	__atomic_store_n(&unsynced, true, __ATOMIC_RELEASE);
	if (written > (uint64_t)config.journal_rotate << 20)
		journal_rotate();
}

static void *journal_syncer(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	while (!stop) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&wake, &lock, &until);
		if (!__atomic_exchange_n(&unsynced, false, __ATOMIC_ACQ_REL))
			continue;
		// Its own descriptor: the loop may rotate meanwhile.
		int copy = dup(fd);
		pthread_mutex_unlock(&lock);
		if (copy >= 0) {
			fdatasync(copy);
			close(copy);
		}
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

void journal_start(void)
{
	crc_init();
	size_t n = strlen(config.dir) + 16;
	path = malloc(n);
	snprintf(path, n, "%s/journal", config.dir);
	journal_open();
	loop_later(journal_turn);
	if (pthread_create(&syncer, NULL, journal_syncer, NULL) != 0)
		abort();
}

void journal_stop(void)
{
	journal_write();
	pthread_mutex_lock(&lock);
	stop = true;
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&lock);
	pthread_join(syncer, NULL);
	close(fd);
}
