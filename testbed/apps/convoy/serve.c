#include "convoy.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct kind *kind;

static void *connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	void *conn = kind->open ? kind->open() : NULL;
	char line[LINE];
	size_t used = 0;
	for (;;) {
		ssize_t n = recv(fd, line + used, sizeof line - used, 0);
		if (n <= 0)
			break;
		used += n;
		if (line[used - 1] != '\n')
			continue;
		if (strncmp(line, "FAULT", 5) == 0)
			*faulty = true;
		else
			kind->request(conn);
		used = 0;
		if (send(fd, "OK\n", 3, MSG_NOSIGNAL) != 3)
			break;
	}
	close(fd);
	return NULL;
}

void serve(const struct kind *k)
{
	kind = k;
	if (k->start)
		k->start();
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(settings.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(listener, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(listener, 128) != 0) {
		perror("listen");
		exit(1);
	}
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_t t;
		if (fd >= 0 && pthread_create(&t, NULL, connection, (void *)(intptr_t)fd) == 0)
			pthread_detach(t);
	}
}
