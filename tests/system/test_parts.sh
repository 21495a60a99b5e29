#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A kernel that takes no map values above 4 MB (an old one; Linux 6.1 takes them) gets a large table in
# parts: every source is counted to the last packet all the same, in whatever part its bucket is.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root

# Where there is no compiler it was built before, see tests/qemu/old_kernel.sh.
refuse=${LEVEE_REFUSE:-$dir/refuse.so}
[ -e "$refuse" ] || cc -std=c17 -D_GNU_SOURCE -O1 -shared -fPIC -o "$refuse" tests/system/refuse.c || exit 1
# A bin that does not end meanwhile: at its end the tables shrink to what their sources need.
for bin in 3600 3000 2700; do
	[ $(($(date +%s) % bin)) -gt $((bin - 120)) ] || break
done
make_pair && configure "bin = $bin" "window = $((2 * bin))" 'min_packets = 0' 'min_zscore = 1000'
sed -i '/^pin/a sources = 1048576\nsources6 = 1048576' "$config"

cat >"$dir/mix.ini" <<'INI'
[scenario]
name = parts
duration = 3
bin = 1
seed = 11
[four]
prefix = 198.18.0.0/15
sources = 60000
rate = 1
protocols = udp
[six]
prefix = 2001:db8:1000::/36
sources = 30000
rate = 1
protocols = udp
INI

value() { bpftool -j map show pinned "$pin/maps/$1" | jq .bytes_value; }
elements() { bpftool -j map show pinned "$pin/maps/$1" | jq .max_entries; }
in_parts() { [ "$(value sources4)" -eq $((4 << 20)) ] && [ "$(value sources6)" -eq $((4 << 20)) ] && [ "$(elements sources4)" -ge 16 ]; }
all_in_use() { bpftool -j map dump pinned "$pin/maps/control" | jq -e '.[0].formatted.value[".bss"][0].levee.control | .bits4[.seq % 2] == .geo.bits4 and .bits6[.seq % 2] == .geo.bits6'; }
whole() { [ "$(value "$1")" -eq $((2 * $(cpus) * $2 << 20)) ] && [ "$(elements "$1")" -eq 1 ]; }
cpus() { jq -Rn '[inputs | split(",")[] | split("-") | (.[1] // .[0] | tonumber) - (.[0] | tonumber) + 1] | add' /sys/devices/system/cpu/possible; }

send() { in_client "$pktgen" --interface eth0 --truth "$dir/truth.csv" "$dir/mix.ini" >"$dir/pktgen.log" 2>&1; }
# The running bin's counts, summed over CPUs.
counted() { { list sources4; list sources6; } | awk '!/^#/ { p[$1] += $2; b[$1] += $3 } END { for (s in p) print s, p[s], b[s] }' | sort; }
truth() { python3 tests/system/state.py truth "$dir/truth.csv" | sort; }
same() { diff <(truth) <(counted) | head -n 10 | tee "$dir/diff"; [ ! -s "$dir/diff" ]; }
# Where the kernel takes iterators: `cat` finds every bucket in its part, and prints the same.
cat_same() { grep -q . <(sed 1d "$pin/$1") && diff <(list "$1" | sort) <(sort "$pin/$1") | head -n 10 | tee "$dir/diff"; [ ! -s "$dir/diff" ]; }
cats() {
	grep -q 'no lists to .cat.' "$log" && return
	check "cat sources4 prints the same as levee list, $1" cat_same sources4
	check "cat sources6 prints the same as levee list, $1" cat_same sources6
}
export REFUSE='0:2>4194304=7' LD_PRELOAD=$refuse
check 'the daemon starts where the kernel takes no large values' start_levee
check 'its tables are in parts' in_parts
check 'and all of them is in use before anything is known of the sources' all_in_use
send
check 'every source has its packets and bytes' wait_for 5 same
once() { list sources4 | sed 1d | cut -d ' ' -f 1,4,5 | sort | uniq -d | awk 'END { exit NR > 100 }'; }
check 'each source has one slot a CPU, but for a few' once
check 'and there are enough of them' [ "$(truth | wc -l)" -ge 80000 ]
cats 'in parts'
check 'the daemon is killed' eval '! stop_levee KILL'
check 'and starts again' start_levee
check 'with the same tables, and all counts in them' same
stop_levee
"$levee" detach --pin "$pin" >/dev/null
export REFUSE='0:2>16777216=7'
larger() { [ "$(value sources4)" -eq $((16 << 20)) ] && [ "$(value sources6)" -eq $((16 << 20)) ]; }
check 'the daemon starts where the kernel takes somewhat larger ones' start_levee
check 'its parts are as large as they can be: of IPv4 a row, of IPv6 half of one' larger
send
check 'every source has its packets and bytes in such ones' wait_for 5 same
stop_levee
"$levee" detach --pin "$pin" >/dev/null
unset LD_PRELOAD REFUSE
check 'the daemon starts where it takes them' start_levee
check 'all rows of IPv4 are one value of their map' whole sources4 16
check 'and of IPv6' whole sources6 32
send
check 'every source has its packets and bytes there, too' wait_for 5 same
cats 'one value each'
check 'the daemon stops when told to' stop_levee
finish
