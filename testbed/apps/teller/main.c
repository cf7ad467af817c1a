#include "teller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings settings;

static void read_settings(const char *path)
{
	char line[512], key[64], value[256];
	FILE *f = fopen(path, "r");

	if (!f) {
		perror(path);
		exit(1);
	}
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "%63s %255s", key, value) != 2)
			continue;
		if (!strcmp(key, "dir"))
			snprintf(settings.dir, sizeof settings.dir, "%s", value);
		else if (!strcmp(key, "port"))
			settings.port = atoi(value);
		else if (!strcmp(key, "slow"))
			snprintf(settings.slow, sizeof settings.slow, "%.31s", value);
		else if (!strcmp(key, "permille"))
			settings.permille = atoi(value);
	}
	fclose(f);
}

int main(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "-c")) {
		fprintf(stderr, "usage: teller -c FILE\n");
		return 1;
	}
	read_settings(argv[2]);
	ways_init();
	serve();
	return 1;
}
