#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# 100 clients poll the API and 10 follow its events while hundreds of thousands of sources are
# tracked: bins close on time, answers come soon, followers miss nothing. What was measured is
# printed; the limits that fail the test are wide, because the machine that tests may be loaded.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
make_pair
configure 'bin = 2' 'window = 60' 'min_packets = 100000'
export LEVEE_SOCKET=$dir/levee.sock
printf '[api]\nsocket = %s\ngroup =\n' "$LEVEE_SOCKET" >>"$config"
# Each source sends every few seconds: as many of them in a bin as the generator gives packets.
cat >"$dir/many.ini" <<'INI'
[scenario]
name = many
duration = 120
bin = 1
[clients]
prefix = 10.0.0.0/8
sources = 1000000
rate = 0.1
INI
check 'the daemon starts' start_levee
in_client "$pktgen" --interface eth0 "$dir/many.ini" >/dev/null 2>&1 &
sender=$!
many() { [ "$("$levee" status --json | jq .sources)" -gt 50000 ]; }
check 'tens of thousands of sources are tracked in a bin' wait_for 40 many

measure() { python3 tests/system/api_load.py "$LEVEE_SOCKET" "$@" >"$dir/load.json" && jq -c . "$dir/load.json" | sed 's/^/# /'; }
before=$("$levee" status --json)
measure 12 100 10
after=$("$levee" status --json)
echo "# sources in the last bin: $(jq .sources <<<"$after")"
check 'every answer is good' jq -e '.errors == [] and .answers > 500' "$dir/load.json"
check 'the 99th percentile of answers is far below a second' jq -e '.p99_ms < 500' "$dir/load.json"
late() { jq -n --argjson a "$before" --argjson b "$after" '$b.bin.late - $a.bin.late'; }
closed() { jq -n --argjson a "$before" --argjson b "$after" '$b.bin.closed - $a.bin.closed'; }
check 'no bin was late' eval '[ "$(late)" -eq 0 ] && [ "$(closed)" -ge 5 ]'
check 'every follower saw every bin' jq -e --argjson n "$(closed)" '.bins_seen | length == 10 and min >= $n - 2' "$dir/load.json"

# More than there is room for: refused, and nobody else is the worse for it.
too_many() { python3 tests/system/api_load.py "$LEVEE_SOCKET" 3 5 90 >"$dir/many.json" && jq -e '.errors == []' "$dir/many.json"; }
check 'more followers than there is room for disturb nobody' too_many
kill "$sender"
wait "$sender" 2>/dev/null
stop_levee
finish
