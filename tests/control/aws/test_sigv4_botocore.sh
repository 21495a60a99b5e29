#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Thousands of random requests, signed by us and by botocore, which shares no line with us. The
# seed is fixed and printed; LEVEE_SEED=N takes another, LEVEE_REQUESTS=N more of them.
set -u
top=$(cd "$(dirname "$0")/../../.." && pwd)
signer=${LEVEE_BUILD:-$top/.build/release}/tests/control/aws/test_sigv4
[ -x "$signer" ] || signer=$top/$signer
venv=$top/.build/venv/botocore

skip() {
	echo "ok 1 - botocore signs as we do # SKIP $1"
	echo '1..1'
	exit 0
}

if [ ! -x "$signer" ]; then
	echo "not ok 1 - botocore signs as we do: $signer is not built; make unit"
	echo '1..1'
	exit 1
fi
if ! "$venv/bin/python" -c 'import botocore.auth' 2>/dev/null; then
	command -v python3 >/dev/null || skip 'there is no python3'
	rm -rf "$venv"
	python3 -m venv "$venv" >/dev/null 2>&1 || skip 'python3 -m venv fails; install python3-venv'
	"$venv/bin/pip" install --quiet --disable-pip-version-check 'botocore>=1.38,<2' \
		>/dev/null 2>&1 || skip 'pip cannot install botocore; is there a package index?'
fi
exec "$venv/bin/python" "$top/tests/control/aws/sigv4_botocore.py" "$signer"
