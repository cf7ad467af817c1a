// Documents are files, docs/<number>.txt with their revision in the first
// line, and docs/<name> for what is downloaded. What is known of a numbered
// one is good for docs.revalidate seconds.
#include "depot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct doc {
	pthread_mutex_t lock;
	bool exists;
	int revision;
	off_t size;
	struct timespec modified;
	time_t checked;
} docs[DOCS];

static int docs_dir;

static bool doc_path(char *path, size_t n, int doc) { return snprintf(path, n, "%d.txt", doc) < (int)n; }

static int parse_revision(const char *head)
{
	return strncmp(head, "revision: ", 10) == 0 ? atoi(head + 10) : 0;
}

// doc_check looks at the file: is it there, did it change, which revision is
// it.
static void doc_check(struct doc *d, int number)
{
	char path[32], head[64];
	doc_path(path, sizeof path, number);
	stats.docs_checked++;
	int fd = openat(docs_dir, path, O_RDONLY | O_CLOEXEC);
	d->exists = fd >= 0;
	if (fd < 0)
		return;
	struct stat st;
	ssize_t n = pread(fd, head, sizeof head - 1, 0);
	if (fstat(fd, &st) == 0 && n > 0) {
		head[n] = 0;
		if (st.st_mtim.tv_sec != d->modified.tv_sec || st.st_mtim.tv_nsec != d->modified.tv_nsec)
			stats.docs_changed++;
		d->modified = st.st_mtim;
		d->size = st.st_size;
		d->revision = parse_revision(head);
	}
	close(fd);
}

int doc_revision(int number)
{
	if (number < 0 || number >= DOCS)
		return -1;
	struct doc *d = &docs[number];
	time_t now = time(NULL);
	pthread_mutex_lock(&d->lock);
	if (now - d->checked >= config.doc_revalidate) {
		doc_check(d, number);
		d->checked = now;
	}
	int revision = d->exists ? d->revision : -1;
	pthread_mutex_unlock(&d->lock);
	return revision;
}

static const char *type_of(const char *name)
{
	const char *dot = strrchr(name, '.');
	if (dot && strcmp(dot, ".txt") == 0)
		return "text/plain";
	return dot && strcmp(dot, ".pdf") == 0 ? "application/pdf" : "application/octet-stream";
}

static bool doc_copy(struct request *r, int fd, off_t size)
{
	char chunk[32 * 1024];
	while (size > 0) {
		ssize_t n = read(fd, chunk, size < (off_t)sizeof chunk ? (size_t)size : sizeof chunk);
		if (n <= 0 || !sock_write_all(r->conn->fd, chunk, n))
			return false;
		size -= n;
	}
	return true;
}

bool doc_send(struct request *r, const char *name)
{
	struct buf none = {0};
	if (!*name || name[0] == '.' || strchr(name, '/'))
		return http_answer(r, 404, "text/plain", &none);
	int fd = openat(docs_dir, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return http_answer(r, 404, "text/plain", &none);
	}
	bool ok = http_begin(r, 200, type_of(name), st.st_size) && doc_copy(r, fd, st.st_size);
	close(fd);
	return ok;
}

bool docs_load(void)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/docs", config.dir);
	docs_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (docs_dir < 0) {
		perror(path);
		return false;
	}
	time_t now = time(NULL);
	for (int i = 0; i < DOCS; i++) {
		pthread_mutex_init(&docs[i].lock, NULL);
		doc_check(&docs[i], i);
		// Not all of them are due at the same time.
		docs[i].checked = now - (config.doc_revalidate > 0 ? rand() % config.doc_revalidate : 0);
	}
	return true;
}
