#include "courier.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct stats stats;

static struct timer every;

static void count_topic(struct topic *t, void *arg)
{
	uint64_t *n = arg;
	n[0]++;
	n[1] += t->queued;
}

void stats_write(struct buf *out)
{
	static const char *names[] = {"pub", "get", "peek", "sub", "ack", "info", "ping", "quit", "unknown"};
	uint64_t topics[2] = {0};
	topics_each(count_topic, topics);
	const struct {
		const char *name;
		uint64_t value;
	} values[] = {
		{"clients", stats.accepted - stats.closed}, {"accepted", stats.accepted}, {"requests", stats.requests},
		{"errors", stats.errors}, {"published", stats.published}, {"delivered", stats.delivered},
		{"redelivered", stats.redelivered}, {"acked", stats.acked}, {"expired", stats.expired},
		{"bytes_in", stats.bytes_in}, {"bytes_out", stats.bytes_out}, {"turns", stats.turns},
		{"journal_bytes", stats.journal_bytes}, {"journal_syncs", stats.journal_syncs},
		{"forwarded", stats.forwarded}, {"forward_dropped", stats.forward_dropped},
		{"upstream_connects", stats.upstream_connects}, {"upstream_failures", stats.upstream_failures},
		{"topics", topics[0]}, {"queued", topics[1]}, {"timers", timers_count()},
	};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		buf_printf(out, "%s %llu\n", values[i].name, (unsigned long long)values[i].value);
	for (int i = 0; i <= CMD_UNKNOWN; i++)
		buf_printf(out, "command.%s %llu\n", names[i], (unsigned long long)stats.by_command[i]);
}

static void stats_log(struct timer *t)
{
	static struct stats last;
	log_line(LOG_INFO, "requests %llu errors %llu in %llu out %llu",
		(unsigned long long)(stats.requests - last.requests), (unsigned long long)(stats.errors - last.errors),
		(unsigned long long)(stats.bytes_in - last.bytes_in), (unsigned long long)(stats.bytes_out - last.bytes_out));
	last = stats;
	timer_set(t, loop_now() + 1000);
}

void stats_start(void)
{
	every.fire = stats_log;
	timer_set(&every, loop_now() + 1000);
}
