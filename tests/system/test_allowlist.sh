#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The allow list wins over every block, is read again when it changes, and keeps its last good state.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
make_pair
configure 'bin = 1' 'window = 60' 'min_packets = 300' 'min_zscore = 2'
printf '[allow]\nfile = %s/allow.list\nprefixes = 198.51.100.0/24\n' "$dir" >>"$config"
printf '# friends\n203.0.113.1\nnonsense/99\n2001:db8:f::/48 # a network\n' >"$dir/allow.list"

cat >"$dir/flood.ini" <<'INI'
[scenario]
name = flood
duration = 60
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = 200
rate = 5
[friend-by-file]
prefix = 203.0.113.1/32
rate = 2000
[friend-by-configuration]
prefix = 198.51.100.7/32
rate = 2000
[own-address]
prefix = 192.0.2.1/32
rate = 1000
[friend6]
prefix = 2001:db8:f::/48
rate = 1000
[foe]
prefix = 203.0.113.66/32
rate = 2000
[later-friend]
prefix = 203.0.113.77/32
rate = 2000
INI

allowed() { rules | grep -q "^allow $1[ /]"; }
not() { ! "$@"; }
both_blocked() { is_blocked 203.0.113.66 && is_blocked 203.0.113.77; }

check 'the daemon starts with a bad line in the list' start_levee
check 'the bad line is named with file and line' grep -q 'allow.list:3: ' "$log"
check 'the good lines are in force' allowed 203.0.113.1
check 'loopback, metadata and own addresses are allowed without being named' \
	eval 'allowed 127.0.0.0 && allowed 169.254.0.0 && allowed 192.0.2.1'

nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 "$dir/flood.ini" >/dev/null 2>&1 &
sender=$!
check 'flooders are blocked' wait_for 20 both_blocked
pass_bins 2
check 'nobody on the list is' not eval \
	'is_blocked 203.0.113.1 || is_blocked 198.51.100.7 || is_blocked 192.0.2.1 || rules | grep -q "^block 2001:db8:f"'
not_counted() {
	list sources4 >"$dir/sources4" &&
		! grep -qE '^(203\.0\.113\.1|198\.51\.100\.7|192\.0\.2\.1) ' "$dir/sources4"
}
check 'nor counted' not_counted

echo 203.0.113.77 >>"$dir/allow.list"
kill -HUP "$daemon"
check 'a line added is in force at SIGHUP, over the block' wait_for 5 allowed 203.0.113.77
check 'and the block is out of the kernel' not is_blocked 203.0.113.77

mv "$dir/allow.list" "$dir/away"
pass_bins 2
check 'a list that is gone is said' grep -q 'allow.list cannot be read' "$log"
check 'and its last good state stays' eval 'allowed 203.0.113.1 && allowed 203.0.113.77'
grep -v 203.0.113.77 "$dir/away" >"$dir/allow.list"
check 'a list that changed is read at the next bin: the flooder is blocked again' \
	wait_for 10 is_blocked 203.0.113.77
kill -TERM "$sender"
wait "$sender"
stop_levee
finish
