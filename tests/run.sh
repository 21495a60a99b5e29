#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh [-j N] BUILD TEST...: run test programs and scripts that speak TAP, and count.
#
# With -j N of them run at a time; what they say still comes in their order. A skip needs a reason and
# is counted; with CI=true in the environment it is a failure, because there everything that a test
# needs is present. The closing line is "N passed, N failed, N skipped". How long each took is added
# to the file that LEVEE_TIMES names, if any.
set -u
jobs=1
if [ "${1:-}" = -j ]; then
	jobs=$2
	shift 2
fi
build=$1
shift
logs=$build/logs
mkdir -p "$logs"
export LEVEE_BUILD=$build
export CMOCKA_MESSAGE_OUTPUT=tap
passed=0 failed=0 skipped=0
tests=("$@") running=()
trap 'trap - INT TERM; [ ${#running[@]} -eq 0 ] || kill "${running[@]}" 2>/dev/null; wait; exit 130' INT TERM

log_of() { printf '%s/%s.log' "$logs" "$(printf %s "${1#"$build"/}" | tr / _)"; }

# A shell of its own, so that its end and its time are known when its turn comes.
run() {
	local log start code pid
	log=$(log_of "$1")
	start=$(date +%s.%N)
	"$1" >"$log" 2>&1 </dev/null &
	pid=$!
	trap 'kill $pid 2>/dev/null; wait $pid; exit 130' INT TERM
	wait "$pid"
	code=$?
	printf '%s %s\n' "$start" "$(date +%s.%N)" | awk '{printf "%.1f\n", $2 - $1}' >"$log.seconds"
	return "$code"
}

report() {
	local name=${1#"$build"/} code=$2 log seconds skip bad good
	log=$(log_of "$1")
	seconds=$(cat "$log.seconds")
	rm -f "$log.seconds"
	[ -z "${LEVEE_TIMES:-}" ] || printf '%s %s %s\n' "$seconds" "$build" "$name" >>"$LEVEE_TIMES"
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
}

started=0
for ((turn = 0; turn < ${#tests[@]}; turn++)); do
	while [ "$started" -lt ${#tests[@]} ] && [ $((started - turn)) -lt "$jobs" ]; do
		run "${tests[started]}" &
		running[started]=$!
		started=$((started + 1))
	done
	wait "${running[turn]}"
	code=$?
	unset "running[turn]"
	report "${tests[turn]}" "$code"
done

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
