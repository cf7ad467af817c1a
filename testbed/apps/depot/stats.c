#include "depot.h"

struct stats stats;

void stats_render(struct buf *out)
{
	const struct {
		const char *name;
		unsigned long value;
	} values[] = {
		{"accepted", stats.accepted}, {"closed", stats.closed}, {"requests", stats.requests}, {"errors", stats.errors},
		{"bytes_out", stats.bytes_out}, {"idle", listener_idle()}, {"items", items_count()},
		{"cache_hits", stats.cache_hits}, {"cache_misses", stats.cache_misses}, {"price_hits", stats.price_hits},
		{"price_asked", stats.price_asked}, {"price_failed", stats.price_failed}, {"sessions", sessions_count()},
		{"sessions_created", stats.sessions_created}, {"sessions_expired", stats.sessions_expired},
		{"docs_checked", stats.docs_checked}, {"docs_changed", stats.docs_changed}, {"snapshots", stats.snapshots},
	};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		buf_printf(out, "%s %lu\n", values[i].name, values[i].value);
}
