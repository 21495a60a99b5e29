#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# SIGKILL at any moment: the kernel goes on, blocks end by themselves, and a restart resumes window,
# blocks and counts without detaching; over many kills no packet is lost or counted twice. Once as it
# is by default, and once with tables that fill up and bins that are judged before they close, so that
# what was counted is drained many times in a bin, and once with starts that change the tables' sizes
# and are killed themselves. LEVEE_KILLS=100 kills that often each time.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root

RANDOM=${SEED:-4711}
rounds=${LEVEE_KILLS:-6}
echo "# seed ${SEED:-4711}, $rounds kills each"
make_pair
scenario() { # RATE-AND-SOURCES-OF-CLIENTS...
	cat <<INI
[scenario]
name = long
duration = $((60 + 6 * rounds))
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = $1
rate = $2
[clients6]
prefix = 2001:db8:100::/40
sources = $3
rate = $2
[flood]
prefix = 203.0.113.0/24
sources = 3
rate = 2000
start = 3
flooder = yes
INI
}

link_id() { bpftool -j link show pinned "$pin/links/eth0" | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])'; }
flood_is_blocked() { is_blocked 203.0.113.1 && is_blocked 203.0.113.2 && is_blocked 203.0.113.3; }
grows() { # do the kernel's drops of the flooder grow, with nobody alive?
	local first
	first=$(drops 203.0.113.1)
	wait_for 2 eval "[ \"\$(drops 203.0.113.1)\" -gt $first ]"
}
send() { # TRUTH: until end_sending
	nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 --truth "$1" "$dir/long.ini" >"$dir/pktgen.log" 2>&1 &
	sender=$!
}
end_sending() {
	kill -TERM "$sender"
	wait "$sender"
}
kill_daemon() {
	kill -KILL "$daemon"
	wait "$daemon" 2>/dev/null
	daemon=''
}

# Some moment of the second: of the running bin, of its close, or right after the start.
kill_often() {
	local round first_link
	first_link=$(link_id)
	bad='' resumed=0
	for ((round = 1; round <= rounds; round++)); do
		sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
		kill_daemon
		[ $((round % 5)) -ne 0 ] || grows || bad="$bad; round $round: no drops without a daemon"
		flood_is_blocked || bad="$bad; round $round: a block is gone"
		start_levee || bad="$bad; round $round: no start"
		flood_is_blocked || bad="$bad; round $round: a block is gone after the start"
		[ "$(link_id)" = "$first_link" ] || bad="$bad; round $round: another link"
		tail -n +$((log_lines + 1)) "$log" | grep -q '(taken over)' && resumed=$((resumed + 1))
	done
	end_sending
	pass_bins 2
}

add_up() { # TRUTH
	sent=$(awk -F, 'NR > 1 { n += $4 } END { print n }' "$1")
	echo "# sent $sent; counted $(account counted), dropped $(account dropped), received $(account received)"
	echo "# values stored: $(python3 tests/system/state.py sum "$state"); drops of the rules: $(rules | awk '/^block/ { n += $4 } END { print n }')"
}
nothing_bad() { [ -z "$bad" ] || { echo "$bad"; false; }; }
nothing_lost() { [ $(($(account counted) + $(account dropped))) -eq "$sent" ]; }
window_whole() { [ "$(python3 tests/system/state.py sum "$state")" -eq "$(account counted)" ]; }
rules_agree() { [ "$(rules | awk '/^block/ { n += $4 } END { print n }')" -eq "$(account dropped)" ]; }
all_took_over() { [ "$resumed" -eq "$rounds" ]; }
no_client_blocked() { ! rules | grep '^block' | grep -v '203\.0\.113\.'; }

all_of_it() {
	check 'the daemon starts' start_levee
	send "$dir/truth.csv"
	check 'a flood is blocked' wait_for 20 flood_is_blocked
	kill_often
	add_up "$dir/truth.csv"
	check 'every kill left counting, dropping, blocks and the link as they were' nothing_bad
	check 'every start took over what was there' all_took_over
	check 'every packet sent was counted or dropped, once' nothing_lost
	check 'the values of all bins add up to what was counted' window_whole
	check 'drops of the rules and of the account agree' rules_agree
	check 'no client was blocked' no_client_blocked
	stop_levee
}
fresh() {
	"$levee" detach --pin "$pin" >/dev/null
	rm -rf "${state%/*}"
}

configure 'bin = 1' 'window = 10080' 'min_packets = 500' 'min_zscore = 3'
scenario 300 10 50 >"$dir/long.ini"
all_of_it

# ---- tables that fill up, and a bin that is judged before its close --------------------------

fresh
configure 'bin = 3' 'window = 10080' 'min_packets = 1500' 'min_zscore = 3' 'evaluate_every = 1'
sed -i '/^pin/a sources = 1024\nsources6 = 1024' "$config"
scenario 20000 0.4 3000 >"$dir/long.ini"
all_of_it

# ---- starts that change the tables' sizes, and are killed, too -------------------------------

# Until one is left alone. Its drops go on under whichever program is attached.
resize_often() {
	local round
	bad='' killed=0
	for ((round = 1; round <= rounds; round++)); do
		sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
		kill_daemon
		while :; do
			sed -i "s/^sources = .*/sources = $((4096 << RANDOM % 3))/" "$config"
			[ $((RANDOM % 4)) -ne 0 ] || break
			nsenter --net="/run/netns/$server" "$levee" run --config "$config" 2>>"$log" &
			daemon=$!
			sleep "$((RANDOM % 2)).$((RANDOM % 10))$((RANDOM % 10))"
			kill_daemon
			killed=$((killed + 1))
			flood_is_blocked || bad="$bad; round $round: a block is gone"
		done
		start_levee || bad="$bad; round $round: no start"
		flood_is_blocked || bad="$bad; round $round: a block is gone after the start"
	done
	echo "# $killed starts were killed"
	end_sending
	pass_bins 2
}
nothing_aside() { [ ! -e "$pin/before" ]; }

fresh
configure 'bin = 3' 'window = 10080' 'min_packets = 1500' 'min_zscore = 3' 'evaluate_every = 1'
sed -i '/^pin/a sources = 4096' "$config"
scenario 300 10 50 >"$dir/long.ini"
check 'the daemon starts' start_levee
send "$dir/truth.csv"
check 'a flood is blocked' wait_for 20 flood_is_blocked
resize_often
add_up "$dir/truth.csv"
check 'every kill left the blocks as they were' nothing_bad
check 'every packet sent was counted or dropped, once' nothing_lost
check 'the values of all bins add up to what was counted' window_whole
check 'no client was blocked' no_client_blocked
check 'no maps were left aside' nothing_aside
stop_levee

# ---- a block that nobody looks after -------------------------------------------------------

fresh
scenario 300 10 50 >"$dir/long.ini"
configure 'bin = 1' 'window = 8' 'min_packets = 500' 'min_zscore = 2'
start_levee
send "$dir/truth2.csv"
check 'the flood is blocked again' wait_for 20 flood_is_blocked
kill_daemon
expired() { rules | grep -q '^block 203.0.113.1/32 expired'; }
passes() { list sources4 | awk '$1 == "203.0.113.1" && $2 > 0 { found = 1 } END { exit !found }'; }
frozen() {
	local n
	n=$(drops 203.0.113.1)
	sleep 1 # in which nothing may happen
	[ "$(drops 203.0.113.1)" -eq "$n" ]
}
check 'without a daemon the block ends by itself' wait_for 15 expired
check 'the source is counted again then' wait_for 5 passes
check 'and nothing more of it is dropped' frozen
end_sending
finish
