#!/bin/bash
# Runs one unit under systemd's own service manager where systemd is not the
# first process: as a manager of root's user services, which applies the same
# limits as the system's. It needs root, and mounts of its own (unshare -m).
#
#   service-manager.sh DIRECTORY UNIT
#
# The unit is DIRECTORY/systemd/user/UNIT. SIGTERM ends it with all it started.
set -euo pipefail
directory=$1 unit=$2
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0 /run/systemd/inaccessible/dir
chmod 700 /run/user/0
# What InaccessiblePaths and ProtectHome cover others with; the system's manager
# makes them when it starts.
touch /run/systemd/inaccessible/reg
mkfifo /run/systemd/inaccessible/fifo
mknod /run/systemd/inaccessible/chr c 0 0
mknod /run/systemd/inaccessible/blk b 0 0
chmod 000 /run/systemd/inaccessible/*
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
	if [ -e "$hierarchy/cgroup.procs" ]; then
		mkdir -p "$hierarchy/perfscope-test"
		echo $$ >"$hierarchy/perfscope-test/cgroup.procs"
	fi
done
export XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME=$directory HOME=$directory
unset DBUS_SESSION_BUS_ADDRESS
exec /usr/lib/systemd/systemd --user --unit="$unit"
