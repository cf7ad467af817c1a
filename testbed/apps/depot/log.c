// Logs are written by a thread, whatever has come together every 100 ms.
#include "depot.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FULL = 1 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *pending, *writing;
static size_t pending_len;
static int fd = -1;

static void log_append(const char *line, size_t n)
{
	pthread_mutex_lock(&lock);
	if (pending_len + n <= FULL) { // else lost
		memcpy(pending + pending_len, line, n);
		pending_len += n;
	}
	pthread_mutex_unlock(&lock);
}

static int stamp(char *out, size_t n)
{
	time_t t = time(NULL);
	struct tm tm;
	return (int)strftime(out, n, "%d/%b/%Y:%H:%M:%S ", localtime_r(&t, &tm));
}

void log_access(const struct request *r, long micros)
{
	char line[512];
	int n = stamp(line, sizeof line);
	const char *agent = http_header(r, "User-Agent");
	n += snprintf(line + n, sizeof line - n, "\"%s %.200s\" %d %zu %ld \"%.100s\"\n", r->method, r->path, r->status, r->sent,
		micros, agent ? agent : "-");
	log_append(line, n);
}

void log_error(const char *format, ...)
{
	char line[512];
	int n = stamp(line, sizeof line);
	va_list args;
	va_start(args, format);
	n += vsnprintf(line + n, sizeof line - n - 1, format, args);
	va_end(args);
	if (n > (int)sizeof line - 2)
		n = sizeof line - 2;
	line[n++] = '\n';
	log_append(line, n);
}

static void *log_run(void *arg)
{
	(void)arg;
	for (;;) {
		usleep(100 * 1000);
		pthread_mutex_lock(&lock);
		char *full = pending;
		size_t n = pending_len;
		pending = writing;
		writing = full;
		pending_len = 0;
		pthread_mutex_unlock(&lock);
		if (n > 0 && write(fd, full, n) < 0)
			perror("log");
	}
	return NULL;
}

void log_start(void)
{
	char file[4096];
	snprintf(file, sizeof file, "%s/access.log", config.dir);
	fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	pending = malloc(FULL);
	writing = malloc(FULL);
	pthread_t t;
	if (fd < 0 || !pending || !writing || pthread_create(&t, NULL, log_run, NULL) != 0) {
		perror(file);
		exit(1);
	}
	pthread_setname_np(t, "log");
}
