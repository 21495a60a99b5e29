#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# 100 clients poll the API and 10 follow its events while very many sources are tracked: bins close on
# time, answers come soon, followers miss nothing, and a packet costs what it costs without them. What was
# measured is printed; the limits that fail the test are wide, because the machine that tests may be loaded.
# LEVEE_LONG=1 takes a million sources and the limit that a machine of its own is held to.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
sources=100000 bin=2 seconds=12 p99=500
[ "${LEVEE_LONG:-}" != 1 ] || sources=1000000 bin=10 seconds=60 p99=50
make_pair
configure "bin = $bin" "window = $((bin * 30))" 'min_packets = 100000'
export LEVEE_SOCKET=$dir/levee.sock
sed -i "/^pin/a sources = $((sources * 2))" "$config"
printf '[api]\nsocket = %s\ngroup =\n' "$LEVEE_SOCKET" >>"$config"
check 'the daemon starts' start_levee
python3 tests/system/filled.py fill "$pin/program" "$sources" &
filler=$!
trap 'kill $filler 2>/dev/null; cleanup' EXIT
# The generator gets what the machine leaves it: a bin has as many of them as it came to.
many() { [ "$("$levee" status --json | jq .sources)" -ge $((sources / 2)) ]; }
check 'the sources are tracked in a bin' wait_for $((bin * 10)) many

measure() { python3 tests/system/api_load.py "$LEVEE_SOCKET" "$@" >"$dir/load.json" && jq -c . "$dir/load.json" | sed 's/^/# /'; }
before=$("$levee" status --json)
measure "$seconds" 100 10
after=$("$levee" status --json)
echo "# sources in the last bin: $(jq .sources <<<"$after")"
check 'every answer is good' jq -e '.errors == [] and .answers > 500' "$dir/load.json"
check "the 99th percentile of answers is below $p99 ms" jq -e --argjson max "$p99" '.p99_ms < $max' "$dir/load.json"
late() { jq -n --argjson a "$before" --argjson b "$after" '$b.bin.late - $a.bin.late'; }
closed() { jq -n --argjson a "$before" --argjson b "$after" '$b.bin.closed - $a.bin.closed'; }
check 'no bin was late' eval '[ "$(late)" -eq 0 ] && [ "$(closed)" -ge 5 ]'
check 'every follower saw every bin' jq -e --argjson n "$(closed)" '.bins_seen | length == 10 and min >= $n - 2' "$dir/load.json"

# What a packet costs, in turns with and without them.
path() {
	python3 tests/system/filled.py path "$pin/program" "$sources" \
		python3 tests/system/api_load.py "$LEVEE_SOCKET" 10 100 10 >"$dir/path.json" && jq -c . "$dir/path.json" | sed 's/^/# /'
}
path
check 'a packet costs no more beside 100 clients than without them' jq -e '.ratio < 1.3' "$dir/path.json"

# More than there is room for: refused, and nobody else is the worse for it.
too_many() { python3 tests/system/api_load.py "$LEVEE_SOCKET" 3 5 90 >"$dir/many.json" && jq -e '.errors == []' "$dir/many.json"; }
check 'more followers than there is room for disturb nobody' too_many
kill "$filler"
wait "$filler" 2>/dev/null
stop_levee
finish
