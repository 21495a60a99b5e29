#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# version.sh: the version of packages, which sorts as Debian and RPM sort: that of a tag v1.2.3; or
# behind the last tag, or before the first one, by date and commit: 1.2.3+20260131.abc1234,
# 0~20260131.abc1234.
set -eu
cd "$(dirname "$0")/../.."
tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || true)
if ! commit=$(git log -1 --format=%cd.%h --date=format:%Y%m%d 2>/dev/null); then
	echo "0~$(date -u -r Makefile +%Y%m%d)"
elif [ -z "$tag" ]; then
	echo "0~$commit"
elif [ "$(git rev-parse "$tag^{commit}")" = "$(git rev-parse HEAD)" ]; then
	echo "${tag#v}" | tr - '~'
else
	echo "$(echo "${tag#v}" | tr - '~')+$commit"
fi
