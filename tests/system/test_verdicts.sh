#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a verdict may be besides a drop, live: a source between the soft and the hard threshold is
# limited and not shut out, SYNs are judged beside packets, and a source that never answered is
# known to be one that anybody may have made up.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
make_pair
configure 'bin = 3' 'window = 60' 'fast = off' 'min_packets = 600' 'min_zscore = 40' \
	'soft_zscore = 4' 'min_syns = 200' '[block]' 'limit_rate = 100' 'limit_burst = 50'
check 'the daemon starts' start_levee

# Two equal ones among 64 sources have z = sqrt(62 / 2) = 5.6, and more with each bin without them:
# 25 when the window is full.
cat >"$dir/mix.ini" <<'INI'
[scenario]
name = mix
duration = 12
bin = 3
[clients]
prefix = 198.18.0.0/16
sources = 60
rate = 10
tcp_flags = ack
protocols = tcp:100
[heavy]
prefix = 203.0.113.0/31
sources = 2
rate = 1000
protocols = udp:100
[syn]
prefix = 203.0.113.77/32
rate = 150
protocols = tcp:100
tcp_flags = syn
[honest]
prefix = 203.0.113.88/32
rate = 150
protocols = tcp:100
tcp_flags = ack
INI
check 'the traffic is sent' in_client "$pktgen" --interface eth0 "$dir/mix.ini"
pass_bins 1

check 'who is above the soft threshold and not above the hard one is limited' \
	[ "$(sql 'select group_concat(prefix) from (select prefix from block where kind = 1 order by prefix)')" = \
		203.0.113.0,203.0.113.1,203.0.113.77 ]
check 'the kernel has a rate for them' eval "[ \"\$(rules | grep -c '^limit 203.0.113.[01]/32')\" -eq 2 ]"
# 100 packets a second pass, and a burst, for at most 12 s: far less than was sent, and not nothing.
passed() { rules | awk '/^limit 203.0.113.0/ { exit !($4 > 2000) }'; }
check 'most of what they send is dropped' passed
check 'a flood of SYNs is found by its SYNs, below the packet minimum' \
	[ "$(sql "select measure from block where prefix = '203.0.113.77'")" = 2 ]
check 'who answers is no such flood' [ -z "$(sql "select prefix from block where prefix = '203.0.113.88'")" ]
check 'who never answered may be made up' \
	[ "$(sql 'select count(*) from block where spoofable = 0')" = 0 ]
check 'the log names the measure' grep -q 'flagged 203.0.113.77 by zscore, softly: .* syns > 200' "$log"
check 'the log says what is limited' grep -q ': limit 203.0.113.0 until .*may be made up' "$log"
check 'and says what was flagged softly' grep -q 'flagged 203.0.113.[01] by zscore, softly: ' "$log"
check 'no client is blocked' [ -z "$(sql "select prefix from block where prefix like '198.%'")" ]
stop_levee
finish
