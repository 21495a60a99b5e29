#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# From one build to the next with the program attached and a flood arriving: to the same build, to one
# whose maps have another layout, and back. Not a packet of a blocked source gets through, and window and
# blocks are kept, and what each block has dropped: exactly, as sent less passed. (That no count is lost over a restart of the same build is test_kill.sh's.)
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root
command -v nft >/dev/null || {
	echo 'ok 1 - upgrade # SKIP nft is not installed'
	echo '1..1'
	exit 0
}

# ---- another build -------------------------------------------------------------------------------

# What does not see the header that changes keeps its object: times are copied as they are.
next=$dir/next
make_next() {
	local header=$next/include/levee/shared.h
	mkdir -p "$next/.build/release" &&
		cp -a Makefile README.md control dataplane ebpf include tools "$next/" && mkdir "$next/tests" &&
		cp -a "$build/control" "$build/dataplane" "$build/ebpf" "$build/page" "$next/.build/release/" &&
		sed -i -E 's/^(#define LEVEE_LAYOUT) ([0-9]+)/\1 1\2/
			s/^(struct levee_row \{)/\1\n\t__u64 _grown[64];/
			s/^(_Static_assert\(sizeof\(struct levee_row\) ==)/\1 512 +/
			s/^(_Static_assert\(__builtin_offsetof\(struct levee_row, [a-z0-9_]+\) ==)/\1 512 +/' "$header" &&
		make -s -C "$next" -j2 .build/release/levee
}
layout() { "$1" version | sed -n 's/^map layout: //p'; }
layouts_differ() { [ "$(layout "$levee")" != "$(layout "$next/.build/release/levee")" ]; }
first=$levee
mkdir -p "$dir"
if [ "${build##*/}" != release ]; then
	echo 'ok 1 - upgrade # SKIP only with the release build, whose objects are used again'
	echo '1..1'
	exit 0
fi
check 'another build with another layout of its maps' make_next
check 'the layouts differ' layouts_differ

# ---- the way -------------------------------------------------------------------------------------

make_pair
configure 'bin = 1' 'window = 600' 'min_packets = 300'
sed -i '/^pin/a rules = 64' "$config"
cat >"$dir/traffic.ini" <<'INI'
[scenario]
name = upgrade
duration = 120
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = 100
rate = 5
[flood]
prefix = 203.0.113.0/31
sources = 2
rate = 1000
start = 2
flooder = yes
INI
in_server nft -f - <<'NFT'
table netdev seen {
	chain in {
		type filter hook ingress device "eth0" priority 0;
		ip saddr 203.0.113.0/31 counter
	}
}
NFT
passed() { in_server nft -j list table netdev seen | jq '[.nftables[].rule.expr?[]?.counter?.packets? // empty] | add'; }
both_blocked() { [ "$(grep -cE 'notice: block 203\.0\.113\.[01] until' "$log")" -ge 2 ]; }
hits() { bpftool -j map dump pinned "$pin/maps/hits" | jq '[.[].formatted.value.packets] | add'; }
link_id() { bpftool -j link show pinned "$pin/links/eth0" | jq .id; }
taken_over() { tail -n +"$((log_lines + 1))" "$log" | grep -q "[1-9][0-9]* bins and 2 blocks taken over"; }
drops_again() {
	local n
	n=$(hits) && wait_for 10 eval "[ \"\$(hits)\" -gt $n ]"
}

check 'the first build runs' start_levee
link=$(link_id)
nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 --truth "$dir/truth.csv" "$dir/traffic.ini" >/dev/null 2>&1 &
sender=$!
check 'a flood is blocked' wait_for 20 both_blocked
pass_bins 1
through=$(passed)
echo "# $through packets had passed before the blocks"

# upgrade_to BUILD: stop, start, as a package does
upgrade_to() {
	local before
	before=$(hits) && stop_levee TERM && levee=$1 && start_levee && taken_over && [ "$(hits)" -ge "$before" ] && drops_again
}
check 'the same build takes over, with window and blocks' upgrade_to "$first"
check 'the next build, with another layout, takes over, with window and blocks' upgrade_to "$next/.build/release/levee"
said_so() { grep -q 'maps pinned in .* are of another version' "$log"; }
check 'it says what it could not take over' said_so
check 'and back again' upgrade_to "$first"
same_link() { [ "$(link_id)" = "$link" ]; }
nothing_through() {
	local now
	now=$(passed)
	[ "$now" -eq "$through" ] || { echo "$((now - through)) packets of blocked sources passed" && false; }
}
check 'the interface was never detached' same_link
check 'not one packet of a blocked source passed in all that' nothing_through
blocks_go_on() { [ "$(grep -cE 'notice: lift 203' "$log")" -eq 0 ] && [ "$(sql 'select count(*) from block')" -eq 2 ]; }
check 'no block was lifted on the way' blocks_go_on
kill -TERM "$sender"
wait "$sender"
sent() { awk -F, '/,203\.0\.113\.[01],/ { n += $4 } END { print n }' "$dir/truth.csv"; }
all_known() { [ "$(hits)" -eq $(($(sent) - through)) ]; }
check 'every packet that was dropped, by whatever build, is in the counters of its block' wait_for 10 all_known
echo "# $(sent) sent, $(hits) dropped by the counters"
stop_levee

# What the kernel's maps cannot say any more, the state file does.
"$levee" detach --force --pin "$pin" >/dev/null
dropped=$(($(sent) - through))
check 'attached anew, the first build runs' start_levee
check 'with the counters that it left' [ "$(hits)" -eq "$dropped" ]
stop_levee

# ---- the running bin -----------------------------------------------------------------------------

# A long bin, so that all of it is sent before its close; then nothing is sent, so that nothing is missed.
"$levee" detach --force --pin "$pin" >/dev/null
rm -rf "${state%/*}"
configure 'bin = 20' 'window = 600' 'min_packets = 100000'
sed -i '/^pin/a rules = 64' "$config"
cat >"$dir/some.ini" <<'INI'
[scenario]
name = some
duration = 1
[clients]
prefix = 198.18.0.0/16
sources = 50
rate = 20
INI
check 'with another state, the first build runs' start_levee
check 'a thousand packets are sent' in_client "$pktgen" --interface eth0 --packets 1000 "$dir/some.ini"
goes_on() { stop_levee TERM && levee=$next/.build/release/levee && start_levee; }
check 'the next build, with another layout, takes its place within the bin' goes_on
all_there() { [ "$(account counted)" -ge 1000 ]; }
check 'what was counted before is in the bin that it closes' wait_for 60 all_there
echo "# $(account counted) packets counted, $(account received) received"
check 'by source' [ "$(sql 'select max(n) from bin')" -ge 50 ]
stop_levee
finish
