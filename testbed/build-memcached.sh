#!/usr/bin/env bash
# Builds Debian's memcached into bin/: the package's source with its patches and
# compiler flags, but with the symbol table, which the package has stripped and
# of which memcached exports nothing. Names of functions need it.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The distribution's sources of packages, asked for their source packages; the
# system's own lists stay as they are.
mkdir -p "$work/lists/partial" "$work/parts"
for file in $(grep -lEr '/(debian|debian-security|ubuntu)/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null); do
	sed -E 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$file" >"$work/parts/$(basename "$file")"
done
options=(-q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/parts"
	-o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update
(cd "$work" && apt-get "${options[@]}" source --download-only memcached)
dpkg-source -x "$work"/memcached_*.dsc "$work/source"

repository=$PWD
cd "$work/source"
eval "$(DEB_BUILD_MAINT_OPTIONS=hardening=+all dpkg-buildflags --export=sh)"
./configure --disable-dependency-tracking
nice make memcached
strip --strip-debug memcached
mkdir -p "$repository/bin"
# Under its name only when it is complete.
cp memcached "$repository/bin/.memcached"
mv "$repository/bin/.memcached" "$repository/bin/memcached"
