#include "depot.h"

#include <stdlib.h>
#include <string.h>

struct config config = {
	.workers = 8,
	.sndbuf = 1 << 20, // an export fits
	.keep_alive = 60,
	.buffer_keep = 4096,
	.cache_entries = 512,
	.session_life = 1800,
	.doc_revalidate = 60,
	.snapshot = 20,
	.price_ttl = 30,
};

static const struct setting {
	const char *name;
	int *number;
	char **text;
	int min, max;
	bool live;
} settings[] = {
	{"dir", NULL, &config.dir, 0, 0, false},
	{"port", &config.port, NULL, 1, 65535, false},
	{"workers", &config.workers, NULL, 1, 64, false},
	{"client.sndbuf", &config.sndbuf, NULL, 0, 8 << 20, true},
	{"client.keep_alive", &config.keep_alive, NULL, 1, 3600, true},
	{"buffer.keep", &config.buffer_keep, NULL, 16, 65536, true},
	{"cache.entries", &config.cache_entries, NULL, 0, 65536, true},
	{"session.life", &config.session_life, NULL, 1, 86400, true},
	{"session.gc", &config.session_gc, NULL, 0, 100, true},
	{"docs.revalidate", &config.doc_revalidate, NULL, 0, 86400, true},
	{"snapshot", &config.snapshot, NULL, 1, 86400, true},
	{"price.host", NULL, &config.price_host, 0, 0, false},
	{"price.port", &config.price_port, NULL, 1, 65535, false},
	{"price.ttl", &config.price_ttl, NULL, 0, 86400, true},
};

static const struct setting *find(const char *name)
{
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

static const char *assign(const struct setting *s, const char *value)
{
	if (s->text) {
		*s->text = strdup(value);
		return NULL;
	}
	char *end;
	long n = strtol(value, &end, 10);
	if (end == value || *end || n < s->min || n > s->max)
		return "not a number in range";
	*s->number = (int)n;
	return NULL;
}

const char *config_set(const char *name, const char *value)
{
	const struct setting *s = find(name);
	if (!s)
		return "no such setting";
	if (!s->live)
		return "needs a restart";
	return assign(s, value);
}

bool config_load(const char *file)
{
	FILE *f = fopen(file, "re");
	if (!f) {
		perror(file);
		return false;
	}
	char line[512];
	bool ok = true;
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "#\r\n")] = 0;
		char *value = line, *name = strsep(&value, " ");
		if (!*name)
			continue;
		const struct setting *s = find(name);
		const char *wrong = s && value ? assign(s, value) : "no such setting or no value";
		if (wrong) {
			fprintf(stderr, "%s: %s: %s\n", file, name, wrong);
			ok = false;
		}
	}
	fclose(f);
	return ok;
}
