#include "clerk.h"

#include <stdio.h>
#include <string.h>

struct settings settings = {.workers = 4};

bool settings_load(const char *file)
{
	FILE *f = fopen(file, "r");
	if (!f) {
		perror(file);
		return false;
	}
	char line[LINE];
	while (fgets(line, sizeof line, f)) {
		sscanf(line, "dir %511s", settings.dir);
		sscanf(line, "port %d", &settings.port);
		sscanf(line, "workers %d", &settings.workers);
		sscanf(line, "backend %d", &settings.backend);
	}
	fclose(f);
	if (!settings.dir[0] || !settings.port || settings.workers < 1) {
		fprintf(stderr, "%s: dir, port and workers are needed\n", file);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "-c") != 0) {
		fprintf(stderr, "usage: clerk -c FILE\n");
		return 2;
	}
	if (!settings_load(argv[2]))
		return 1;
	catalog_fill();
	serve();
	return 0;
}
