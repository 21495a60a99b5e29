#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The lease and its fencing token, every interleaving of them; and that what makes them safe does.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v spin >/dev/null || {
	echo 'ok 1 - the model of the lease # SKIP no spin'
	echo '1..1'
	exit 0
}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
model=$PWD/tests/model/lease.pml
n=0

# verify NAME WANTED DEFINES...: WANTED is how many errors are to be found, 0 or 1
verify() {
	local name=$1 wanted=$2
	shift 2
	n=$((n + 1))
	rm -f "$dir"/pan*
	(cd "$dir" && spin -a "$@" "$model" >/dev/null && cc -O2 -DSAFETY -DCOLLAPSE -w -o pan pan.c &&
		timeout 300 ./pan -m100000 >pan.out 2>&1)
	if grep -q "errors: $wanted\$" "$dir/pan.out" && ! grep -qE 'max search depth too small|out of memory' "$dir/pan.out"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$dir/pan.out" | tail -n 20
	fi
	sed -nE 's/.* ([0-9.e+]+) states, stored.*/# \1 states/p' "$dir/pan.out"
}

verify 'no two leaders write, and tokens never go back' 0
verify 'without the time limit of a call that would not hold' 1 -DNO_DEADLINE
verify 'nor if a new leader wrote at once' 1 -DNO_WAIT
verify 'nor if an engine that lost everything elected at once' 1 -DNO_QUIET
echo "1..$n"
