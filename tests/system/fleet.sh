# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2154 # what lib.sh assigns
#
# Sourced after lib.sh by the tests of a fleet: nodes with an interface each, and one engine.
#
#	need_engine               skips everything without one; $engine
#	make_fleet COUNT          $nodes, each with eth$n between $server and $client; $redis, $senders
#	start_engine              in $server, where no other server has its port
#	end_fleet                 what runs is killed, what is attached detached; then cleanup()

nodes=() daemons=() senders=() redis=''

need_engine() {
	engine=$(command -v redis-server || command -v valkey-server) && return
	echo "ok 1 - ${0##*/} # SKIP no redis-server or valkey-server"
	echo '1..1'
	exit 0
}

make_fleet() {
	local n
	for ((n = 0; n < $1; n++)); do nodes+=("$n") daemons+=(''); done
	ip netns add "$server" && ip netns add "$client" && ip -n "$server" link set lo up || return 1
	for n in "${nodes[@]}"; do
		ip link add "eth$n" netns "$server" type veth peer name "eth$n" netns "$client"
		ip -n "$server" addr add "192.0.2.$((1 + 16 * n))/28" dev "eth$n"
		ip -n "$client" addr add "192.0.2.$((2 + 16 * n))/28" dev "eth$n"
		ip -n "$server" link set "eth$n" up
		ip -n "$client" link set "eth$n" up
	done
}

start_engine() {
	nsenter --net="/run/netns/$server" "$engine" --bind 127.0.0.1 --port 6379 --dir "$dir" --save '' \
		>"$dir/redis.log" 2>&1 &
	redis=$!
	wait_for 20 grep -q 'Ready to accept connections' "$dir/redis.log"
}

log_of() { echo "$dir/$1.log"; }

end_fleet() {
	local pid n
	for pid in "${daemons[@]}" "${senders[@]}" "$redis"; do
		[ -z "$pid" ] || { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null
	done
	for n in "${nodes[@]}"; do
		"$levee" detach --force --pin "$pin-$n" >/dev/null 2>&1
		rmdir "$pin-$n" 2>/dev/null
	done
	cleanup
}
