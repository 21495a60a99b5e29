#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# rpm.sh: build the RPM package. On Amazon Linux or Fedora it is one to install. Elsewhere the spec is
# built all the same, with what stands in for the missing macros and with this machine's libraries, to
# see that it can be: that package is to be looked at, and that is said.
set -eu
cd "$(dirname "$0")/../.."
out=$PWD/.build/rpm
command -v rpmbuild >/dev/null || {
	echo 'rpm: rpmbuild is missing: apt-get install rpm, or dnf install rpm-build' >&2
	exit 1
}
version=$(tools/deploy/version.sh)
date=$(LC_ALL=C git log -1 --format=%cd --date='format:%a %b %d %Y' 2>/dev/null || true)
given=(--define "_topdir $out" --define "levee_version $version")
[ -z "$date" ] || given+=(--define "levee_date $date")
# What the macros of systemd-rpm-macros come to, for machines that lack them.
foreign='' nodeps=()
[ "$(rpm --eval '%{?_unitdir}')" ] || {
	foreign=yes nodeps=(--nodeps)
	given+=(--define '_unitdir /usr/lib/systemd/system'
		--define '_sysusersdir /usr/lib/sysusers.d' --define 'systemd_post() :'
		--define 'systemd_preun() :' --define 'systemd_postun_with_restart() :')
}
rm -rf "$out"
mkdir -p "$out/SOURCES"
rpmspec -P "${given[@]}" tools/deploy/levee.spec >"$out/levee.spec"

# Every library that deps.sh installs is one that the spec asks for, but for cmocka, which the tests
# alone need, DPDK, which is behind a condition, and glibc, which comes with gcc. (`deps.sh --list`
# gives the names of its own distribution, so its table is read.)
wanted=$(awk '/^table=/ { on = 1 } on && $3 ~ /-devel$/ { print $3 } /^\x27$/ { on = 0 }' tools/deps.sh |
	sed 's/^?//' | grep -v -e cmocka -e dpdk -e glibc)
asked=" $(sed -n 's/^BuildRequires://p' "$out/levee.spec" | tr '\n' ' ')"
for package in $wanted; do
	[[ $asked == *" $package "* ]] || {
		echo "rpm: levee.spec has no BuildRequires: $package, which tools/deps.sh installs" >&2
		exit 1
	}
done

git archive --format=tar.gz --prefix="levee-$version/" -o "$out/SOURCES/levee-$version.tar.gz" HEAD
rpmbuild -bb "${nodeps[@]}" "${given[@]}" tools/deploy/levee.spec >"$out/build.log" 2>&1 || {
	tail -n 40 "$out/build.log" >&2
	exit 1
}
package=$(find "$out/RPMS" -name 'levee-[0-9]*.rpm')
echo "$package"
[ -z "$foreign" ] || echo "rpm: it needs this machine's libraries: build on Amazon Linux 2023 or Fedora what is to be installed there"
