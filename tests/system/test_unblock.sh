#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# An unblock takes effect in the kernel at once, also while a bin with very many sources is being closed.
# LEVEE_LONG=1 takes a million sources and sixteen bins; the quick form, in `make check`, fewer of both.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root
sources=100000 bins=10 length=3
[ "${LEVEE_LONG:-}" != 1 ] || sources=1000000 bins=16 length=15
make_pair
configure "bin = $length" "window = $((length * 20))" 'min_packets = 100000'
sed -i "/^pin/a sources = $((sources * 2))" "$config"
printf '[api]\nsocket = %s\ngroup =\n' "$dir/levee.sock" >>"$config"
check 'the daemon starts' start_levee
# What else this machine does is not to be measured: both go before everything else.
first() { (cd "/proc/$daemon/task" && renice -n -20 -p * >/dev/null); }
check 'it goes before other work' first
check "it is unblocked beside $sources sources, at the end of $bins bins" \
	eval 'nice -n -20 python3 tests/system/filled.py unblock "$pin/program" "$sources" "$dir/levee.sock" "$bins" >"$dir/times"'
jq -c . "$dir/times" | sed 's/^/# /'
check 'which were there' jq -e --argjson n "$sources" '.sources | max >= $n * 0.9' "$dir/times"
check 'no bin was late' jq -e '.late == 0' "$dir/times"
# A close of so many takes hundreds of milliseconds. What a loaded machine has its CPUs for, and how long
# its kernel waits for running programs (the fence of the drain), is not ours: so much for the limits.
check 'half of the unblocks take effect within 20 ms, nine of ten within 80 ms' \
	jq -e '.effect_ms | sort | .[length / 2 | floor] < 20 and .[length * 9 / 10 | floor] < 80' "$dir/times"
stop_levee
finish
