#!/bin/sh
# The account the service runs under. systemd-sysusers would do it, too, but is
# not everywhere.
set -e
if ! getent group perfscope >/dev/null; then
	groupadd --system perfscope
fi
if ! getent passwd perfscope >/dev/null; then
	useradd --system --gid perfscope --no-create-home --home-dir /var/lib/perfscope \
		--shell /usr/sbin/nologin --comment "PerfScope collector" perfscope
fi
