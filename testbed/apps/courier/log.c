// The log is written by a thread of its own: the event loop never waits for
// the disk that holds it.
#include "courier.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct buf pending;
static bool stop, running;
static int fd = -1;
static pthread_t writer;

static void write_out(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);
		if (n <= 0)
			return;
		data += n;
		len -= n;
	}
}

static void *log_writer(void *arg)
{
	(void)arg;
	struct buf taken = {0};
	pthread_mutex_lock(&lock);
	for (;;) {
		while (pending.len == 0 && !stop)
			pthread_cond_wait(&filled, &lock);
		if (pending.len == 0)
			break;
		struct buf swap = taken;
		taken = pending;
		pending = swap;
		pthread_mutex_unlock(&lock);
		write_out(buf_begin(&taken), taken.len);
		buf_consume(&taken, taken.len);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	buf_free(&taken);
	return NULL;
}

void log_line(int level, const char *format, ...)
{
	static const char *names[] = {"debug", "info", "warn"};
	if (level < config.log_level)
		return;
	char line[512], when[32];
	time_t t = time(NULL);
	struct tm tm;
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", localtime_r(&t, &tm));
	int n = snprintf(line, sizeof line, "%s %s ", when, names[level]);
	va_list args;
	va_start(args, format);
	n += vsnprintf(line + n, sizeof line - n - 1, format, args);
	va_end(args);
	if (n > (int)sizeof line - 2)
		n = sizeof line - 2;
	line[n++] = '\n';
	pthread_mutex_lock(&lock);
	if (pending.len < 1 << 20) { // lines are lost before memory is
		buf_add(&pending, line, n);
		pthread_cond_signal(&filled);
	}
	pthread_mutex_unlock(&lock);
}

void log_start(const char *file)
{
	fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0) {
		perror(file);
		exit(1);
	}
	running = pthread_create(&writer, NULL, log_writer, NULL) == 0;
}

void log_stop(void)
{
	pthread_mutex_lock(&lock);
	stop = true;
	pthread_cond_signal(&filled);
	pthread_mutex_unlock(&lock);
	if (running)
		pthread_join(writer, NULL);
}
