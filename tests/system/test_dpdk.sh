#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# levee run with type = dpdk in the wire between two namespaces: TCP passes intact both ways, what is
# blocked does not, the counters of both ends add up with the account, a restart keeps the blocks,
# and whatever does not fit is one line with cause and remedy and leaves the interfaces alone.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
if "$levee" version | grep -q 'DPDK is not built in'; then
	echo "ok 1 - ${0##*/} # SKIP levee is built without DPDK"
	echo '1..1'
	exit 0
fi
wire=levee-t-w-$id
trap 'ip netns del "$wire" 2>/dev/null; cleanup' EXIT
in_wire() { nsenter --net="/run/netns/$wire" "$@"; }

# client eth0 -- outside [levee] inside -- eth0 server. What the kernel leaves to a NIC, checksums
# and cutting into segments, no NIC does here.
make_wire() {
	local at
	for at in "$server" "$client" "$wire"; do
		ip netns add "$at" && nsenter --net="/run/netns/$at" \
			sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 || return 1
	done
	ip link add eth0 netns "$client" type veth peer name outside netns "$wire" &&
		ip link add eth0 netns "$server" type veth peer name inside netns "$wire" &&
		ip -n "$server" addr add 192.0.2.1/24 dev eth0 || return 1
	for at in 2 66 $(seq 101 112); do
		ip -n "$client" addr add "192.0.2.$at/24" dev eth0 || return 1
	done
	for at in "$server eth0" "$client eth0" "$wire outside" "$wire inside"; do
		set -- $at
		ip -n "$1" link set "$2" up
		nsenter --net="/run/netns/$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null
	done
}
cpus=$(taskset -pc $$ | sed 's/.*: //; s/[,-].*//')
other=$(taskset -pc $$ | sed 's/.*[ ,-]//')
eal="--no-huge --no-pci --no-shconf --no-telemetry -m 128 --lcores 0@$cpus,1@$other"
ports='net_af_packet0,iface=outside net_af_packet1,iface=inside'
export LEVEE_SOCKET=$dir/levee.sock
configure_wire() {
	{
		printf '[data_path]\ntype = dpdk\nmode = wire\neal = %s\nports = %s\n' "$eal" "$ports"
		printf 'sources = 16384\nsources6 = 4096\n'
		printf '[api]\nsocket = %s\ngroup =\n' "$LEVEE_SOCKET"
		printf '[state]\nfile = %s\n[scope]\nports = udp\n[detect]\n' "$state"
		printf '%s\n' "$@"
	} >"$config"
}
# The same as lib.sh's, in another namespace.
start_wire() {
	log_lines=$(wc -l <"$log")
	nsenter --net="/run/netns/$wire" "$levee" run --config "$config" 2>>"$log" &
	daemon=$!
	wait_for 30 eval 'started || gone'
	started
}

cat >"$dir/tcp.py" <<'PY'
"""tcp.py serve PORTFILE | ask PORT SOURCE BYTES: a transfer both ways at once, compared by hash."""
import hashlib, os, random, socket, sys, threading
def push(sock, data):
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
def pull(sock):
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)
if sys.argv[1] == "serve":
    listener = socket.create_server(("192.0.2.1", 0))
    with open(sys.argv[2] + ".tmp", "w") as out:
        out.write(str(listener.getsockname()[1]))
    os.rename(sys.argv[2] + ".tmp", sys.argv[2])
    listener.settimeout(120)
    while True:
        sock, _ = listener.accept()
        sock.settimeout(60)
        size, seed = map(int, sock.recv(64).split())
        sock.sendall(b"+")
        sender = threading.Thread(target=push, args=(sock, random.Random(seed).randbytes(size)))
        sender.start()
        got = pull(sock)
        sender.join()
        want = random.Random(seed + 1).randbytes(size)
        print("server", got == want, hashlib.sha256(got).hexdigest(), flush=True)
else:
    port, source, size = int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    sock = socket.create_connection(("192.0.2.1", port), 3, (source, 0))
    sock.settimeout(60)
    seed = os.getpid()
    sock.sendall(b"%d %d" % (size, seed))
    assert sock.recv(1) == b"+"
    sender = threading.Thread(target=push, args=(sock, random.Random(seed + 1).randbytes(size)))
    sender.start()
    got = pull(sock)
    sender.join()
    sys.exit(got != random.Random(seed).randbytes(size))
PY
cat >"$dir/udp.py" <<'PY'
"""udp.py: 12 sources send a little for 2 s, and 192.0.2.66 a flood."""
import socket, time
def sender(address):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    sock.connect(("192.0.2.1", 9))
    return sock
def send(sock):
    try:
        sock.send(b"x" * 100)
    except ConnectionRefusedError:
        pass # the server's answer: nobody listens there
good = [sender("192.0.2.%d" % i) for i in range(101, 113)]
flood = sender("192.0.2.66")
for turn in range(400):
    for _ in range(10):
        send(flood)
    if turn % 40 == 0:
        for sock in good:
            send(sock)
    time.sleep(0.005)
PY

tcp() { in_client timeout 90 python3 "$dir/tcp.py" ask "$(cat "$dir/port")" "$@"; }
count() { ip -n "$1" -s -j link show eth0 | jq ".[0].stats64.$2.packets"; }
# Differences of both ends since mark(): what the client sent and the server got, and back.
mark() {
	client_sent=$(count "$client" tx) server_got=$(count "$server" rx)
	server_sent=$(count "$server" tx) client_got=$(count "$client" rx)
}

# ---- what does not fit ---------------------------------------------------------------------

make_wire || echo '# the namespaces cannot be made'
configure_wire 'bin = 1' 'window = 60' 'min_packets = 500' 'warmup_bins = 0'

# refuses WORDS SED: one line of error with these words, exit code 1
refuses() {
	local words=$1 code=0
	sed "$2" "$config" >"$dir/other.conf"
	in_wire timeout 30 "$levee" run --config "$dir/other.conf" >"$dir/said" 2>&1 || code=$?
	cat "$dir/said"
	echo "exit code $code"
	[ "$code" -eq 1 ] && grep -qE "$words" "$dir/said" || return 1
	[ "$(grep -cE ' error: |^/.*other.conf: ' "$dir/said")" -eq 1 ]
}
untouched() {
	local link
	for link in outside inside; do
		in_wire ip -d link show "$link" >"$dir/link"
		cat "$dir/link"
		grep -q 'promiscuity 0 ' "$dir/link" && ! grep -q 'xdp' "$dir/link" || return 1
	done
}
check 'an argument that EAL does not have is named' \
	refuses "unrecognized option '--no-hugh'.*testpmd --help" 's/--no-huge/--no-hugh/'
if [ "$(cat /proc/sys/vm/nr_hugepages)" -eq 0 ]; then
	check 'without hugepages it says how to get some, and how to do without' \
		refuses 'hugepage.*sysctl vm.nr_hugepages.*--no-huge' 's/--no-huge//'
fi
check 'a CPU that is not there is named' refuses 'EAL does not start.*--lcores' 's/1@[0-9]*/1@900/'
check 'an interface that is not there is named' \
	refuses 'no port net_af_packet0,iface=nowhere.*No such device' 's/iface=outside/iface=nowhere/'
check 'a PCI device that is not there is named' \
	refuses 'no port 0000:ff:1f.7.*dpdk-devbind' 's/net_af_packet0,iface=outside/0000:ff:1f.7/'
check 'more lcores than EAL has are refused' refuses 'EAL has 1 lcore .*3 are needed' 's/^mode.*/&\nlcores = 3/'
check 'more queues than a port has are refused' \
	refuses 'net_af_packet0 has 1 receive queue, 4 are needed' 's/^mode.*/&\nqueues = 4/'
check 'fewer queues than lcores are found by config check, too' \
	refuses 'queues = 1 is less than lcores = 2' 's/^mode.*/&\nqueues = 1\nlcores = 2/'
check 'a wire with one port is refused' refuses 'names 1 port, mode = wire needs two' 's/ net_af_packet1.*//'
check 'no port at all is refused with an example' refuses 'ports is empty.*0000:00:06.0' 's/^ports.*//'
check 'the interfaces are as they were' untouched

# ---- the wire ------------------------------------------------------------------------------

mark
sent_before=$client_sent
check 'the daemon starts in the wire' start_wire
nsenter --net="/run/netns/$server" timeout 300 python3 "$dir/tcp.py" serve "$dir/port" >"$dir/served" 2>&1 &
helper=$!
trap 'kill "$helper" 2>/dev/null; ip netns del "$wire" 2>/dev/null; cleanup' EXIT
wait_for 20 test -s "$dir/port"
check 'a TCP transfer passes intact, 4 MB each way at once' tcp 192.0.2.2 4000000
check 'the other end has it intact, too' wait_for 10 grep -q 'server True' "$dir/served"
check 'so does one from the source that will be blocked' tcp 192.0.2.66 1000

in_client timeout 60 python3 "$dir/udp.py"
blocked() { tail -n +"$((log_lines + 1))" "$log" | grep -q 'notice: block 192.0.2.66 '; }
check 'the flood is found and blocked' wait_for 20 blocked
check 'within its bin, by the fast path' grep -q 'block 192.0.2.66 .*by fast: ' "$log"
check 'nobody else is' eval '[ "$(grep -c "notice: block " "$log")" -eq 1 ]'
check 'TCP of the blocked source does not pass' eval '! tcp 192.0.2.66 1000'
check 'TCP of the others does' tcp 192.0.2.2 1000000

# What the ports lost is in no account, and status has it.
lost() { "$levee" status --json | jq "$1"; }
adds_up() {
	local sent got received dropped missed refused
	missed=$(lost .account.lost.missed) refused=$(lost '.account.lost | .refused + .send_errors')
	sent=$(($(count "$client" tx) - sent_before)) got=$(($(count "$server" rx) - server_got))
	received=$(account received) dropped=$(account dropped)
	echo "client sent $sent, levee received $received, missed $missed and dropped $dropped, server got $got"
	[ "$sent" -ge "$received" ] && [ "$sent" -le $((received + missed)) ] && [ "$dropped" -gt 0 ] &&
		[ "$got" -le $((received - dropped)) ] && [ "$got" -ge $((received - dropped - refused)) ]
}
wait_for 15 adds_up
check 'what the client sent is received, and what was not dropped arrived' adds_up
back() {
	local sent got
	sent=$(($(count "$server" tx) - server_sent)) got=$(($(count "$client" rx) - client_got))
	echo "server sent $sent, client got $got"
	[ "$sent" -ge "$got" ] && [ "$sent" -le $((got + $(lost '.account.lost | .missed + .refused + .send_errors'))) ]
}
check 'all that the server sent arrived, or is known to be lost' back
check 'status names the ports, and what they lost' \
	eval '"$levee" status | grep -q "^levee .* on net_af_packet0" && "$levee" status | grep -q "^lost .*missed.*in no account"'
check 'so do the metrics' eval 'curl -sS --unix-socket "$LEVEE_SOCKET" http://levee/metrics | grep -q "^levee_port_lost_packets_total{reason=\"missed\"} [0-9]"'

# Frames as they may come: too short for anything, tagged once and twice, and no IP at all.
cat >"$dir/frames.py" <<'PY'
"""frames.py send | receive: raw frames through the wire, byte by byte, tags among them."""
import socket, struct, sys, time
HEAD = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02"
def tag(kind, number):
    return struct.pack("!HH", kind, number)
def frames():
    ip = bytes.fromhex("4500001c0000000040110000c0000203c0000201") + b"\0\x09\0\x09\0\x08\0\0"
    yield "runt", HEAD + b"\x88\xb5"
    yield "20 bytes of IPv4", HEAD + b"\x08\0" + ip[:6]
    yield "tagged", HEAD + tag(0x8100, 5) + b"\x08\0" + ip
    yield "tagged twice", HEAD + tag(0x8100, 7) + tag(0x8100, 9) + b"\x08\0" + ip
    yield "largest", HEAD + b"\x88\xb5" + bytes(range(250)) * 6
    yield "largest, tagged", HEAD + tag(0x8100, 5) + b"\x88\xb5" + bytes(range(250)) * 6
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(("eth0", 0))
if sys.argv[1] == "send":
    for _, frame in frames():
        sock.send(frame)
    sys.exit()
sock.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel keeps the outer tag there
sock.settimeout(0.2)
open(sys.argv[2], "w").close()
wanted, end = dict(frames()), time.monotonic() + 30
while wanted and time.monotonic() < end:
    try:
        data, extra, _, where = sock.recvmsg(4096, 256)
    except TimeoutError:
        continue
    for _, kind, aux in extra:
        status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", aux[:20])
        if kind == 8 and status & 0x10:
            data = data[:12] + tag(tpid if status & 0x40 else 0x8100, tci) + data[12:]
    wanted = {name: frame for name, frame in wanted.items() if frame != data}
print("did not come as they were:", list(wanted))
sys.exit(bool(wanted))
PY
unchanged() {
	local receiver code=0
	nsenter --net="/run/netns/$server" timeout 60 python3 "$dir/frames.py" receive "$dir/listens" &
	receiver=$!
	wait_for 20 test -e "$dir/listens"
	in_client python3 "$dir/frames.py" send
	wait "$receiver" || code=$?
	return $code
}
check 'runts, tagged frames and the largest pass byte by byte' unchanged
check 'SIGTERM ends it with exit code 0' stop_levee
check 'and it says that no packet passes now' grep -q 'stopped; NO PACKET passes' "$log"
check 'the interfaces are left as they were' untouched
check 'a new start takes the block over' start_wire
check 'and the source stays blocked' eval '! tcp 192.0.2.66 1000'
check 'TCP of the others passes' tcp 192.0.2.2 100000

# ---- a port that goes ----------------------------------------------------------------------

ended() {
	local code=0
	wait_for 20 gone || return 1
	wait "$daemon" || code=$?
	daemon=''
	echo "exit code $code"
	[ "$code" -eq 1 ]
}
ip -n "$wire" link del outside
check 'a port that goes ends it with exit code 1' ended
check 'and is named with the remedy' grep -q 'error: port net_af_packet0 is gone: .*start levee again' "$log"
kill "$helper" 2>/dev/null
finish
