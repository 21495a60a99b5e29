#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo.sh BUILD: Levee's main job on this machine, in two network namespaces that it makes and
# removes itself: many quiet clients, then a flood by a few of them, real packets through the
# kernel. Exit code 0 only if every flooder was dropped in the kernel, no client was, and the
# account of packets adds up.
set -u
build=${1:?usage: demo.sh BUILD}
cd "$(dirname "$0")/../.." || exit 1
levee=$PWD/$build/levee
pktgen=$PWD/$build/tools/pktgen/pktgen
scenario=$PWD/tools/scenarios/demo.ini

say() { printf '%s\n' "$*"; }
fail() {
	say "demo: $*" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || fail 'root is needed to attach a program and to make namespaces: sudo make demo'
if [ "$(stat -f -c %T /sys/fs/bpf 2>/dev/null)" != bpf_fs ]; then
	mount -t bpf bpf /sys/fs/bpf || fail 'cannot mount a BPF file system on /sys/fs/bpf'
fi

id=$$
server=levee-demo-server-$id client=levee-demo-client-$id
pin=/sys/fs/bpf/levee-demo-$id
dir=$(mktemp -d) || fail 'no temporary directory'
daemon='' sender=''

# Whatever ends the demo, Ctrl-C included, leaves the machine as it was.
cleanup() {
	trap - EXIT
	trap '' INT TERM
	[ -z "$sender" ] || kill "$sender" 2>/dev/null
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null
	wait 2>/dev/null
	[ ! -d "$pin" ] || "$levee" detach --force --pin "$pin" >/dev/null 2>&1
	ip netns del "$server" 2>/dev/null
	ip netns del "$client" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.05
	done
	return 0
}

# ---- two hosts, one wire -------------------------------------------------------------------

{
	ip netns add "$server" && ip netns add "$client" &&
		ip link add eth0 netns "$server" type veth peer name eth0 netns "$client" &&
		ip -n "$server" addr add 192.0.2.1/24 dev eth0 &&
		ip -n "$client" addr add 192.0.2.2/24 dev eth0 &&
		ip -n "$server" link set eth0 up && ip -n "$client" link set eth0 up
} || fail 'cannot make two network namespaces joined by veth'

cat >"$dir/levee.conf" <<CONF
[data_path]
interfaces = eth0
attach = native
pin = $pin

[detect]
# The very same program with bins of a second instead of a minute.
bin = 1
window = 60
min_packets = 500

[state]
file = $dir/state.db
CONF

say 'Levee in two network namespaces joined by veth: native XDP, bins of 1 s, a window of 60 s.'
say 'A source is flagged if z > 3 and it sent more than 500 packets in one bin.'
say ''
nsenter --net="/run/netns/$server" "$levee" run --config "$dir/levee.conf" 2>"$dir/levee.log" &
daemon=$!
wait_for 20 grep -q 'notice: levee ' "$dir/levee.log" || {
	cat "$dir/levee.log" >&2
	fail 'the daemon did not start'
}
sed -n 's/.*notice: levee [^ ]* on /attached: /p' "$dir/levee.log"
say ''
say '360 clients send for 20 s; after 8 s six more sources flood, 3,000 packets a second each.'
say ''

nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 --truth "$dir/truth.csv" \
	"$scenario" >"$dir/pktgen.log" 2>&1 &
sender=$!

# ---- the story, as the daemon tells it -----------------------------------------------------

story() {
	awk '
	/notice: block / {
		sub(/.*notice: /, "")
		print "  >>> " $0
		fflush()
	}
	/info: bin to / {
		match($0, /bin to [^ ]*Z/); when = substr($0, RSTART + 18, 8)
		split($0, part, ": ")
		n = $0; sub(/.*: /, "", n)
		received = value("received"); counted = value("counted"); dropped = value("dropped")
		sources = $0; sub(/ sources;.*/, "", sources); sub(/.* /, "", sources)
		printf "%s  %4d sources  %6d packets  %6d counted  %6d dropped  mean %8.2f  deviation %8.2f  threshold %8.2f\n",
			when, sources, received, counted, dropped, value("mean ="), value("stddev ="), value("threshold =")
		fflush()
	}
	function value(name,    s) {
		s = $0
		if (!match(s, name " [0-9.]+")) return 0
		s = substr(s, RSTART + length(name) + 1, RLENGTH - length(name) - 1)
		return s + 0
	}'
}
tail -n +1 -F --pid="$sender" "$dir/levee.log" 2>/dev/null | story &
teller=$!
wait "$sender"
sent=$?
sender=''
wait "$teller" 2>/dev/null
[ "$sent" -eq 0 ] || {
	cat "$dir/pktgen.log" >&2
	fail 'the sender failed'
}

# The bin with the last packets has to close before everything is in the log.
closed() { [ "$(grep -c 'info: bin to' "$dir/levee.log")" -ge $(($1 + 2)) ]; }
wait_for 10 closed "$(grep -c 'info: bin to' "$dir/levee.log")"

# ---- the proof, from the kernel and the sender's own truth ---------------------------------

"$build/levee" list --pin "$pin" rules >"$dir/rules"
say ''
say "What the kernel holds (levee list --pin $pin rules):"
grep -E '^#|^block' "$dir/rules" | sed 's/^/  /'
say ''

# Sources as levee prints them; the truth has bin,population,source,packets,bytes,flooder.
awk -F, 'NR > 1 && ($6 == 1 || $6 == "yes" || $6 == "true") { print $3 }' "$dir/truth.csv" | sort -u >"$dir/flooders"
awk -F, 'NR > 1 && !($6 == 1 || $6 == "yes" || $6 == "true") { print $3 }' "$dir/truth.csv" | sort -u >"$dir/clients"
awk '/^block/ { print $2, $4 }' "$dir/rules" |
	sed -E 's@/32 @ @; s@^([0-9a-f:]+[0-9a-f]):(:/64)@\1:\2@' | sort -u >"$dir/blocked"

python3 - "$dir" <<'PY'
import ipaddress, re, sys
d = sys.argv[1]
net = lambda s: ipaddress.ip_network(s.strip())
flooders = {net(l) for l in open(d + "/flooders")}
clients = {net(l) for l in open(d + "/clients")}
blocked = {}
for line in open(d + "/rules"):
    w = line.split()
    if w and w[0] == "block":
        blocked[net(w[1])] = int(w[3])
received = dropped = counted = other = 0
for line in open(d + "/levee.log"):
    m = re.search(r"received (\d+) = counted (\d+) \+ dropped (\d+) \+ allowed (\d+) \+ out of scope (\d+) \+ unparsed (\d+)", line)
    if m:
        r, c, dr, *rest = map(int, m.groups())
        received, counted, dropped, other = received + r, counted + c, dropped + dr, other + sum(rest)
truth = {}
sent = 0
with open(d + "/truth.csv") as f:
    next(f)
    for line in f:
        w = line.split(",")
        sent += int(w[3])
bad = []
def check(ok, text):
    print(("  yes  " if ok else "  NO   ") + text)
    if not ok:
        bad.append(text)
print("Was it right?")
missed = [str(s) for s in flooders if blocked.get(s, 0) == 0]
check(flooders and not missed, f"every flooder was dropped in the kernel ({len(flooders) - len(missed)} of {len(flooders)})"
      + ("; not: " + ", ".join(missed) if missed else ""))
hit = [str(b) for b in blocked if any(b.version == c.version and b.overlaps(c) for c in clients)]
check(not hit, f"no client was blocked (0 of {len(clients)})" if not hit else "clients were blocked: " + ", ".join(hit))
strange = [str(b) for b in blocked if b not in flooders]
check(not strange, "nobody else was blocked" if not strange else "blocked, and no flooder: " + ", ".join(strange))
check(dropped == sum(blocked.values()), f"drops of the account and of the rules agree ({dropped} and {sum(blocked.values())})")
check(received == counted + dropped + other, f"the account adds up: {received} received = {counted} counted + {dropped} dropped + {other} other")
check(counted + dropped == sent, f"every packet sent is in it ({sent} sent, {counted + dropped} counted or dropped)")
sys.exit(1 if bad else 0)
PY
result=$?
say ''
if [ "$result" -eq 0 ]; then
	say 'All of it. Everything is taken down again.'
else
	say 'The demo FAILED; the daemon said:'
	grep -v 'info: bin' "$dir/levee.log" | tail -n 30
fi
exit "$result"
