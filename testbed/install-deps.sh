#!/usr/bin/env bash
# Installs what the build and the demo need on Debian or Ubuntu, and only what is
# missing; with "all" as its argument also every server of the testbed, with
# "kernels" what the tests on other kernels need, with "bench" the tools that
# the bench compares with, with "install" what the tests of the installation need. The servers are installed, never started: the demo
# starts its own, on free ports of the loopback interface.
set -euo pipefail

# program looked for -> package that brings it
needed=(
	gcc:gcc make:make git:git
	clang:clang llvm-strip:llvm
	redis-server:redis-server nginx:nginx-light memcached:memcached
)
# What only the scenarios of the evaluation need.
if [ "${1:-}" = all ]; then
	needed+=(
		apache2:apache2-bin lighttpd:lighttpd bindfs:bindfs haproxy:haproxy
		node:nodejs npm:npm mariadbd:mariadb-server-core my_print_defaults:mariadb-client-core
		dpkg-source:dpkg-dev ip:iproute2 curl:curl runc:runc
		javac:openjdk-17-jdk-headless
		/usr/share/tomcat10/bin/catalina.sh:tomcat10
		varnishd:varnish mosquitto:mosquitto squid:squid
		slapd:slapd dovecot:dovecot-imapd named:bind9
		prometheus:prometheus etcd:etcd-server docker-registry:docker-registry
		prometheus-alertmanager:prometheus-alertmanager prometheus-pushgateway:prometheus-pushgateway
		chromium:chromium rclone:rclone radicale:radicale
		uwsgi-core:uwsgi-core uwsgi_python3:uwsgi-plugin-python3
		erlc:erlang-base rustc:rustc ruby:ruby puma:puma beanstalkd:beanstalkd rsyslogd:rsyslog starman:starman snmpd:snmpd privoxy:privoxy influxd:influxdb unicorn:unicorn ngircd:ngircd tarantool:tarantool h2o:h2o stunnel4:stunnel4 ocamlopt:ocaml-nox dnsmasq:dnsmasq-base gearmand:gearman-job-server cargo:cargo php8.2:php8.2-cli c++:g++ freeradius:freeradius activemq:activemq rabbitmq-server:rabbitmq-server
	)
fi
# What only the tests on other kernels need.
if [ "${1:-}" = kernels ]; then
	needed=(qemu-system-x86_64:qemu-system-x86 cpio:cpio)
fi
# What only the comparison with other tools needs.
if [ "${1:-}" = bench ]; then
	needed=(bpftrace:bpftrace perf:linux-perf strace:strace)
fi
# What only the tests of the installation need.
if [ "${1:-}" = install ]; then
	needed=(debootstrap:debootstrap systemd-analyze:systemd rpm:rpm)
fi
export PATH="$PATH:/usr/sbin:/sbin"

missing=()
for pair in "${needed[@]}"; do
	command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ -e /usr/include/bpf/bpf_helpers.h ] || missing+=(libbpf-dev)
[ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
[ "${1:-}" != all ] || [ -e /usr/include/event.h ] || missing+=(libevent-dev) # build-memcached.sh
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
[ "${1:-}" != all ] || compgen -G '/usr/sbin/php-fpm[0-9]*' >/dev/null || missing+=(php-fpm)
[ "${1:-}" != all ] || compgen -G '/usr/lib/apache2/modules/libphp*.so' >/dev/null || missing+=(libapache2-mod-php)
if [ "${1:-}" = all ]; then
	for pair in /usr/sbin/pdns_server:pdns-server /usr/share/pdns-backend-sqlite3:pdns-backend-sqlite3 /usr/bin/sqlite3:sqlite3 \
		/usr/share/java/zookeeper.jar:libzookeeper-java /usr/sbin/proftpd:proftpd-core /usr/lib/freeradius/rlm_rest.so:freeradius-rest \
		/usr/lib/python3/dist-packages/aiohttp:python3-aiohttp /usr/lib/python3/dist-packages/flask:python3-flask /usr/lib/python3/dist-packages/django:python3-django \
		/usr/lib/python3/dist-packages/gunicorn:python3-gunicorn /usr/lib/python3/dist-packages/requests:python3-requests /usr/lib/python3/dist-packages/yaml:python3-yaml \
		/usr/lib/python3/dist-packages/tornado:python3-tornado /usr/lib/python3/dist-packages/cachetools:python3-cachetools /usr/lib/python3/dist-packages/sqlalchemy:python3-sqlalchemy \
		/usr/lib/python3/dist-packages/fastapi:python3-fastapi /usr/lib/python3/dist-packages/uvicorn:python3-uvicorn /usr/share/rubygems-integration/all/gems/webrick-1.8.1:ruby-webrick \
		/usr/lib/nginx/modules/ngx_http_xslt_filter_module.so:libnginx-mod-http-xslt-filter /usr/share/java/h2.jar:libh2-java /usr/share/java/logback-classic.jar:liblogback-java \
		/usr/lib/python3/dist-packages/gevent:python3-gevent /usr/lib/python3/dist-packages/aiosmtpd:python3-aiosmtpd /usr/lib/python3/dist-packages/dns:python3-dnspython \
		/usr/lib/python3/dist-packages/pygments:python3-pygments /usr/share/doc/ruby-sinatra:ruby-sinatra /usr/share/doc/ruby-activerecord:ruby-activerecord /usr/share/doc/ruby-sqlite3:ruby-sqlite3 \
		/usr/share/doc/librust-regex-dev:librust-regex-dev /usr/share/doc/librust-aho-corasick-dev:librust-aho-corasick-dev /usr/share/doc/librust-tokio-dev:librust-tokio-dev; do
		[ -e "${pair%%:*}" ] || missing+=("${pair##*:}")
	done
fi
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)

if ! command -v go >/dev/null; then
	echo "Go is missing: install Go 1.26 or newer (https://go.dev/doc/install) and put it on PATH." >&2
	exit 1
fi
[ "${#missing[@]}" -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
	echo "Missing: ${missing[*]} (Debian's package names). This machine has no apt-get: install them by hand." >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "Missing: ${missing[*]}. Run as root, or: sudo apt-get install ${missing[*]}" >&2
	exit 1
fi

# Packages of servers start them when they are configured. This keeps them
# from it, and puts back what was there before.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi

echo "Installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -q --no-install-recommends "${missing[@]}"; }
# The list of packages may be empty or old: fetch it only if it has to be.
install || { apt-get update -q && install; }
