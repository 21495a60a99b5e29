#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Three daemons and a real engine: a source that sends a third to each is invisible to each and
# blocked on all; what each decides while the engine is away holds everywhere once it is back.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=fleet.sh
. tests/system/fleet.sh
need_root
need_engine
trap end_fleet EXIT
make_fleet 3 || exit 1
for n in "${nodes[@]}"; do
	printf '[data_path]\ninterfaces = eth%s\npin = %s-%s\n[state]\nfile = %s\n' "$n" "$pin" "$n" \
		"$dir/state-$n.db" >"$dir/$n.conf"
	printf '[detect]\nbin = 1\nwindow = 120\nmin_packets = 1000\nmin_zscore = 3\n' >>"$dir/$n.conf"
	printf '[fleet]\nurl = redis://127.0.0.1:6379\nnode = node-%s\ngrace = 2\n' "$n" >>"$dir/$n.conf"
done
start_node() {
	: >"$(log_of "$1")"
	nsenter --net="/run/netns/$server" "$levee" run --config "$dir/$1.conf" 2>>"$(log_of "$1")" &
	daemons[$1]=$!
	wait_for 90 grep -q 'notice: levee ' "$(log_of "$1")"
}
last_state() { grep -oE 'fleet: (together|alone)' "$(log_of "$1")" | tail -n 1; }
all_are() {
	local n
	for n in "${nodes[@]}"; do
		[ "$(last_state "$n")" = "fleet: $1" ] || return 1
	done
}
blocked_on() { "$levee" list --pin "$pin-$1" rules | grep -qE "^block $2/"; }
blocked_on_all() { blocked_on 0 "$1" && blocked_on 1 "$1" && blocked_on 2 "$1"; }
status() { in_server "$levee" fleet status --config "$dir/0.conf" --format json; }

# scenario NAME RATE ADDRESS: 300 clients of 10 packets/s, and one that sends RATE
scenario() {
	printf '[scenario]\nname = %s\nduration = 120\nbin = 1\n' "$1" >"$dir/$1.ini"
	printf '[clients]\nprefix = 198.18.0.0/16\nsources = 300\nrate = 10\n' >>"$dir/$1.ini"
	printf '[flood]\nprefix = %s/32\nrate = %s\nstart = 4\nflooder = yes\n' "$3" "$2" >>"$dir/$1.ini"
}
send() { # SCENARIO NODE
	nsenter --net="/run/netns/$client" "$pktgen" --interface "eth$2" "$dir/$1.ini" >/dev/null 2>&1 &
	senders+=($!)
}
stop_senders() {
	local pid
	for pid in "${senders[@]}"; do
		kill -TERM "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	senders=()
}

check 'the engine starts' start_engine
started_all() { start_node 0 && start_node 1 && start_node 2; }
check 'three daemons start' started_all
check 'they are together' wait_for 60 all_are together

# ---- invisible to each, abnormal in sum ------------------------------------------------------

scenario third 600 203.0.113.9
for n in "${nodes[@]}"; do send third "$n"; done
check 'a source with 600 packets a bin on each is blocked on all' wait_for 90 blocked_on_all 203.0.113.9
nobody_alone() { ! grep -h 'notice: flagged' "$dir"/[012].log; }
check 'none of them flagged it by itself' nobody_alone
one_decision() { [ "$(status | jq '.entries')" -eq 1 ]; }
check 'it is one entry in the engine' one_decision
complete() { status | tee "$dir/status.json" | jq -e '.last_bin.complete and (.last_bin.nodes | length == 3)' >/dev/null; }
check 'a fleet-wide bin is complete with three nodes' wait_for 60 complete
named() { status | jq -e '(.nodes | length == 3) and (.leader | startswith("node-"))'; }
check 'fleet status names three nodes and a leader' named
stop_senders

# ---- the engine goes away --------------------------------------------------------------------

kill -KILL "$redis"
wait "$redis" 2>/dev/null
redis=''
check 'without the engine every node is alone, and says so' wait_for 60 all_are alone
check 'the block is still there on all' blocked_on_all 203.0.113.9
scenario alone 3000 203.0.113.10
send alone 1
check 'a node alone blocks by its own detector' wait_for 90 blocked_on 1 203.0.113.10
not_elsewhere() { ! blocked_on 0 203.0.113.10 && ! blocked_on 2 203.0.113.10; }
check 'and the others know nothing of it' not_elsewhere
stop_senders
check 'the engine starts again, and has forgotten everything' start_engine
check 'they are together again' wait_for 60 all_are together
check 'what one had decided alone is blocked on all' wait_for 60 blocked_on_all 203.0.113.10
check 'what was blocked before still is' blocked_on_all 203.0.113.9
both_known() { [ "$(status | jq '.entries')" -eq 2 ]; }
check 'and the engine knows both, once each' wait_for 10 both_known

# ---- who joins, and who leads ----------------------------------------------------------------

leader() { status | jq -r '.leader' | sed 's/node-//'; }
has_leader() { [ -n "$(leader)" ]; }
check 'there is a leader' wait_for 60 has_leader
old=$(leader)
kill -KILL "${daemons[$old]}"
wait "${daemons[$old]}" 2>/dev/null
daemons[$old]=''
another_leads() { [ -n "$(leader)" ] && [ "$(leader)" != "$old" ]; }
check 'another takes over from a leader that was killed' wait_for 30 another_leads
"$levee" detach --pin "$pin-$old" >/dev/null
rm -f "$dir/state-$old.db"*
check 'who joins with nothing starts' start_node "$old"
check 'and has what the fleet blocks' wait_for 40 blocked_on_all 203.0.113.9
for n in "${nodes[@]}"; do
	kill -TERM "${daemons[$n]}"
	wait "${daemons[$n]}" || echo "# node $n ended with $?"
	daemons[$n]=''
done
gone() { [ "$(in_server redis-cli hlen 'levee:{fleet}:nodes' 2>/dev/null || echo 0)" -eq 0 ]; }
check 'who stops takes its name out' gone
finish
