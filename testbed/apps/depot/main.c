#include "depot.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "-c") != 0) {
		fprintf(stderr, "usage: depot -c FILE\n");
		return 2;
	}
	if (!config_load(argv[2]))
		return 1;
	if (!config.dir || !config.port) {
		fprintf(stderr, "%s: dir and port are needed\n", argv[2]);
		return 1;
	}
	// Large answers must not leave holes in the heaps of the workers.
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);

	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL); // main's alone

	char file[4096];
	snprintf(file, sizeof file, "%s/items.tsv", config.dir);
	if (!items_load(file) || !docs_load())
		return 1;
	snprintf(file, sizeof file, "%s/sessions.snap", config.dir);
	sessions_load(file);
	log_start();
	sessions_start();
	snapshot_start();
	workers_start(config.workers);
	listener_start(config.port);
	int signal;
	sigwait(&set, &signal);
	snprintf(file, sizeof file, "%s/sessions.snap", config.dir);
	return sessions_save(file) ? 0 : 1;
}
