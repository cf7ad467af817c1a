#include "courier.h"

#include <stdlib.h>
#include <string.h>

struct config config = {
	.sndbuf = 32 * 1024,
	.lease = 5000,
	.retention = 30,
	.topic_limit = 2000,
	.max_header_bytes = 256 * 1024,
	.idle_timeout = 300,
	.journal_rotate = 32,
	.log_level = LOG_INFO,
	.forward_limit = 5000,
	.forward_links = 4,
};

enum kind { NUMBER, TEXT, SYNC, LEVEL };

static const struct setting {
	const char *name;
	enum kind kind;
	void *at;
	long min, max;
	bool live; // may change while the server runs
} settings[] = {
	{"dir", TEXT, &config.dir, 0, 0, false},
	{"port", NUMBER, &config.port, 1, 65535, false},
	{"admin.port", NUMBER, &config.admin_port, 1, 65535, false},
	{"client.sndbuf", NUMBER, &config.sndbuf, 0, 8 << 20, true},
	{"client.idle", NUMBER, &config.idle_timeout, 1, 86400, true},
	{"lease", NUMBER, &config.lease, 10, 600000, true},
	{"retention", NUMBER, &config.retention, 1, 86400, true},
	{"topic.limit", NUMBER, &config.topic_limit, 1, 1000000, true},
	{"header.bytes", NUMBER, &config.max_header_bytes, 256, 1 << 20, true},
	{"journal.sync", SYNC, &config.journal_sync_always, 0, 0, true},
	{"journal.rotate", NUMBER, &config.journal_rotate, 1, 1024, true},
	{"log.level", LEVEL, &config.log_level, 0, 0, true},
	{"forward.topic", TEXT, &config.forward_topic, 0, 0, false},
	{"forward.host", TEXT, &config.forward_host, 0, 0, true},
	{"forward.port", NUMBER, &config.forward_port, 1, 65535, true},
	{"forward.links", NUMBER, &config.forward_links, 1, 16, false},
	{"forward.limit", NUMBER, &config.forward_limit, 1, 100000, true},
};

static const char *const levels[] = {"debug", "info", "warn"};

static const struct setting *find(const char *name)
{
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

static const char *assign(const struct setting *s, const char *value)
{
	switch (s->kind) {
	case NUMBER: {
		char *end;
		long n = strtol(value, &end, 10);
		if (end == value || *end || n < s->min || n > s->max)
			return "not a number in range";
		*(int *)s->at = (int)n;
		return NULL;
	}
	case TEXT:
		free(*(char **)s->at);
		*(char **)s->at = strdup(value);
		return NULL;
	case SYNC:
		if (strcmp(value, "always") != 0 && strcmp(value, "second") != 0)
			return "always or second";
		*(bool *)s->at = strcmp(value, "always") == 0;
		return NULL;
	case LEVEL:
		for (int i = 0; i < 3; i++)
			if (strcmp(value, levels[i]) == 0) {
				*(int *)s->at = i;
				return NULL;
			}
		return "debug, info or warn";
	}
	return "unknown kind";
}

const char *config_set(const char *name, const char *value)
{
	const struct setting *s = find(name);
	if (!s)
		return "no such setting";
	if (!s->live)
		return "needs a restart";
	const char *wrong = assign(s, value);
	if (!wrong)
		log_line(LOG_INFO, "%s is now %s", name, value);
	return wrong;
}

bool config_get(const char *name, struct buf *out)
{
	const struct setting *s = find(name);
	if (!s)
		return false;
	switch (s->kind) {
	case NUMBER:
		buf_printf(out, "%d\n", *(int *)s->at);
		break;
	case TEXT:
		buf_printf(out, "%s\n", *(char **)s->at ? *(char **)s->at : "");
		break;
	case SYNC:
		buf_printf(out, "%s\n", *(bool *)s->at ? "always" : "second");
		break;
	case LEVEL:
		buf_printf(out, "%s\n", levels[*(int *)s->at]);
		break;
	}
	return true;
}

// config_load reads "name value" lines; # starts a comment.
bool config_load(const char *file, bool again)
{
	FILE *f = fopen(file, "re");
	if (!f) {
		perror(file);
		return false;
	}
	char line[512];
	bool ok = true;
	for (int number = 1; fgets(line, sizeof line, f); number++) {
		line[strcspn(line, "#\r\n")] = 0;
		char *rest = line, *name = strsep(&rest, " \t");
		if (!*name)
			continue;
		const struct setting *s = find(name);
		if (s && again && !s->live)
			continue;
		const char *wrong = s && rest ? assign(s, rest + strspn(rest, " \t")) : "no such setting or no value";
		if (wrong) {
			fprintf(stderr, "%s:%d: %s: %s\n", file, number, name, wrong);
			ok = false;
		}
	}
	fclose(f);
	return ok;
}
