#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Daemons that are a fleet, with one engine and the stand-in of EC2, and everything that can go
# wrong between them: leaders and nodes are killed and paused, the engine is killed and paused, links
# are cut, commands delayed and sent twice. tests/system/fleet_chaos.py says what must hold.
#
# LEVEE_CHAOS_ROUNDS=100 is the long form (`make fleet-proof`), LEVEE_CHAOS_SEED=N another one.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=../aws/standin.sh
. tests/aws/standin.sh
need_root
engine=$(command -v redis-server || command -v valkey-server) || {
	echo "ok 1 - ${0##*/} # SKIP no redis-server or valkey-server"
	echo '1..1'
	exit 0
}
standin_need
rounds=${LEVEE_CHAOS_ROUNDS:-2} seed=${LEVEE_CHAOS_SEED:-20261125} nodes=(0 1 2) chaos=''

end_chaos() {
	local n
	[ -z "$chaos" ] || { kill -TERM "$chaos" && wait "$chaos"; } 2>/dev/null
	standin_stop
	for n in "${nodes[@]}"; do
		"$levee" detach --force --pin "$pin-$n" >/dev/null 2>&1
		rmdir "$pin-$n" 2>/dev/null
	done
	cleanup
}
trap end_chaos EXIT

ip netns add "$server" && ip netns add "$client" && ip -n "$server" link set lo up || exit 1
# shellcheck disable=SC2034 # for standin.sh
standin_netns=$server
standin_start || exit 1
standin POST world '{"subnets":2}' >"$dir/world" || exit 1
standin_env
for n in "${nodes[@]}"; do
	ip link add "eth$n" netns "$server" type veth peer name "eth$n" netns "$client"
	ip -n "$server" addr add "192.0.2.$((1 + 16 * n))/28" dev "eth$n"
	ip -n "$server" link set "eth$n" up
	ip -n "$client" link set "eth$n" up
	standin POST keys '{}' >"$dir/keys-$n" || exit 1
	mkdir "$dir/state-$n"
	# PORT: of the node's own way to the engine.
	cat >"$dir/$n.conf" <<CONF
[data_path]
interfaces = eth$n
pin = $pin-$n
[state]
file = $dir/state-$n/levee.db
[api]
socket = $dir/levee-$n.sock
[detect]
bin = 2
window = 120
[fleet]
url = redis://127.0.0.1:PORT
node = node-$n
grace = 1
[aws]
enabled = yes
[nacl]
enabled = yes
blue = $(jq -r .blue "$dir/world")
green = $(jq -r .green "$dir/world")
subnets = $(jq -r '.subnets | join(" ")' "$dir/world")
min_interval = 1
verify_every = 10
settle = 1
CONF
done
go() {
	nsenter --net="/run/netns/$server" python3 tests/system/fleet_chaos.py "$levee" "$pin" "$dir" \
		"$engine" "$standin_dir/control" "$rounds" "${#nodes[@]}" "$seed" >"$dir/chaos.out" 2>&1 &
	chaos=$!
	wait "$chaos"
	local code=$?
	chaos=''
	cat "$dir/chaos.out"
	return $code
}
check "$rounds rounds of misfortune (seed $seed) end in agreement, with one writer at a time" go
if [ "$rounds" -gt 10 ]; then sed 's/^/# /' "$dir/chaos.out"; else tail -n 1 "$dir/chaos.out" | sed 's/^/# /'; fi
crashed() { ! grep -hE 'Sanitizer|panic|assert|does not add up' "$dir"/[0-9].log; }
check 'no daemon complained of itself' crashed
finish
