# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Sourced by the system tests: TAP, two namespaces joined by veth, a daemon with its own pins and
# state, and a way out that leaves nothing behind.
#
#	. "$(dirname "$0")/lib.sh"
#	need_root                 skips everything without root
#	make_pair                 namespaces $server and $client; their interfaces are both eth0
#	configure 'bin = 1' ...   lines of [detect]; $config, $pin, $state
#	start_levee; stop_levee [SIGNAL]; wait_for SECONDS COMMAND...
#	check NAME COMMAND...     one line of TAP
#	finish
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
case ${LEVEE_BUILD:=.build/release} in
/*) build=$LEVEE_BUILD ;;
*) build=$PWD/$LEVEE_BUILD ;;
esac
levee=$build/levee
# shellcheck disable=SC2034 # for those who source this
pktgen=$build/tools/pktgen/pktgen
id=$$
server=levee-t-s-$id client=levee-t-c-$id
pin=/sys/fs/bpf/levee-t-$id
dir=$(mktemp -d) || exit 1
config=$dir/levee.conf state=$dir/state/state.db log=$dir/levee.log
daemon='' tap=0
: >"$log"

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

finish() {
	echo "1..$tap"
	exit 0
}

need_root() {
	if [ "$(id -u)" -ne 0 ]; then
		echo "ok 1 - ${0##*/} # SKIP root is needed for namespaces and BPF"
		echo '1..1'
		exit 0
	fi
	if [ "$(stat -f -c %T /sys/fs/bpf)" != bpf_fs ]; then
		mount -t bpf bpf /sys/fs/bpf || echo '# cannot mount a BPF file system'
	fi
}

cleanup() {
	trap - EXIT
	trap '' INT TERM
	[ -z "$daemon" ] || { kill -KILL "$daemon" && wait "$daemon"; } 2>/dev/null
	[ ! -d "$pin" ] || "$levee" detach --force --pin "$pin" >/dev/null 2>&1
	rmdir "$pin" 2>/dev/null
	ip netns del "$server" 2>/dev/null
	ip netns del "$client" 2>/dev/null
	umount "$dir/small" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Until it succeeds, or the time is over: SECONDS are those of an idle machine, and one that builds
# beside the tests is several times slower. A test that passes never waits longer than it has to.
wait_for() {
	local end=$((SECONDS + 4 * $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
	return 0
}

make_pair() {
	ip netns add "$server" && ip netns add "$client" &&
		ip link add eth0 netns "$server" type veth peer name eth0 netns "$client" &&
		ip -n "$server" addr add 192.0.2.1/24 dev eth0 &&
		ip -n "$client" addr add 192.0.2.2/24 dev eth0 &&
		ip -n "$server" link set eth0 up && ip -n "$client" link set eth0 up
}

in_server() { nsenter --net="/run/netns/$server" "$@"; }
in_client() { nsenter --net="/run/netns/$client" "$@"; }

configure() {
	{
		printf '[data_path]\ninterfaces = eth0\npin = %s\n' "$pin"
		printf '[state]\nfile = %s\n[detect]\n' "$state"
		printf '%s\n' "$@"
	} >"$config"
}

# Ready is the line that says where it is attached; what was in the log before stays there.
started() { tail -n +"$((log_lines + 1))" "$log" | grep -q 'notice: levee '; }
gone() { ! kill -0 "$daemon"; }
start_levee() {
	log_lines=$(wc -l <"$log")
	nsenter --net="/run/netns/$server" "$levee" run --config "$config" 2>>"$log" &
	daemon=$!
	wait_for 30 eval 'started || gone'
	started
}

stop_levee() {
	local code=0
	[ -n "$daemon" ] || return 0
	kill -"${1:-TERM}" "$daemon"
	wait "$daemon" 2>/dev/null || code=$?
	daemon=''
	return $code
}

bins() { grep -c 'info: bin to' "$log"; }
more_bins() { [ "$(bins)" -ge "$1" ]; }
# Wait for N more bins to be closed.
pass_bins() { wait_for $((10 * $1 + 10)) more_bins $(($(bins) + $1)); }

# One value of the state: SQL, read only.
sql() {
	python3 - "$state" "$1" <<'PY'
import sqlite3, sys
for row in sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True, timeout=10).execute(sys.argv[2]):
    print(*row)
PY
}
account() { sql "select value from account where name = '$1'"; }

# Works where the kernel refuses the iterators behind `cat`, too.
list() { "$levee" list --pin "$pin" "$1"; }
rules() { list rules; }
is_blocked() { rules | grep -q "^block $1[ /]"; }
drops() { rules | awk -v p="$1" '/^block/ { sub("/.*", "", $2); if ($2 == p) print $4 }'; }
