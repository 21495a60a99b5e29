#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The scenario of the blog post that the solution before Levee came with, end to end: 20 sources
# flood, the worst 18 stand as deny rules on the network ACL of every protected subnet, read back
# from EC2's stand-in, the other two are dropped on the instance alone and said so; a second wave is
# dropped from its first packet on; while EC2 throttles nothing is lost and nobody is asked in a
# loop; when the blocks end the rules go.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=../aws/standin.sh
. tests/aws/standin.sh
need_root
standin_need

# Three subnets on two network ACLs of the operator, which allow the same.
same='{"number":100,"cidr":"0.0.0.0/0"},{"number":100,"cidr":"0.0.0.0/0","egress":true}'
world='{"subnets":3,"acls":[['$same'],['$same',{"number":110,"egress":true,"cidr":"192.0.2.0/24","protocol":6,"ports":[443,443]}]]}'
make_pair && ip -n "$server" link set lo up || exit 1
# shellcheck disable=SC2034 # for standin.sh
standin_netns=$server
trap 'standin_stop; cleanup' EXIT
standin_start || exit 1
standin POST world "$world" >"$dir/world" || exit 1
standin_env
blue=$(jq -r .blue "$dir/world") green=$(jq -r .green "$dir/world")

configure 'bin = 1' 'window = 24' 'min_packets = 300' 'min_zscore = 3'
cat >>"$config" <<CONF
$(standin_nacl "$dir/world")
[api]
socket = $dir/levee.sock
group =
CONF

cat >"$dir/clients.ini" <<'INI'
[scenario]
name = clients
duration = 240
bin = 1
seed = 11
[clients]
prefix = 198.18.0.0/16
sources = 400
rate = 4
INI
flood() { # PREFIX SOURCES SECONDS
	cat >"$dir/flood.ini" <<INI
[scenario]
name = flood
duration = $3
bin = 1
seed = 12
[flood]
prefix = $1
sources = $2
rate = 700
flooder = yes
INI
	nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 --truth "$dir/truth.csv" \
		"$dir/flood.ini" >>"$dir/pktgen.log" 2>&1
}

# What each protected subnet has: "SUBNET ACL n-of-our-denies".
held() {
	local subnet acl
	standin GET state >"$dir/aws" || return 1
	for subnet in $(jq -r '.subnets[]' "$dir/world"); do
		acl=$(jq -r ".subnets[\"$subnet\"].acl" "$dir/aws")
		echo "$subnet $acl $(jq "[.acls[\"$acl\"].entries[] | select(.egress | not) | select(.action == \"deny\" and .number < 100 and .protocol == \"-1\")] | length" "$dir/aws")"
	done
}
denies() { # N: every protected subnet is on one of the pair, with N denies
	held | awk -v n="$1" -v blue="$blue" -v green="$green" '
		$3 != n || $2 != blue && $2 != green { bad = 1 } { print } END { exit bad || NR != 3 }'
}
denied() { # the prefixes that are denied on the first subnet, sorted
	standin GET state | jq -r --arg subnet "$(jq -r '.subnets[0]' "$dir/world")" '
		.subnets[$subnet].acl as $acl | .acls[$acl].entries[] |
		select((.egress | not) and .action == "deny" and .number < 100) | .cidr' | sort
}
blocked() { rules | awk -v p="$1" '/^block/ && index($2, p) == 1' | wc -l; }
are_blocked() { [ "$(blocked "$1")" -eq "$2" ]; }
safe() { standin GET check | tee "$dir/check" | jq -e '.violations == []'; }
said() { grep -q "$1" "$log"; }
dropped_of() { rules | awk -v p="$1" '/^block/ && index($2, p) == 1 { n += $4 } END { print n + 0 }'; }
sent() { awk -F, 'NR > 1 { n += $4 } END { print n + 0 }' "$dir/truth.csv"; }
nacl() { nsenter --net="/run/netns/$server" "$levee" nacl "$@" --config "$config" >"$dir/nacl.out" 2>&1; }

check 'the daemon starts' start_levee
nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 "$dir/clients.ini" >"$dir/clients.log" 2>&1 &
clients=$!
pass_bins 4
flood 203.0.113.0/24 20 4

check '20 flooders are blocked on the instance' wait_for 20 are_blocked 203.0.113. 20
check '18 of them are denied on the network ACL of every protected subnet' wait_for 40 denies 18
check 'the log says how many have no rule' wait_for 20 said \
	'18 rules in force and read back on 3 subnets.*2 blocked sources without a rule'
flooders_only() { [ "$(denied | grep -c '^203\.0\.113\.')" -eq 18 ] && [ "$(denied | wc -l)" -eq 18 ]; }
check 'they are flooders, each once' flooders_only
# Each block with the number of the rule that holds it, as EC2 has it; and the same in words.
named() {
	"$levee" blocks --json --socket "$dir/levee.sock" | jq -r '.blocks[] | select(.enforced.nacl.rule) | "\(.enforced.nacl.rule) \(.prefix)"' | sort >"$dir/shown"
	standin GET state | jq -r --arg subnet "$(jq -r '.subnets[0]' "$dir/world")" '.subnets[$subnet].acl as $acl | .acls[$acl].entries[] |
		select((.egress | not) and .action == "deny" and .number < 100) | "\(.number) \(.cidr | sub("/32$"; ""))"' | sort >"$dir/held"
	[ "$(wc -l <"$dir/shown")" -eq 18 ] && diff "$dir/shown" "$dir/held"
}
check 'the API shows the rule of each' named
in_words() {
	local number prefix
	read -r number prefix <"$dir/held"
	"$levee" why "$prefix" --socket "$dir/levee.sock" | grep -q "network ACL  rule $number of acl-" &&
		"$levee" blocks --socket "$dir/levee.sock" | grep -q "^ *$prefix .*ACL rule $number\b"
}
check 'and so do why and blocks' in_words
nacl status
status_agrees() {
	grep -q '^blocks: 20, from the state file ' "$dir/nacl.out" &&
		grep -q '^without a rule, blocked on the instances alone: 2 sources' "$dir/nacl.out" &&
		grep -q '^what AWS holds is what is wanted' "$dir/nacl.out" || { cat "$dir/nacl.out"; false; }
}
check 'levee nacl status reads the same back, and names the two' status_agrees
# A flood of UDP has addresses that anybody may have made up: it has what nobody else needs.
left_over() { grep -q '^18 of the rules are about sources never seen with an established flow, and would make room' "$dir/nacl.out" || { cat "$dir/nacl.out"; false; }; }
check 'it says that all rules are about sources whose addresses may be made up' left_over
sed 's/^settle.*/&\npush_spoofable = no/' "$config" >"$dir/no.conf"
kept_here() {
	nsenter --net="/run/netns/$server" "$levee" nacl plan --json --config "$dir/no.conf" >"$dir/plan.json"
	jq -e '.wanted == 0 and .spoofable_left_out == 20' "$dir/plan.json" || { cat "$dir/plan.json"; false; }
}
check 'with push_spoofable = no they would be dropped here alone' kept_here
refused() { ! nacl apply && grep -q 'another process writes to the network ACLs' "$dir/nacl.out"; }
check 'levee nacl apply leaves the work to the daemon' refused
check 'no subnet was ever without the rules of its operator' safe

# ---- the second wave -----------------------------------------------------------------------

before=$(dropped_of 203.0.113.)
flood 203.0.113.0/24 20 3
all_dropped() { [ $(($(dropped_of 203.0.113.) - before)) -eq "$(sent)" ] || { echo "before $before, now $(dropped_of 203.0.113.), sent $(sent)"; false; }; }
check 'a second wave is dropped from its first packet on' wait_for 10 all_dropped
check 'and changes nothing at EC2' wait_for 20 denies 18

# ---- EC2 throttles -------------------------------------------------------------------------

standin DELETE log >/dev/null
standin POST script '{"faults":[{"operation":"ec2:*","do":"error","error":"RequestLimitExceeded"}]}' >/dev/null
flood 198.51.100.0/24 3 4
check 'sources that flood while EC2 throttles are blocked on the instance' wait_for 20 are_blocked 198.51.100. 3
check 'the log says that EC2 throttles' wait_for 20 said 'warning: network ACLs: .*RequestLimitExceeded'
before=$(dropped_of 198.51.100.)
flood 198.51.100.0/24 3 3
new_dropped() { [ $(($(dropped_of 198.51.100.) - before)) -eq "$(sent)" ]; }
check 'and dropped, packet by packet' wait_for 10 new_dropped
calls=$(standin GET 'count?service=ec2')
echo "# calls while EC2 throttled: $calls"
# Each try is three calls at most; tries are half a second, one, two, four, ... seconds apart.
no_storm() { [ "$calls" -ge 2 ] && [ "$calls" -le 40 ]; }
check 'EC2 is asked with back-off, not in a loop' no_storm
standin POST script '{}' >/dev/null
new_is_denied() { denied | grep -q '^198\.51\.100\.'; }
no_block_lost() { denies 18 && { new_is_denied || said 'rules in force.* 5 blocked sources without a rule'; }; }
check 'when it lets up, the plan of all 23 sources is in force' wait_for 90 no_block_lost

# ---- a kill, and the end -------------------------------------------------------------------

kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
daemon=''
check 'a daemon that follows a killed one starts' start_levee
check 'when the blocks end, the rules go from every subnet' wait_for 120 denies 0
check 'no subnet was ever without the rules of its operator, to the end' safe
kill "$clients" 2>/dev/null
wait "$clients" 2>/dev/null
check 'the daemon ends' stop_levee
no_secret() { leaks=$(standin_leaks "$log" "$dir/nacl.out") && [ -z "$leaks" ]; }
check 'no secret is in the log' no_secret
finish
