#include "depot.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void *snapshot_run(void *arg)
{
	(void)arg;
	char file[4096], fresh[4096 + 8];
	snprintf(file, sizeof file, "%s/sessions.snap", config.dir);
	snprintf(fresh, sizeof fresh, "%s.new", file);
	for (;;) {
		sleep(config.snapshot);
		if (sessions_save(fresh) && rename(fresh, file) == 0)
			stats.snapshots++;
		else
			log_error("snapshot: errno %d", errno);
	}
	return NULL;
}

void snapshot_start(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, snapshot_run, NULL) != 0)
		abort();
	pthread_setname_np(t, "snapshot");
}
