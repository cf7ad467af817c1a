#!/bin/sh
# deb: "configure" and the version before, if any; rpm: 1 is a first installation,
# 2 an upgrade.
set -e
install -d -o perfscope -g perfscope -m 0750 /var/lib/perfscope /var/log/perfscope

upgrade=no
case "$1" in
configure) [ -z "$2" ] || upgrade=yes ;;
1) ;;
2) upgrade=yes ;;
*) exit 0 ;;
esac

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ "$upgrade" = yes ]; then
	systemctl try-restart perfscope.service
elif [ "$1" = configure ]; then
	# As Debian does it: it works as it comes.
	systemctl enable --now perfscope.service
else
	# As rpm distributions do it: what runs is the administrator's choice.
	systemctl preset perfscope.service
fi
