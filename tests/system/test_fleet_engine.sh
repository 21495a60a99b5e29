#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Engines as people run them: a cluster of three, TLS, and a user with the rights that README names.
# On loopback, on free ports; no root is needed.
set -u
cd "$(dirname "$0")/../.." || exit 1
case ${LEVEE_BUILD:=.build/release} in
/*) build=$LEVEE_BUILD ;;
*) build=$PWD/$LEVEE_BUILD ;;
esac
levee=$build/levee load=$build/tools/fleetload/fleetload
engine=$(command -v redis-server || command -v valkey-server) || {
	echo "ok 1 - ${0##*/} # SKIP no redis-server or valkey-server"
	echo '1..1'
	exit 0
}
cli=$(command -v redis-cli || command -v valkey-cli)
dir=$(mktemp -d) || exit 1
pids=() tap=0
cleanup() {
	local pid
	for pid in "${pids[@]}"; do { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null; done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

check() {
	tap=$((tap + 1))
	local name=$1
	shift
	if "$@" >"$dir/check.out" 2>&1; then
		echo "ok $tap - $name"
	else
		echo "not ok $tap - $name"
		sed 's/^/#   /' "$dir/check.out" | tail -n 20
	fi
}
wait_for() {
	local end=$((SECONDS + 4 * $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}
# A port that is free now, and 10000 above it, too, for a cluster's bus.
free_port() {
	python3 -c '
import socket
while True:
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        port = a.getsockname()[1]
        if port > 55000:
            continue
        try:
            b.bind(("127.0.0.1", port + 10000))
        except OSError:
            continue
        print(port)
        break'
}
# The port is free until somebody else takes it first: then with another one.
start() { # VARIABLE NAME PORT-OPTION OPTION...
	local -n port_of=$1
	local name=$2 option=$3 tries pid
	shift 3
	for ((tries = 0; tries < 5; tries++)); do
		port_of=$(free_port)
		rm -rf "${dir:?}/$name" && mkdir -p "$dir/$name"
		"$engine" --bind 127.0.0.1 "$option" "$port_of" --dir "$dir/$name" --save '' "$@" \
			>"$dir/$name.log" 2>&1 &
		pid=$!
		wait_for 20 eval "grep -q 'Ready to accept connections' '$dir/$name.log' || ! kill -0 $pid"
		if kill -0 "$pid" 2>/dev/null; then
			pids+=("$pid")
			grep -q 'Ready to accept connections' "$dir/$name.log"
			return
		fi
		wait "$pid"
	done
	cat "$dir/$name.log"
	return 1
}
says() { # WORDS COMMAND...: it fails, and says so
	local words=$1
	shift
	if "$@" >"$dir/said" 2>&1; then
		echo 'it did not fail'
		return 1
	fi
	cat "$dir/said"
	grep -qE "$words" "$dir/said"
}
config() { # KEY=VALUE...: of [fleet]
	{
		printf '[fleet]\n'
		printf '%s\n' "$@"
	} >"$dir/levee.conf"
}

# ---- a cluster -------------------------------------------------------------------------------

p1='' p2='' p3=''
cluster() {
	local n
	for n in 1 2 3; do
		start "p$n" "c$n" --port --cluster-enabled yes --cluster-config-file nodes.conf \
			--cluster-node-timeout 2000 || return 1
	done
	"$cli" --cluster create "127.0.0.1:$p1" "127.0.0.1:$p2" "127.0.0.1:$p3" --cluster-yes || return 1
	wait_for 30 all_agree
}
all_agree() {
	local port
	for port in "$p1" "$p2" "$p3"; do
		"$cli" -p "$port" cluster info | grep -q cluster_state:ok || return 1
	done
}
check 'a cluster of three starts' cluster
check 'bins over a cluster are complete and exact' \
	"$load" --name load --url "redis://127.0.0.1:$p2" --nodes 3 --sources 3000 --bins 2
spread() { # each of the three has a good part of the keys
	local port
	for port in "$p1" "$p2" "$p3"; do
		"$cli" -p "$port" dbsize
		[ "$("$cli" -p "$port" dbsize)" -ge 100 ] || return 1
	done
}
check 'and spread over its servers' spread
config "url = redis://127.0.0.1:$p3" 'name = load'
status() { "$levee" fleet status --config "$dir/levee.conf" | tee "$dir/status" && grep -q '3 servers' "$dir/status"; }
check 'fleet status works with any of them' status

# Slots that the bins use go from one server to another, key by key, while bins go on: commands are
# answered by ASK, TRYAGAIN and MOVED meanwhile.
move_slot() { # SLOT: from p2 to p1
	local key
	"$cli" -p "$p1" cluster setslot "$1" importing "$2" && "$cli" -p "$p2" cluster setslot "$1" migrating "$3" || return 1
	while read -r key && [ -n "$key" ]; do
		"$cli" -p "$p2" migrate 127.0.0.1 "$p1" "$key" 0 5000 || return 1
	done < <("$cli" -p "$p2" cluster getkeysinslot "$1" 1000)
	"$cli" -p "$p1" cluster setslot "$1" node "$3" && "$cli" -p "$p2" cluster setslot "$1" node "$3" &&
		"$cli" -p "$p3" cluster setslot "$1" node "$3"
}
moving() {
	local from to pid code=0 shard slot moved=0
	from=$("$cli" -p "$p2" cluster myid) to=$("$cli" -p "$p1" cluster myid)
	"$load" --url "redis://127.0.0.1:$p3" --name moved --sources 3000 --bins 3 --no-cost >"$dir/moving" 2>&1 &
	pid=$!
	pids+=("$pid")
	wait_for 60 grep -q '^bin 1:' "$dir/moving" || code=1
	for shard in {0..63}; do
		slot=$("$cli" -p "$p2" cluster keyslot "levee:{moved.$shard}:x")
		# Whoever does not own it says so.
		"$cli" -p "$p2" get "levee:{moved.$shard}:x" | grep -q MOVED && continue
		move_slot "$slot" "$from" "$to" >"$dir/move" 2>&1 || { cat "$dir/move"; code=1; }
		moved=$((moved + 1))
	done
	wait "$pid" || code=1
	cat "$dir/moving"
	echo "$moved slots were moved"
	[ "$moved" -ge 5 ] && return $code
}
check 'slots that move while bins go on lose nothing' moving
# A server that has a replica is killed: what it had not passed on is lost with it, the fleet is not.
p4=''
replica() {
	start p4 c4 --port --cluster-enabled yes --cluster-config-file nodes.conf --cluster-node-timeout 2000 &&
		"$cli" --cluster add-node "127.0.0.1:$p4" "127.0.0.1:$p1" --cluster-slave \
			--cluster-master-id "$("$cli" -p "$p1" cluster myid)" &&
		wait_for 30 in_sync
}
in_sync() { "$cli" -p "$p4" info replication | grep -q master_link_status:up; }
promoted() { "$cli" -p "$p4" info replication | grep -q role:master && "$cli" -p "$p2" cluster info | grep -q cluster_state:ok; }
failing_over() {
	local pid
	"$load" --url "redis://127.0.0.1:$p3" --name over --sources 3000 --bins 4 --no-cost >"$dir/over" 2>&1 &
	pid=$!
	pids+=("$pid")
	wait_for 60 grep -q '^bin 1:' "$dir/over" || return 1
	kill -KILL "${pids[0]}"
	wait_for 60 promoted || return 1
	wait "$pid"
	cat "$dir/over"
	grep -q '^bin 4:.* of 3 nodes, complete, exact' "$dir/over"
}
check 'a replica joins' replica
check 'after a failover the next bins are complete and exact' failing_over

# ---- TLS, and a user with few rights ---------------------------------------------------------

certificates() (
	cd "$dir" || exit 1
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=levee test CA' \
		-keyout ca.key -out ca.pem &&
		openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout server.key -out server.csr &&
		printf 'subjectAltName=DNS:localhost\n' >ext &&
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
			-extfile ext -out server.pem &&
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=another CA' \
				-keyout other.key -out other.pem
)
check 'certificates' certificates
rights=$(sed -n 's/^    user levee on .*~levee:\* \(.*\)$/\1/p' README.md)
check 'README names the rights of a user' [ -n "$rights" ]
printf 'user default off\nuser levee on >s3cret-word ~levee:* %s\n' "$rights" >"$dir/users.acl"
printf 's3cret-word\n' >"$dir/password"
printf 'wr0ng-word\n' >"$dir/wrong"
pt=''
tls() {
	start pt tls --tls-port --port 0 --tls-cert-file "$dir/server.pem" --tls-key-file "$dir/server.key" \
		--tls-ca-cert-file "$dir/ca.pem" --tls-auth-clients no --aclfile "$dir/users.acl"
}
check 'a server with TLS and one user starts' tls
url=rediss://levee@localhost:$pt
check 'bins over TLS are complete and exact, with these rights' \
	"$load" --name load --url "$url" --ca-file "$dir/ca.pem" --password-file "$dir/password" --no-cost --bins 2
config "url = $url" 'name = load' "ca_file = $dir/ca.pem" "password_file = $dir/password"
check 'and fleet status' "$levee" fleet status --config "$dir/levee.conf"
config "url = $url" "ca_file = $dir/other.pem" "password_file = $dir/password"
check 'a certificate of another CA is refused' says 'self.signed|certificate|issuer' \
	"$levee" fleet status --config "$dir/levee.conf"
config "url = rediss://levee@127.0.0.1:$pt" "ca_file = $dir/ca.pem" "password_file = $dir/password"
check 'so is one of another host' says 'mismatch' "$levee" fleet status --config "$dir/levee.conf"
config "url = $url" "ca_file = $dir/ca.pem" "password_file = $dir/wrong"
check 'a wrong password is said, with what to correct' says 'WRONGPASS.*password_file' \
	"$levee" fleet status --config "$dir/levee.conf"
not_shown() { ! grep -qE 'wr0ng|s3cret' "$dir/said"; }
check 'and not shown' not_shown
config "url = $url" "ca_file = $dir/ca.pem" "password_file = $dir/none"
check 'a password file that is not there is named' says "password_file $dir/none.*No such file" \
	"$levee" fleet status --config "$dir/levee.conf"
config "url = redis://levee@localhost:$pt" "password_file = $dir/password"
check 'plain text to a TLS port fails' says . "$levee" fleet status --config "$dir/levee.conf"
config 'url = redis://127.0.0.1:1'
check 'nobody listening is said with host and port' says '127.0.0.1:1: connecting: Connection refused' \
	"$levee" fleet status --config "$dir/levee.conf"
config "url = redis://levee:s3cret-word@localhost:$pt"
check 'a password in the URL is refused, with the place where it belongs' says 'password_file' \
	"$levee" config check "$dir/levee.conf"
check 'and not shown either' not_shown
: >"$dir/levee.conf"
check 'without a url there is no fleet to show' says 'in no fleet' "$levee" fleet status --config "$dir/levee.conf"
echo "1..$tap"
