#include "teller.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int read_request(int fd, char *head, int room)
{
	int n = 0;

	while (n < room - 1) {
		ssize_t got = recv(fd, head + n, room - 1 - n, 0);
		if (got <= 0)
			return -1;
		n += got;
		head[n] = 0;
		if (strstr(head, "\r\n\r\n"))
			return n;
	}
	return -1;
}

static void *connection(void *arg)
{
	int fd = (int)(long)arg, length;
	char head[4096], body[1024], out[2048];

	while (read_request(fd, head, sizeof head) > 0) {
		long id = 0;
		sscanf(head, "GET /item/%ld", &id);
		length = answer(id, body, sizeof body);
		int n = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%.*s", length, length, body);
		if (send(fd, out, n, MSG_NOSIGNAL) < 0)
			break;
	}
	close(fd);
	return NULL;
}

void serve(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(settings.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&addr, sizeof addr) || listen(listener, 64)) {
		perror("teller");
		exit(1);
	}
	for (;;) {
		pthread_t thread;
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (pthread_create(&thread, NULL, connection, (void *)(long)fd))
			close(fd);
		else
			pthread_detach(thread);
	}
}
