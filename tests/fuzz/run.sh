#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh SECONDS FUZZER...: run each libFuzzer program for that long, as many at a time as there
# are CPUs, and say in TAP how each fared.
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
# a finding, too. The shell waits for the fuzzer as a child, so that a signal reaches both.
fuzz() {
	local program=$1 name=${1##*/} pid
	local seeds=$here/corpus/${name#fuzz_} found=$build/corpus/${name#fuzz_}

	mkdir -p "$found"
	[ -d "$seeds" ] || seeds=
	"$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=16384 \
		-artifact_prefix="$build/$name-" -print_final_stats=1 "$found" ${seeds:+"$seeds"} \
		>"$build/logs/$name.log" 2>&1 </dev/null &
	pid=$!
	trap 'kill $pid 2>/dev/null; wait $pid; exit 130' INT TERM
	wait "$pid"
}

# One line of TAP, and for a failure the end of its log.
report() {
	local number=$1 name=$2 code=$3 log=$build/logs/$2.log runs

	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
	if [ "$code" -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
		echo "ok $number - $name: $runs runs in $seconds s, no finding"
		return 0
	fi
	echo "not ok $number - $name: exit $code after ${runs:-0} runs; log: .build/fuzz/logs/$name.log"
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
