#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# npm.sh FOLDER: what the page's test needs from npm, as tests/page/package-lock.json names it. Takes
# no time if it is there. Several may want it at once: the first makes it.
set -eu
cd "$(dirname "$0")"
here=$PWD
cd - >/dev/null
mkdir -p "$1"
cd "$1"
exec 9>installed.lock
flock 9
cmp -s "$here/package-lock.json" installed.json && exit 0
cp "$here/package.json" "$here/package-lock.json" .
npm ci --no-audit --no-fund --fetch-retries=1 --fetch-timeout=20000
cp "$here/package-lock.json" installed.json
