#!/usr/bin/env bash
# Fetches Debian's kernels for the kernel tests: fetch.sh DIRECTORY. Only the
# images are kept, as DIRECTORY/vmlinuz-SUITE; nothing is installed, and the
# machine's own list of packages is left alone.
set -euo pipefail
dir=$1
mkdir -p "$dir"
# The mirror that this machine's own packages come from.
known() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n 's|/debian/$||p' | sort -u | sed -n 1p; }
mirror=$(known)
if [ -z "$mirror" ]; then
	apt-get update -q >/dev/null # before its first list, apt names none
	mirror=$(known)
fi
if [ -z "$mirror" ]; then
	echo "apt knows no Debian mirror, from which the kernels come: this needs Debian" >&2
	exit 1
fi
for suite in bullseye bookworm trixie; do
	[ -s "$dir/vmlinuz-$suite" ] && continue
	apt=$(mktemp -d)
	trap 'rm -rf "$apt"' EXIT
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/image"
	chmod -R a+rX "$apt"
	cat >"$apt/sources.list" <<-END
		deb $mirror/debian $suite main
		deb $mirror/debian-security $suite-security main
	END
	options=(-q -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::Etc::preferencesparts=/dev/null -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
		-o APT::Sandbox::User=root)
	apt-get "${options[@]}" update >"$apt/log" 2>&1 || { cat "$apt/log" >&2; exit 1; }
	package=$(apt-cache "${options[@]}" depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
	echo "fetching $package"
	(cd "$apt" && apt-get "${options[@]}" download "$package" >"$apt/log" 2>&1) || { cat "$apt/log" >&2; exit 1; }
	dpkg-deb --fsys-tarfile "$apt"/*.deb | tar x -C "$apt/image" --wildcards './boot/vmlinuz-*'
	mv "$apt"/image/boot/vmlinuz-* "$dir/vmlinuz-$suite"
	rm -rf "$apt"
done
