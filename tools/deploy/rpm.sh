#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# rpm.sh: build the RPM package where rpmbuild and Amazon Linux's or Fedora's macros are; elsewhere
# the spec is only read and compared with what `make install` brings, and that is said.
set -eu
cd "$(dirname "$0")/../.."
out=$PWD/.build/rpm
command -v rpmspec >/dev/null || {
	echo 'rpm: rpmspec is missing: apt-get install rpm, or dnf install rpm-build' >&2
	exit 1
}
version=$(tools/deploy/version.sh)
# What the macros of systemd-rpm-macros come to, for machines that lack them.
if [ "$(rpm --eval '%{?_unitdir}')" ]; then
	macros=()
else
	macros=(--define '_unitdir /usr/lib/systemd/system' --define '_sysusersdir /usr/lib/sysusers.d'
		--define 'systemd_post() :' --define 'systemd_preun() :'
		--define 'systemd_postun_with_restart() :')
fi
rm -rf "$out"
mkdir -p "$out/root"
rpmspec -P "${macros[@]}" --define "levee_version $version" tools/deploy/levee.spec >"$out/levee.spec"

# Every file that is installed is in %files, and the other way round.
make -s install DESTDIR="$out/root" PREFIX=/usr >/dev/null
diff <(cd "$out/root" && find . -type f | sed 's/^\.//' | sort) \
	<(sed -n '/^%files/,$p' "$out/levee.spec" | sed -E 's/^%config\(noreplace\) //; s/\*$//' |
		grep '^/' | sort) || {
	echo 'rpm: %files and make install differ, as shown' >&2
	exit 1
}
if [ ${#macros[@]} -gt 0 ] || ! command -v rpmbuild >/dev/null; then
	echo "rpm: the spec is good ($out/levee.spec); no package is built here, for that takes Amazon" \
		'Linux 2023 or Fedora with rpm-build and systemd-rpm-macros'
	exit 0
fi
mkdir -p "$out/SOURCES"
git archive --format=tar.gz --prefix="levee-$version/" -o "$out/SOURCES/levee-$version.tar.gz" HEAD
rpmbuild -bb --define "_topdir $out" --define "levee_version $version" tools/deploy/levee.spec
find "$out/RPMS" -name '*.rpm'
