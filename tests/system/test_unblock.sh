#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# An unblock takes effect in the kernel at once, also while a bin with very many sources is being closed.
# LEVEE_LONG=1 takes a million sources and thirty bins; the quick form, in `make check`, fewer of both.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root
sources=100000 bins=12 length=2
[ "${LEVEE_LONG:-}" != 1 ] || sources=1000000 bins=30 length=5
make_pair
configure "bin = $length" "window = $((length * 20))" 'min_packets = 100000'
sed -i "/^pin/a sources = $((sources * 2))" "$config"
printf '[api]\nsocket = %s\ngroup =\n' "$dir/levee.sock" >>"$config"
check 'the daemon starts' start_levee
# What else this machine does is not to be measured: both go before everything else. (Nice values do not
# count between sessions, where the kernel groups processes by these.)
first() { chrt --all-tasks --rr --pid 5 "$daemon"; }
check 'it goes before other work' first
check "it is unblocked beside $sources sources, at the end of $bins bins" \
	eval 'chrt --rr 5 python3 tests/system/filled.py unblock "$pin/program" "$sources" "$dir/levee.sock" "$bins" >"$dir/times"'
jq -c . "$dir/times" | sed 's/^/# /'
check 'which were there' jq -e --argjson n "$sources" '.sources | max >= $n * 0.9' "$dir/times"
check 'no bin was late' jq -e '.late == 0' "$dir/times"
# A close of so many takes hundreds of milliseconds. One may be late: a virtual machine's CPUs are taken from
# it now and then.
jq -r '.effect_ms | sort | "# half within \(.[length / 2 | floor]) ms, 9 of 10 within \(.[length * 9 / 10 | floor]) ms, all within \(.[-1]) ms"' "$dir/times"
check 'each unblock takes effect within 10 ms, but for one within 50 ms' \
	jq -e '.effect_ms | sort | .[-2] < 10 and .[-1] < 50' "$dir/times"
stop_levee
finish
