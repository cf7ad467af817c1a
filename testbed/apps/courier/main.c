#include "courier.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

const char *config_file;

static struct watch signals;

static void on_signal(struct watch *w, uint32_t events)
{
	(void)events;
	struct signalfd_siginfo info;
	if (read(w->fd, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGHUP) {
		config_load(config_file, true);
		upstream_reload();
	} else {
		loop_stop();
	}
}

static void watch_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL); // before there are threads
	signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	signals.ready = on_signal;
	loop_add(&signals, EPOLLIN);
}

int main(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "-c") != 0) {
		fprintf(stderr, "usage: courier -c FILE\n");
		return 2;
	}
	config_file = argv[2];
	if (!config_load(config_file, false))
		return 1;
	if (!config.dir || !config.port || !config.admin_port) {
		fprintf(stderr, "%s: dir, port and admin.port are needed\n", config_file);
		return 1;
	}
	char file[4096];
	snprintf(file, sizeof file, "%s/courier.log", config.dir);
	loop_init();
	watch_signals();
	log_start(file);
	topics_init();
	journal_start();
	stats_start();
	upstream_start();
	clients_listen(config.port);
	admin_listen(config.admin_port);
	log_line(LOG_INFO, "courier listens on %d", config.port);
	loop_run();
	journal_stop();
	log_stop();
	return 0;
}
