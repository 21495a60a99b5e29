#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh BUILD TEST...: run test programs and scripts that speak TAP, and count.
#
# A skip needs a reason and is counted; with CI=true in the environment it is a failure, because
# there everything that a test needs is present. The closing line is "N passed, N failed, N skipped".
set -u
build=$1
shift
logs=$build/logs
mkdir -p "$logs"
export LEVEE_BUILD=$build
export CMOCKA_MESSAGE_OUTPUT=tap
passed=0 failed=0 skipped=0

for test in "$@"; do
	name=${test#"$build"/}
	log=$logs/$(printf %s "$name" | tr / _).log
	start=$(date +%s.%N)
	"$test" >"$log" 2>&1 </dev/null
	code=$?
	seconds=$(printf '%s %s' "$start" "$(date +%s.%N)" | awk '{printf "%.1f", $2 - $1}')
	# cmocka calls a skipped test "not ok N # SKIP".
	skip=$(grep -ciE '^(not )?ok .*# skip' "$log")
	bad=$(grep '^not ok' "$log" | grep -vci '# skip')
	good=$(grep '^ok' "$log" | grep -vci '# skip')
	# A program that dies, or says nothing, has failed even if no line says so.
	if [ "$bad" -eq 0 ] && { [ "$code" -ne 0 ] || [ $((good + skip)) -eq 0 ]; }; then
		bad=1
	fi
	if [ "$skip" -gt 0 ]; then
		grep -iE '^(not )?ok .*# skip' "$log" | sed 's/^/    /'
		if [ "${CI:-}" = true ]; then
			bad=$((bad + skip))
		fi
	fi
	passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skip))
	if [ "$bad" -gt 0 ]; then
		printf '  FAILED   %s (exit %d, %s s)\n' "$name" "$code" "$seconds"
		grep -v '^ok' "$log" | tail -n 60 | sed 's/^/    /'
	else
		printf '  ok       %s: %d (%s s)\n' "$name" "$good" "$seconds"
	fi
done

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
