#!/bin/sh
# deb: "purge" follows "remove" when the configuration goes, too. rpm knows no
# such thing and leaves what was written.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ "$1" = purge ]; then
	rm -rf /var/lib/perfscope /var/log/perfscope /etc/perfscope
	if getent passwd perfscope >/dev/null; then
		userdel perfscope
	fi
fi
