#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# deb.sh: pack what `make` built, and have lintian look at it. The package is named on the last line.
set -eu
cd "$(dirname "$0")/../.."
top=$PWD
out=${DEB_OUT:-$top/.build/deb}
for tool in dh:debhelper dpkg-buildpackage:dpkg-dev fakeroot:fakeroot lintian:lintian; do
	command -v "${tool%%:*}" >/dev/null || {
		echo "deb: ${tool%%:*} is missing: apt-get install --no-install-recommends ${tool#*:}" >&2
		exit 1
	}
done

version=${DEB_VERSION:-$(tools/deploy/version.sh)}
rm -rf "$out"
mkdir -p "$out/levee"
cp -r tools/deploy/debian "$out/levee/debian"
mkdir "$out/levee/debian/source"
echo '3.0 (native)' >"$out/levee/debian/source/format"
cd "$out/levee"
date=$(git -C "$top" log -1 --format=%cd --date=rfc 2>/dev/null || date -R -r "$top/Makefile")
cat >debian/changelog <<CHANGELOG
levee ($version) unstable; urgency=medium

  * Built from the tree of this version; see its history for what changed.

 -- Levee developers <levee@example.org>  $date
CHANGELOG
# The licence's own text, once, as Debian's format wants it.
sed -n '/^Redistribution and use/,/^OF THIS SOFTWARE/p' "$top/LICENSE" | sed 's/^$/./; s/^/ /' >bsd
sed -e '/^#BSD#/{r bsd' -e 'd}' -i debian/copyright
rm bsd

LEVEE_TOP=$top DEB_BUILD_OPTIONS='noautodbgsym nocheck' \
	dpkg-buildpackage --build=binary --no-sign --no-check-builddeps >"$out/build.log" 2>&1 || {
	tail -n 40 "$out/build.log" >&2
	exit 1
}
cd "$out"
lintian --fail-on error,warning --tag-display-limit 0 levee_*.changes
ls "$PWD"/levee_*.deb
