#include "convoy.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

// One process resolves names for all connections, one after the other, over a Unix
// socket.
enum { MOST = 64 };

static int names;

static __attribute__((noinline)) void store_name(void)
{
	store(names, slower(0, 10));
}

static void resolve(int listener)
{
	struct pollfd fds[MOST] = {{.fd = listener, .events = POLLIN}};
	int n = 1;
	for (;;) {
		poll(fds, n, -1);
		for (int i = 1; i < n; i++) {
			char c;
			if (!fds[i].revents)
				continue;
			if (recv(fds[i].fd, &c, 1, 0) != 1) {
				close(fds[i].fd);
				fds[i--] = fds[--n];
				continue;
			}
			store_name();
			send(fds[i].fd, &c, 1, MSG_NOSIGNAL);
		}
		if (fds[0].revents && n < MOST)
			fds[n++] = (struct pollfd){.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), .events = POLLIN};
	}
}

static struct sockaddr_un address(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (snprintf(a.sun_path, sizeof a.sun_path, "%s/names.sock", settings.dir) >= (int)sizeof a.sun_path) {
		fprintf(stderr, "%s: too long for a socket\n", settings.dir);
		exit(1);
	}
	return a;
}

static void start(void)
{
	struct sockaddr_un a = address();
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	names = open_data("names");
	if (bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, MOST) != 0) {
		perror(a.sun_path);
		exit(1);
	}
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		resolve(listener);
	}
	close(listener);
}

static void *open_resolver(void)
{
	struct sockaddr_un a = address();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
		exit(1);
	return (void *)(intptr_t)fd;
}

static __attribute__((noinline)) void ask_resolver(void *conn)
{
	int fd = (int)(intptr_t)conn;
	char c = 'x';
	if (send(fd, &c, 1, MSG_NOSIGNAL) != 1 || recv(fd, &c, 1, 0) != 1)
		exit(1);
}

const struct kind socket_kind = {"socket", start, open_resolver, ask_resolver};
