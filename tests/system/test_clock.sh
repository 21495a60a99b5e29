#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Steps of the wall clock, forwards and back, by seconds and by an hour, neither lift nor prolong a
# block, and no bin is lost. The daemon's own view of the clock is stepped (clock.c), no other.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
make_pair
# So long a window that neither the block ends nor a bin falls out of it while this runs.
configure 'bin = 1' 'window = 600' 'min_packets = 500' 'min_zscore = 3'
sed -i 's/^pin = .*/&\nrules = 256/' "$config" # read often

cc -std=c17 -D_GNU_SOURCE -O2 -shared -fPIC -o "$dir/clock.so" tests/system/clock.c || exit 1
step() { # to SECONDS off the true time
	python3 -c 'import os, struct, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.pwrite(fd, struct.pack("=q", int(float(sys.argv[2]) * 10**9)), 0)' "$dir/clock" "$1"
}
step 0
cat >"$dir/levee" <<SH2
#!/bin/sh
exec env LEVEE_TEST_CLOCK="$dir/clock" LD_PRELOAD="$dir/clock.so" \\
	ASAN_OPTIONS=verify_asan_link_order=0 "$levee" "\$@"
SH2
chmod +x "$dir/levee"
levee=$dir/levee

cat >"$dir/flood.ini" <<'INI'
[scenario]
name = flood
duration = 200
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = 200
rate = 10
[flood]
prefix = 203.0.113.1/32
rate = 2000
start = 3
duration = 5
flooder = yes
INI

# When the flooder's block ends, in ns of the boot clock; nothing if it is not in the kernel.
ends() {
	bpftool -j map dump pinned "$pin/maps/rules" 2>/dev/null | python3 -c '
import json, sys
for entry in json.load(sys.stdin):
    rule = entry.get("formatted", entry)["value"]
    if rule["verdict"] == 2 and rule["hi"] == 203 << 24 | 113 << 8 | 1:
        print(rule["expires_ns"])'
}
boot_ns() { python3 -c 'import time; print(time.clock_gettime_ns(time.CLOCK_BOOTTIME))'; }
values() { grep 'info: bin to' "$log" | tail -n 1 | sed -E 's/.*window n = ([0-9]+).*/\1/'; }
stored() { sql 'select count(*) from bin'; }
within() { local off=$(($1 - $2)); [ "${off#-}" -le "$3" ] || { echo "$1, not $2 +- $3"; false; }; }

check 'the daemon starts' start_levee
nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 --truth "$dir/truth.csv" "$dir/flood.ini" >"$dir/pktgen.log" 2>&1 &
sender=$!
check 'the flood is blocked' wait_for 40 is_blocked 203.0.113.1
# A block is prolonged while its flood goes on. From here on its end stands.
is_over() {
	local before
	before=$(drops 203.0.113.1)
	pass_bins 2
	[ "$(drops 203.0.113.1)" = "$before" ]
}
check 'the flood ends' wait_for 60 is_over
end_ns=$(ends) first_ns=$(boot_ns) first_bins=$(stored)

steady() { # STEP: after it the block ends when it was to, and the window holds what it held
	local before
	before=$(values)
	step "$1"
	pass_bins 2
	echo "window: $before values before, $(values) after"
	within "$(ends)" "$end_ns" 100000000 && [ "$(values)" -ge "$before" ]
}
check 'a step of 17 s forwards changes neither block nor window' steady 17
check 'and the same back, neither' steady 0
check 'a step of an hour back changes neither' steady -3600
check 'an hour forwards again, neither' steady 0
check 'a step of an hour forwards changes neither' steady 3600
check 'and the same back, neither' steady 0
check 'half a second forwards changes neither' steady 0.5
check 'each of the large steps was said' eval \
	'[ "$(grep -cE "wall clock stepped by -?(17|3600)\.[0-9]{3} s" "$log")" -ge 6 ]'

names_rise() {
	grep 'info: bin to' "$log" | sed -E 's/.*bin to ([^ ]*Z).*/\1/' >"$dir/names"
	sort -uc "$dir/names"
}
check 'no two evaluations have the same time, and they follow each other' names_rise
one_a_second() {
	local closed seconds
	pass_bins 1
	closed=$(($(stored) - first_bins)) seconds=$((($(boot_ns) - first_ns) / 1000000000))
	echo "$closed bins in $seconds s"
	# A step that ends a bin at once makes one more; a late wake-up is a bin that is stored late.
	[ "$closed" -ge $((seconds - 3)) ] && [ "$closed" -le $((seconds + 9)) ]
}
check 'as many bins were closed as seconds went by' one_a_second

# ---- a restart under a clock that stepped meanwhile ------------------------------------------

restart() { # under a clock so many seconds off: block and window go on as they were
	local before
	before=$(values)
	stop_levee KILL
	step "$1"
	start_levee || return 1
	pass_bins 2
	grep 'notice: levee ' "$log" | tail -n 1 | sed 's/.*window/window/'
	echo "window: $before values before, $(values) after"
	within "$(ends)" "$end_ns" 100000000 && [ "$(values)" -ge "$before" ]
}
check 'a restart after an hour back goes on with block and window' restart -3600
check 'a restart after an hour forwards does, too' restart 0
check 'bins still follow each other by name' names_rise

kill -TERM "$sender"
wait "$sender"
pass_bins 2
sent=$(awk -F, 'NR > 1 { n += $4 } END { print n }' "$dir/truth.csv")
nothing_lost() {
	echo "sent $sent; counted $(account counted), dropped $(account dropped)"
	[ $(($(account counted) + $(account dropped))) -eq "$sent" ]
}
in_bins() { [ "$(python3 tests/system/state.py sum "$state")" -eq "$(account counted)" ]; }
check 'every packet sent was counted or dropped, once' nothing_lost
check 'and is in a bin' in_bins
check 'the daemon stops when told to' stop_levee
finish
