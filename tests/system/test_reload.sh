#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Live reload: a case of each class of keys while traffic arrives, by SIGHUP and by `levee reload`; what
# waits for a restart is named and keeps its value; what is wrong is refused whole; no packet and no bin
# is lost on the way, even where the program itself is replaced.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root
make_pair
export LEVEE_SOCKET=$dir/levee.sock

# keys SECTION KEY=VALUE...: write the configuration anew, with these over what was there
declare -A keys
write() {
	local section name
	for section in data_path scope detect block allow aws nacl api log state; do
		echo "[$section]"
		for name in "${!keys[@]}"; do
			[ "${name%%.*}" != "$section" ] || echo "${name#*.} = ${keys[$name]}"
		done
	done >"$config"
}
set_keys() {
	local pair
	for pair in "$@"; do keys[${pair%%=*}]=${pair#*=}; done
	write
}
set_keys data_path.interfaces=eth0 "data_path.pin=$pin" "state.file=$state" "api.socket=$LEVEE_SOCKET" \
	api.group= detect.bin=1 detect.window=60 detect.min_packets=100000 detect.warmup_bins=3
reload() { "$levee" reload >"$dir/answer" 2>&1; }
# take SECTION.KEY=VALUE...: a reload takes all of them, and names them
take() {
	local pair
	set_keys "$@"
	reload || return 1
	for pair in "$@"; do
		pair=${pair%%=*}
		sed 's/; a restart.*//' "$dir/answer" | grep -qF "[${pair%%.*}] ${pair#*.}" || return 1
	done
	! grep -q 'restart is needed' "$dir/answer"
}
get() { "$levee" "$@" --json 2>/dev/null; }
api() { curl -sf --unix-socket "$LEVEE_SOCKET" "http://levee/api/v1/$1"; }
program() { bpftool -j link show pinned "$pin/links/eth0" | jq .prog_id; }
link_id() { bpftool -j link show pinned "$pin/links/eth0" | jq .id; }

check 'the daemon starts' start_levee
cat >"$dir/traffic.ini" <<'INI'
[scenario]
name = reload
duration = 120
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = 100
rate = 5
[syn]
prefix = 203.0.113.77/32
rate = 300
protocols = tcp:100
tcp_flags = syn
INI
link=$(link_id)
nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 "$dir/traffic.ini" >"$dir/sent" 2>&1 &
sender=$!
pass_bins 4

# ---- detection, and the program itself -------------------------------------------------------------
before=$(program)
check 'SYNs are judged from now on' take detect.min_syns=100
replaced() { [ "$(program)" != "$before" ]; }
check 'for which another program takes over' wait_for 60 replaced
same_link() { [ "$(link_id)" = "$link" ]; }
check 'on the same link' same_link
blocked_by_syns() { get blocks | jq -e '.blocks[] | select(.prefix == "203.0.113.77" or .prefix == "203.0.113.77/32")'; }
check 'and a flood of SYNs is blocked' wait_for 20 blocked_by_syns
check 'detector, limits, warm-up and the room for sources' take detect.detector=both detect.min_bytes=1000000 \
	detect.soft_zscore=2.5 detect.max_sources=2000 detect.warmup_bins=2 detect.fast=off
check 'the API shows what is in force' eval 'api config | jq -e ".config.detect | .detector == \"both\" and .min_syns == \"100\""'

# ---- blocks ----------------------------------------------------------------------------------------
check 'lengths and rates of blocks' take block.repeat_memory=100 block.repeat_factor=3 block.max_block=5000 \
	block.limit_rate=7 block.limit_burst=9
check 'audit' take block.mode=audit
audits() { get status | jq -e '.mode == "audit"'; }
check 'nothing is dropped then' audits
check 'and back' take block.mode=enforce

# ---- scope and lists -------------------------------------------------------------------------------
check 'scope and allowed prefixes' take scope.ports=tcp/443 allow.prefixes=203.0.113.77
allowed() { [ -z "$(is_blocked 203.0.113.77 && echo blocked)" ] || rules | grep -q '^allow 203.0.113.77'; }
check 'who is allowed is so at once' allowed
echo 198.51.100.0/24 >"$dir/allow"
check 'a file of allowed prefixes' take "allow.file=$dir/allow"
check 'it is in force' eval 'rules | grep -q "^allow 198.51.100.0/24"'
check 'no list any more' take allow.prefixes= allow.file=
check 'nor in force' eval '! rules | grep -qE "^allow (198.51.100.0/24|203.0.113.77)"'

# ---- AWS, which nobody waits for ---------------------------------------------------------------------
export AWS_EC2_METADATA_DISABLED=true
nacl() { api nacl | jq -e ".nacl | $1"; }
check 'network ACLs begin by a reload' take aws.enabled=yes aws.region=eu-west-1 aws.endpoint=http://127.0.0.1:9 \
	aws.metrics_every=30 nacl.enabled=yes nacl.manage=yes nacl.subnets=subnet-0123456789abcdef0 nacl.budget=12
check 'their service runs by it' wait_for 10 nacl '.budget == 12'
check 'budget, masks, strategy, collateral, intervals, who is pushed, what rules do' take nacl.budget=9 nacl.mask4=24 \
	nacl.mask6=48 nacl.strategy=cover nacl.max_collateral=5 nacl.min_interval=3 nacl.verify_every=20 nacl.settle=1 \
	nacl.push_spoofable=no nacl.action=audit nacl.numbers=10-60 nacl.merge=yes
check 'the service takes them up' wait_for 10 nacl '.budget == 9 and .action == "allow"'
check 'and ends by a reload' take nacl.enabled=no aws.enabled=no
check 'nothing of it is left' wait_for 10 eval '! nacl .state'

# ---- what waits for a restart ------------------------------------------------------------------------
named() { grep -qF "$1" <<<"$(sed 's/.*restart is needed for: //; s/; lists.*//' "$dir/answer")"; }
set_keys detect.window=120 data_path.rules=4096 "state.file=$dir/other.db" detect.min_packets=90000
check 'what needs a restart is named, the rest is in force' eval 'reload && for k in "[detect] window" "[data_path] rules" "[state] file"; do named "$k" || exit 1; done; grep -q "in force now: \[detect\] min_packets" "$dir/answer"'
check 'it keeps its value' eval 'api config | jq -e ".config | .detect.window == \"60\" and .detect.min_packets == \"90000\""'
check 'status says that a restart is due' eval 'get status | grep -q restart'
set_keys detect.window=60 data_path.rules=131072 "state.file=$state"
check 'until it is not' eval 'reload && ! get status | grep -q "need a restart"'

# ---- what is refused ---------------------------------------------------------------------------------
# refuses REASON KEY=VALUE...: whole, with the reason; min_packets, which is good, stays what it was
refuses() {
	local reason=$1 code=0 old
	shift
	old=$(declare -p keys)
	set_keys "$@" detect.min_packets=77777
	reload && code=1
	grep -qF -- "$reason" "$dir/answer" || { cat "$dir/answer" && code=1; }
	api config | jq -e '.config.detect.min_packets == "90000"' || code=1
	eval "${old/declare -A/declare -gA}"
	write
	return $code
}
check 'a word where a number belongs' refuses 'limit_rate = many' block.limit_rate=many
check 'two defects, both named' refuses 'budget = 99' nacl.budget=99 block.mode=sometimes
check 'a list that cannot be read' refuses "$dir/none" "allow.file=$dir/none"
check 'a detector that there is not' refuses 'detector = best' detect.detector=best
check 'numbers that leave no room' refuses 'numbers = 9-1' nacl.numbers=9-1
check 'what goes only with a key that waits for a restart' refuses 'evaluate_every = 4' detect.bin=5 detect.window=60 detect.evaluate_every=4
echo '[detect' >"$config"
check 'a torn file' eval '! reload && api config | jq -e ".config.detect.min_packets == \"90000\""'
rm "$config"
check 'no file' eval '! reload && grep -q "cannot be opened\|No such file" "$dir/answer"'
write
reloads_seen() { [ "$(grep -c 'notice: reload: ' "$log")" -gt "$1" ]; }
n=$(grep -c 'notice: reload: ' "$log")
set_keys detect.min_packets=80000
kill -HUP "$daemon"
by_signal() { reloads_seen "$n" && api config | jq -e '.config.detect.min_packets == "80000"'; }
check 'SIGHUP does the same' wait_for 10 by_signal

# ---- nothing was lost --------------------------------------------------------------------------------
kill -TERM "$sender"
wait "$sender"
sent=$(grep -oE '[0-9]+ packets' "$dir/sent" | head -1 | grep -oE '[0-9]+')
received() { api account | jq .account.since_start.received; }
echo "# sent ${sent:-nothing}, received $(received)"
check 'every packet is in the account' wait_for 10 eval '[ "$(received)" -ge "$sent" ]'
check 'no bin was late' [ "$(get status | jq .bin.late)" = 0 ]
cp "$log" /tmp/svc_log; stop_levee
finish
