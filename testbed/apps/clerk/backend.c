#include "clerk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Each thread keeps a connection.
static __thread int backend = -1;

static bool ask(const char *text)
{
	if (backend < 0) {
		backend = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(settings.backend), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		if (connect(backend, (struct sockaddr *)&addr, sizeof addr) != 0) {
			close(backend);
			backend = -1;
			return false;
		}
	}
	ssize_t n = strlen(text);
	return send(backend, text, n, MSG_NOSIGNAL) == n;
}

static bool ask_rate(int currency)
{
	char text[32];
	snprintf(text, sizeof text, "RATE %d\n", currency);
	return ask(text);
}

// Part of its callers, so that it is they who wait.
static inline __attribute__((always_inline)) long take(void)
{
	char text[32] = "";
	ssize_t n = recv(backend, text, sizeof text - 1, 0);
	if (n <= 0) {
		close(backend);
		backend = -1;
		return -1;
	}
	return atol(text);
}

// fetch_rate waits for the answer in recv, for as long as it takes.
__attribute__((noinline)) long fetch_rate(int currency)
{
	return ask_rate(currency) ? take() : -1;
}

// poll_rate looks every fifth of a second whether the answer has come, so that
// no wait of its own is long.
__attribute__((noinline)) long poll_rate(int currency)
{
	if (!ask_rate(currency))
		return -1;
	struct pollfd p = {.fd = backend, .events = POLLIN};
	while (poll(&p, 1, 200) == 0)
		;
	return take();
}

// fetch_history waits for the rates of a number of days.
__attribute__((noinline)) long fetch_history(int currency, int days)
{
	char text[48];
	snprintf(text, sizeof text, "HISTORY %d %d\n", currency, days);
	return ask(text) ? take() : -1;
}
