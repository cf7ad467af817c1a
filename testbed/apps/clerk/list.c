#include "clerk.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// put_bytes writes something to a file: everything that writes uses it.
__attribute__((noinline)) static void put_bytes(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t written = write(fd, data, n);
		if (written <= 0)
			return; // the disk is full: there will be no copy
		data += written;
		n -= written;
	}
}

static int open_copy(const char *name)
{
	char path[600];
	snprintf(path, sizeof path, "%s/%s.%lx", settings.dir, name, (unsigned long)pthread_self());
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

// list_page keeps a copy of what it sends, written at once.
__attribute__((noinline)) size_t list_page(int page, char *out)
{
	size_t n = 0;
	for (int i = 0; i < 40; i++)
		n += snprintf(out + n, REPLY - n, "%d;", page * 40 + i);
	out[n++] = '\n';
	int fd = open_copy("page");
	put_bytes(fd, out, n);
	close(fd);
	return n;
}

// export_file writes its rows a few bytes at a time.
__attribute__((noinline)) size_t export_file(int rows, char *out)
{
	int fd = open_copy("export");
	for (int i = 0; i < rows; i++) {
		char row[32];
		int n = snprintf(row, sizeof row, "%08d\n", i);
		for (int k = 0; k < n; k += 3)
			put_bytes(fd, row + k, k + 3 < n ? 3 : n - k);
	}
	close(fd);
	return snprintf(out, REPLY, "OK %d\n", rows);
}
