#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check.sh: everything that `make check` runs, and one count at the end. Each part prints its own
# lines and closes with "N passed, N failed, N skipped"; a part that fails does not stop the others.
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
log=.build/check.log
mkdir -p .build

# part TITLE COMMAND...: run it, and add up its closing line. One that has none has failed.
part() {
	local title=$1 line start=$SECONDS
	shift
	echo "== $title"
	"$@" 2>&1 | tee "$log"
	local code=${PIPESTATUS[0]}
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
	if [ -n "$line" ]; then
		read -r p _ f _ s _ <<<"$line"
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
		[ "$code" -eq 0 ] || [ "$f" -gt 0 ] || failed=$((failed + 1))
	elif [ "$code" -ne 0 ]; then
		echo "$title: exit code $code"
		failed=$((failed + 1))
	fi
	echo "== $title: $((SECONDS - start)) s"
}

run_make() {
	${MAKE:-make} --no-print-directory "$@"
}

part 'build' run_make -j2 all tests
part 'build with ASan and UBSan' run_make -j2 SAN=1 all tests
part 'lint' run_make lint
part 'unit tests' run_make unit
part 'unit tests under ASan and UBSan' run_make SAN=1 unit
if [ "$(id -u)" -eq 0 ]; then
	part 'kernel tests' run_make kernel
	part 'kernel tests under ASan and UBSan' run_make SAN=1 kernel
	part 'system tests' run_make system
else
	echo 'kernel and system tests need root: left out, 2 skipped'
	skipped=$((skipped + 2))
fi
part 'fuzz' run_make -j2 fuzz FUZZ_SECONDS="${FUZZ_SECONDS:-60}"

echo
echo "$passed passed, $failed failed, $skipped skipped"
if [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; then
	echo 'CI=true: a skipped test is a failed one'
	exit 1
fi
[ "$failed" -eq 0 ]
