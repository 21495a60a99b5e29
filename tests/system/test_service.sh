#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The daemon as the systemd units run it: not root, three capabilities, its pins and nothing else
# of the BPF file system, and a manager that listens.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root

uid=64871 # of nobody here
caps=+bpf,+net_admin,+perfmon
told=$dir/told
manager='' sender=''
at_end() {
	[ -z "$sender" ] || kill "$sender" 2>/dev/null
	[ -z "$manager" ] || kill "$manager" 2>/dev/null
	cleanup
}
trap at_end EXIT

# ---- the units -----------------------------------------------------------------------------------

unit_score() {
	local unit
	make -s install DESTDIR="$dir/root" PREFIX=/usr
	for unit in levee.service levee@.service; do
		cp "$dir/root/usr/lib/systemd/system/$unit" "$dir/${unit/@/@eth0}"
		systemd-analyze security --offline=true --threshold=25 "$dir/${unit/@/@eth0}" >"$dir/score" || {
			grep 'Overall' "$dir/score"
			return 1
		}
	done
}
units_differ_only_in_names() {
	local units=$dir/root/usr/lib/systemd/system
	diff <(grep -E '^(Cap|Ambient|Protect|Private|Restrict|System|No|Lock|Memory|Remove|Key|Umask|Temp)' "$units/levee.service") \
		<(grep -E '^(Cap|Ambient|Protect|Private|Restrict|System|No|Lock|Memory|Remove|Key|Umask|Temp)' "$units/levee@.service")
}
no_marks_left() {
	! grep -rE '^#(one|each) |@SBIN@' "$dir/root/usr/lib/systemd"
}
unit_capabilities() { # what this test grants is what the units grant
	grep -q '^AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON$' \
		"$dir/root/usr/lib/systemd/system/levee.service"
}
if command -v systemd-analyze >/dev/null; then
	check 'both units are exposed by 2.5 at most, as systemd-analyze scores them' unit_score
	check 'both units have the same sandbox' units_differ_only_in_names
	check 'nothing of the template is left in the units' no_marks_left
	check 'the units grant the three capabilities of this test' unit_capabilities
else
	tap=$((tap + 1))
	echo "ok $tap - the units' exposure # SKIP systemd-analyze is not installed"
fi

# ---- the daemon ----------------------------------------------------------------------------------

chmod 755 "$dir" && cp "$levee" "$dir/levee" && chmod 755 "$dir/levee"
make_pair
ip -n "$server" link set lo up
mkdir -p "${state%/*}" && chown $uid:$uid "${state%/*}"
configure 'bin = 1' 'window = 60' 'min_packets = 500'
printf '[api]\nsocket = %s\ngroup =\n' "${state%/*}/levee.sock" >>"$config"
sed -i '/^pin/a rules = 64' "$config" # few, so that the map of drops is read in no time
python3 tests/system/listen.py "$dir/notify" "$told" &
manager=$!
wait_for 10 grep -q listening "$told"

# Root prepares the directory, as ExecStartPre does; then everything else is hidden.
prepare() { { [ -d "$pin" ] || mkdir -m 0700 "$pin"; } && chown -R $uid:$uid "$pin"; }
start_service() {
	log_lines=$(wc -l <"$log")
	prepare
	NOTIFY_SOCKET=$dir/notify WATCHDOG_USEC=1000000 nsenter --net="/run/netns/$server" \
		unshare --mount --propagation private bash -c '
		mkdir -p "$1/mine" && mount --bind "$2" "$1/mine" &&
			mount -t tmpfs -o mode=0755 tmpfs /sys/fs/bpf &&
			mkdir -p "$2" && mount --bind "$1/mine" "$2" && umount "$1/mine" || exit 1
		exec setpriv --reuid="$3" --regid="$3" --clear-groups --inh-caps="$4" \
			--ambient-caps="$4" --bounding-set="-all,$4" --no-new-privs "$1/levee" run --config "$5"
	' - "$dir" "$pin" $uid $caps "$config" 2>>"$log" &
	daemon=$!
	wait_for 20 eval 'started || gone'
	started
}
now_told() { tail -n +"$((told_lines + 1))" "$told"; }
mark_told() { told_lines=$(wc -l <"$told"); }
is_told() { now_told | grep -q "$1"; }

ready() { wait_for 10 is_told '^READY=1$'; }
in_order() { # the log line that says "attached" is there when READY=1 comes
	grep -q 'notice: levee .* on eth0' "$log" && is_told '^STATUS=Attached'
}
pins_owned() {
	local other
	other=$(find "$pin" ! -uid $uid -o -perm /077 ! -type l | head)
	[ -z "$other" ] || { ls -lR "$pin" && return 1; }
	[ "$(find "$pin" -type f | wc -l)" -gt 10 ]
}
capability() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$daemon/status"; }
least() { # bits of capabilities(7): NET_ADMIN 12, PERFMON 38, BPF 39
	grep -E '^(Cap|NoNew|Uid)' "/proc/$daemon/status"
	[ "$(capability CapEff)" = 0000008000000000 ] &&
		[ "$(capability CapPrm)" = 000000c000001000 ] &&
		[ "$(capability CapInh)" = 0000000000000000 ] &&
		[ "$(capability CapAmb)" = 0000000000000000 ] &&
		[ "$(capability NoNewPrivs)" = 1 ]
}
# All threads but the first, for they talk to the outside; but one, which only waits for the kernel.
others_have_none() {
	local task n=0 fences=0
	for task in /proc/"$daemon"/task/*; do
		[ "${task##*/}" != "$daemon" ] || continue
		n=$((n + 1))
		grep -E '^Cap(Prm|Eff|Inh|Amb):' "$task/status" | grep -qv ':[[:space:]]*0*$' || continue
		fences=$((fences + 1))
		grep -E '^Cap(Prm|Eff):' "$task/status" | grep -v ':[[:space:]]*0000008000000000$' && return 1
		grep -E '^Cap(Inh|Amb):' "$task/status" | grep -v ':[[:space:]]*0*$' && return 1
	done
	[ $n -gt 1 ] && [ $fences -eq 1 ]
}
serves() { curl -s --unix-socket "${state%/*}/levee.sock" http://levee/api/v1/health | grep -q alive; }
alive() { wait_for 10 is_told '^WATCHDOG=1$'; }
status_line() { wait_for 10 is_told '^STATUS=Bin to .* sources'; }
reload() {
	mark_told
	kill -HUP "$daemon"
	wait_for 10 is_told '^RELOADING=1$' && wait_for 10 is_told '^READY=1$'
}
# Another program takes the place of the one in force, which takes the powers that are laid down.
replaces() {
	local before
	before=$(program) && sed -i '/^min_packets/a min_syns = 1000000' "$config" && kill -HUP "$daemon" &&
		wait_for 60 eval "[ \"\$(program)\" != $before ]" && least && grep -q 'TCP headers are looked at from now on' "$log"
}
program() { bpftool -j link show pinned "$pin/links/eth0" | jq .prog_id; }
# One sender for the whole of the test, bounded in time: quiet clients, and a flooder.
cat >"$dir/traffic.ini" <<'INI'
[scenario]
name = service
duration = 120
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = 100
rate = 5
[flood]
prefix = 203.0.113.1/32
rate = 1000
start = 2
flooder = yes
INI
send() {
	in_client "$pktgen" --interface eth0 "$dir/traffic.ini" >"$dir/pktgen.log" 2>&1 &
	sender=$!
}
# From the log and the map of drops: both are there where the kernel does not list rules.
flood_blocked() { send && wait_for 20 grep -q 'notice: block 203\.0\.113\.1 until' "$log"; }
dropped() {
	bpftool -j map dump pinned "$pin/maps/hits" | jq '[.[].formatted.value.packets] | add'
}
drops_more() { [ "$(dropped)" -gt "$1" ]; }
blocked_now() {
	local first
	first=$(dropped) && wait_for 10 drops_more "$first"
}
only_it() { ! grep 'notice: block ' "$log" | grep -v 'block 203\.0\.113\.1 '; }
stopping() {
	mark_told
	stop_levee TERM && wait_for 5 is_told '^STOPPING=1$'
}
taken_over() { start_service && grep -q 'taken over' <(tail -n +"$((log_lines + 1))" "$log"); }
comes_back() { # the interface goes and another of its name comes
	kill "$sender"
	wait "$sender"
	ip -n "$server" link del eth0
	ip link add eth0 netns "$server" type veth peer name eth0 netns "$client" &&
		ip -n "$server" addr add 192.0.2.1/24 dev eth0 &&
		ip -n "$client" addr add 192.0.2.2/24 dev eth0 &&
		ip -n "$server" link set eth0 up && ip -n "$client" link set eth0 up &&
		send && wait_for 20 grep -q 'eth0 is back, and protected again' "$log" && least && blocked_now
}
from_root() { # what root left is the user's after ExecStartPre
	stop_levee TERM && start_levee && stop_levee TERM && chown 0:0 "$pin" && taken_over && blocked_now
}

mark_told
check 'it starts without root, with three capabilities' start_service
check 'the manager is told READY=1' ready
check 'READY=1 comes when it is attached' in_order
check 'every pin is its own, and nobody else may open one' pins_owned
check 'once attached it keeps CAP_BPF in effect, can take up the two others, and no more' least
check 'it serves the API' wait_for 10 serves
check 'its other threads have no capability at all, but the one that waits for the kernel, which has CAP_BPF' others_have_none
check 'it gives signs of life' alive
check 'the manager is told of each bin' status_line
check 'a reload is told from beginning to end' reload
check 'a flood is found and blocked' flood_blocked
check 'the blocked source is dropped' blocked_now
check 'a reload that needs another program gets it, with the powers laid down again after it' replaces
check 'and the source stays blocked' blocked_now
check 'nobody else is' only_it
check 'a stop is told' stopping
check 'the blocked source is dropped while no daemon lives' blocked_now
check 'the next one takes it over' taken_over
check 'and goes on dropping' blocked_now
check 'an interface that came back is attached to, with the power laid down again after it' comes_back
check 'it takes over what a levee of root left' from_root
finish
