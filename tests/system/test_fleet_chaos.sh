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
# shellcheck source=fleet.sh
. tests/system/fleet.sh
# shellcheck source=../aws/standin.sh
. tests/aws/standin.sh
need_root
need_engine
standin_need
rounds=${LEVEE_CHAOS_ROUNDS:-2} seed=${LEVEE_CHAOS_SEED:-20261125} chaos=''

end_chaos() {
	[ -z "$chaos" ] || { kill -TERM "$chaos" && wait "$chaos"; } 2>/dev/null
	standin_stop
	end_fleet
}
trap end_chaos EXIT

make_fleet 3 || exit 1
# shellcheck disable=SC2034 # for standin.sh
standin_netns=$server
standin_start || exit 1
standin POST world '{"subnets":2}' >"$dir/world" || exit 1
standin_env
for n in "${nodes[@]}"; do
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
$(standin_nacl "$dir/world")
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
