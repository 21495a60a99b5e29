#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Five million real packets of 100,000 sources over a veth pair and at least 20 bins: every source's
# packets and bytes are exact, the account adds up, and nothing is lost where an epoch changes.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root

# Every source is a candidate, so that the state keeps all of them; nobody is abnormal.
make_pair && configure 'bin = 1' 'window = 10080' 'min_packets = 0' 'min_zscore = 1000'
ip -n "$server" link set eth0 mtu 2000
ip -n "$client" link set eth0 mtu 2000

cat >"$dir/mix.ini" <<'INI'
[scenario]
name = mix
duration = 25
bin = 1
seed = 7
[plain4]
prefix = 198.18.0.0/15
sources = 30000
rate = 2
protocols = tcp:50 udp:40 icmp:10
[options4]
prefix = 100.64.0.0/16
sources = 10000
rate = 2
options = 1
[fragments4]
prefix = 100.65.0.0/16
sources = 10000
rate = 2
protocols = udp
fragments = 0.8
size = 700
[tagged4]
prefix = 100.66.0.0/16
sources = 10000
rate = 2
vlan = 7
[twice4]
prefix = 100.67.0.0/16
sources = 5000
rate = 2
vlan = 7 8
[plain6]
prefix = 2001:db8:1000::/36
sources = 15000
rate = 2
protocols = tcp:50 udp:50
[headers6]
prefix = 2001:db8:2000::/36
sources = 10000
rate = 2
extension_headers = 1
[fragments6]
prefix = 2001:db8:3000::/36
sources = 5000
rate = 2
protocols = udp
fragments = 0.8
size = 500
[tagged6]
prefix = 2001:db8:4000::/36
sources = 5000
rate = 2
vlan = 9 10
INI

veth_drops() { # what the wire lost, which nobody can count
	local a b
	a=$(in_client cat /sys/class/net/eth0/statistics/tx_dropped)
	b=$(in_server cat /sys/class/net/eth0/statistics/rx_dropped)
	echo $((a + b))
}

check 'the daemon starts' start_levee
before=$(bins)
in_client "$pktgen" --interface eth0 --truth "$dir/truth.csv" "$dir/mix.ini" >"$dir/pktgen.log" 2>&1
sent_code=$?
lost=$(veth_drops)
pass_bins 2
swaps=$(($(bins) - before))
sed 's/^/# /' "$dir/pktgen.log"
echo "# $swaps bins, $lost frames lost by the wire itself"

python3 tests/system/state.py truth "$dir/truth.csv" >"$dir/truth"
python3 tests/system/state.py sources "$state" >"$dir/seen"

sums() { awk '{ p += $2; b += $3 } END { printf "%d sources %d packets %d bytes\n", NR, p, b }' "$1"; }
echo "# sent:    $(sums "$dir/truth")"
echo "# counted: $(sums "$dir/seen")"
enough() { awk '{ p += $2 } END { exit !(NR == 100000 && p >= 4990000) }' "$dir/truth"; }
same() { diff "$dir/truth" "$dir/seen" | head -n 10 | tee "$dir/diff"; [ ! -s "$dir/diff" ]; }
adds_up() {
	[ "$(account received)" -eq $(($(account counted) + $(account dropped) + $(account allowed) + \
		$(account out_of_scope) + $(account unparsed))) ]
}
nothing_folded() { [ "$(account folded)" -eq 0 ] && [ "$(account unparsed)" -eq 0 ]; }
all_counted() { [ "$(account counted)" -eq "$(awk '{ p += $2 } END { print p }' "$dir/truth")" ]; }

check 'the generator sent all it was to send' [ "$sent_code" -eq 0 ]
check 'five million packets of 100,000 sources were sent' enough
check 'the wire lost none of them' [ "$lost" -eq 0 ]
check 'at least 20 bins were closed meanwhile' [ "$swaps" -ge 20 ]
check 'every source has its packets and bytes, to the last one' same
check 'received = counted + dropped + allowed + out of scope + unparsed' adds_up
check 'every packet sent was counted' all_counted
check 'nothing was folded, nothing unparsed' nothing_folded
check 'the daemon stops when told to' stop_levee
finish
