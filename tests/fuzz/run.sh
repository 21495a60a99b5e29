#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh SECONDS FUZZER...: run each libFuzzer program for that much CPU time, as many at a time as
# there are CPUs, and say in TAP how each fared. On an idle machine that is SECONDS each; where others
# run it takes longer, and one that has not had its time after a hundred times as long has failed.
#
# Seeds are the small files in tests/fuzz/corpus/<name>/ (<name> without "fuzz_"); what a run finds
# beyond them is kept in .build/fuzz/corpus/<name>/, and an input that breaks something in
# .build/fuzz/<fuzzer>-*. The closing line is "N passed, N failed, 0 skipped".
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$here/../.." && pwd)/.build/fuzz
usage='usage: run.sh SECONDS FUZZER...'
seconds=${1:?$usage}
shift
case $seconds in
'' | *[!0-9]* | 0*)
	echo "run.sh: \"$seconds\" is not a number of seconds above 0" >&2
	exit 2
	;;
esac
[ $# -gt 0 ] || { echo "$usage" >&2; exit 2; }
jobs=$(nproc)
mkdir -p "$build/logs" || exit 1

children=()
stop() {
	trap - INT TERM
	[ ${#children[@]} -eq 0 ] || kill "${children[@]}" 2>/dev/null
	wait
	exit 130
}
trap stop INT TERM

# One fuzzer, to its end. Memory and time of one input are limited, so that a slow or greedy path is
# a finding, too. The shell waits for the fuzzer as a child, so that a signal reaches both. It stops
# by the clock, so it is begun again until it has had its time.
fuzz() {
	local program=$1 name=${1##*/} pid code left=$seconds end=$((SECONDS + 100 * seconds))
	local seeds=$here/corpus/${name#fuzz_} found=$build/corpus/${name#fuzz_} log=$build/logs/$name.log

	mkdir -p "$found"
	[ -d "$seeds" ] || seeds=
	: >"$log"
	while [ "$left" -gt $((seconds / 20)) ] && [ "$SECONDS" -lt "$end" ]; do
		"$program" -max_total_time="$left" -timeout="${FUZZ_TIMEOUT:-10}" -rss_limit_mb=1024 -max_len=16384 \
			-artifact_prefix="$build/$name-" -print_final_stats=1 "$found" ${seeds:+"$seeds"} \
			>>"$log" 2>&1 </dev/null &
		pid=$!
		trap 'kill $pid 2>/dev/null; wait $pid; exit 130' INT TERM
		wait "$pid"
		code=$?
		[ "$code" -eq 0 ] || return "$code"
		# CPU time of the children that have ended; only this shell itself knows it.
		times >"$log.times"
		left=$(awk -v all="$seconds" 'NR == 2 { gsub("[ms]", " ")
			print int(all - $1 * 60 - $2 - $3 * 60 - $4) }' "$log.times")
	done
	rm -f "$log.times"
	# A part of a second, or what starting takes, is not begun again for.
	[ "$left" -le $((seconds / 20 + 1)) ] && return 0
	echo "SUMMARY: it had $((seconds - left)) s of CPU time in $((100 * seconds)) s" >>"$log"
	return 1
}

# One line of TAP, and for a failure the end of its log.
report() {
	local number=$1 name=$2 code=$3 log=$build/logs/$2.log runs

	runs=$(awk '/^stat::number_of_executed_units:/ { n += $2 } END { print n + 0 }' "$log")
	if [ "$code" -eq 0 ] && [ "$runs" -gt 0 ]; then
		echo "ok $number - $name: $runs runs in $seconds s, no finding"
		return 0
	fi
	echo "not ok $number - $name: exit $code after $runs runs; log: .build/fuzz/logs/$name.log"
	grep -aE 'ERROR|SUMMARY|Test unit written|runtime error' "$log" | head -n 12 | sed 's/^/# /'
	tail -n 30 "$log" | sed 's/^/# /'
	return 1
}

fuzzers=("$@")
echo "1..$#"
passed=0 failed=0 started=0 reported=0
while [ "$reported" -lt ${#fuzzers[@]} ]; do
	while [ "$started" -lt ${#fuzzers[@]} ] && [ $((started - reported)) -lt "$jobs" ]; do
		fuzz "${fuzzers[started]}" &
		children[started]=$!
		started=$((started + 1))
	done
	wait "${children[reported]}"
	code=$?
	name=${fuzzers[reported]##*/}
	unset "children[reported]"
	reported=$((reported + 1))
	if report "$reported" "$name" "$code"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
