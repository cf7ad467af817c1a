// Prices come from another service, one line per question over one
// connection, and are good for price.ttl seconds.
#include "depot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 32768 };

static struct {
	uint32_t id;
	int cents;
	time_t until;
} known[SLOTS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int service = -1;

static bool read_line(char *line, size_t n)
{
	size_t len = 0;
	while (len < n - 1) {
		ssize_t got = recv(service, line + len, n - 1 - len, 0);
		if (got <= 0)
			return false;
		len += got;
		if (line[len - 1] == '\n') {
			line[len] = 0;
			return true;
		}
	}
	return false;
}

static int price_ask(uint32_t id)
{
	char line[64];
	if (service < 0 && (service = sock_connect(config.price_host, config.price_port)) < 0)
		return -1;
	int n = snprintf(line, sizeof line, "PRICE %u\n", id);
	if (send(service, line, n, MSG_NOSIGNAL) != n || !read_line(line, sizeof line)) {
		close(service);
		service = -1;
		return -1;
	}
	return strncmp(line, "CENTS ", 6) == 0 ? atoi(line + 6) : -1;
}

int price_get(uint32_t id)
{
	if (!config.price_host)
		return -1;
	time_t now = time(NULL);
	pthread_mutex_lock(&lock);
	unsigned slot = id % SLOTS;
	if (known[slot].id == id && known[slot].until > now) {
		stats.price_hits++;
	} else {
		stats.price_asked++;
		int cents = price_ask(id);
		if (cents < 0)
			stats.price_failed++;
		known[slot].id = id;
		known[slot].cents = cents;
		known[slot].until = now + (cents < 0 ? 1 : config.price_ttl);
	}
	int cents = known[slot].cents;
	pthread_mutex_unlock(&lock);
	return cents;
}
