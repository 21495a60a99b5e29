#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# One fleet, one writer of the network ACLs. Daemons in namespaces with one engine and one stand-in
# of EC2: a source that sends less than the threshold to each (a third to each of eight) is invisible
# to each, blocked on all a moment after the sum crosses, and denied by one rule, which the leader
# alone writes, with its
# fencing token in the ACLs' tag. A leader that was paused, in the middle of a call, too, and comes
# back writes nothing any more.
#
# LEVEE_FLEET_NODES=8 daemons, LEVEE_FLEET_RUNS=20 runs of the crossing: `make fleet-proof`.
# LEVEE_FLEET_BIN=60 has bins of a minute and 12,000 packets, as Levee is installed.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=fleet.sh
. tests/system/fleet.sh
# shellcheck source=../aws/standin.sh
. tests/aws/standin.sh
need_root
need_engine
standin_need
count=${LEVEE_FLEET_NODES:-3} runs=${LEVEE_FLEET_RUNS:-2} bin=${LEVEE_FLEET_BIN:-2}
min_packets=$((bin * 200)) # 12,000 a minute
window=$((bin < 10 ? 600 : bin * 60)) # blocks last as long: no less than this takes
trap 'standin_stop; end_fleet' EXIT
make_fleet "$count" || exit 1
# shellcheck disable=SC2034 # for standin.sh
standin_netns=$server
standin_start || exit 1
standin POST world '{"subnets":2}' >"$dir/world" || exit 1
standin_env
# The machine's metadata service is not asked: its answers are one instance's.
blue=$(jq -r .blue "$dir/world") green=$(jq -r .green "$dir/world")
for n in "${nodes[@]}"; do
	# Each has keys of its own, so that the stand-in's log says who called.
	standin POST keys '{}' >"$dir/keys-$n" || exit 1
	cat >"$dir/$n.conf" <<CONF
[data_path]
interfaces = eth$n
pin = $pin-$n
[state]
file = $dir/state-$n/levee.db
[api]
socket = $dir/levee-$n.sock
[detect]
bin = $bin
window = $window
min_packets = $min_packets
[fleet]
url = redis://127.0.0.1:6379
node = node-$n
grace = 2
$(standin_nacl "$dir/world")
CONF
done
key_of() { jq -r .AWS_ACCESS_KEY_ID "$dir/keys-$1"; }
start_node() {
	: >"$(log_of "$1")"
	mkdir -p "$dir/state-$1"
	nsenter --net="/run/netns/$server" env "AWS_ACCESS_KEY_ID=$(key_of "$1")" \
		"AWS_SECRET_ACCESS_KEY=$(jq -r .AWS_SECRET_ACCESS_KEY "$dir/keys-$1")" \
		"$levee" run --config "$dir/$1.conf" 2>>"$(log_of "$1")" &
	daemons[$1]=$!
}
ready() { grep -q 'notice: levee ' "$(log_of "$1")"; }
start_all() {
	for n in "${nodes[@]}"; do start_node "$n"; done
	for n in "${nodes[@]}"; do wait_for 120 ready "$n" || return 1; done
}
together() {
	local n
	for n in "${nodes[@]}"; do
		[ "$(grep -oE 'fleet: (together|alone)' "$(log_of "$n")" | tail -n 1)" = 'fleet: together' ] || return 1
	done
}
status() { in_server "$levee" fleet status --config "$dir/0.conf" --format json; }
leader() { status | jq -r '.leader' | sed 's/node-//'; }
has_leader() { [ -n "$(leader)" ]; }
another_leads() { local now; now=$(leader) && [ -n "$now" ] && [ "$now" != "$1" ]; }
armed() { status | jq -e '.fast_threshold > 0 and .last_bin.complete' >/dev/null; }
blocked_on() { "$levee" list --pin "$pin-$1" rules | grep -qE "^block $2/"; }
blocked_on_all() {
	local n
	for n in "${nodes[@]}"; do blocked_on "$n" "$1" || return 1; done
}
denied() { # N ADDRESS: so many rules of the ACL in force on the first subnet deny it
	local acl
	standin GET state >"$dir/aws" || return 1
	acl=$(jq -r --arg s "$(jq -r '.subnets[0]' "$dir/world")" '.subnets[$s].acl' "$dir/aws")
	[ "$(jq --arg a "$acl" --arg c "$2/32" '[.acls[$a].entries[] | select((.egress | not) and
		.action == "deny" and .cidr == $c)] | length' "$dir/aws")" -eq "$1" ]
}
tag() { standin GET state | jq -r --arg a "$1" '.acls[$a].tags["levee:token"] // ""'; }
writers() { # since CALL: who changed anything, one key a line
	standin GET 'log?service=ec2&writes=1' |
		jq -r --argjson since "$1" '.[] | select(.call > $since and .effect) | .access_key' | sort -u
}
calls() { standin GET 'log?service=ec2' | jq '[.[].call] | max // 0'; }
said() { grep -q "$2" "$(log_of "$1")"; }
safe() { standin GET check | tee "$dir/check" | jq -e '.violations == []'; }

# ---- the sum ---------------------------------------------------------------------------------

check 'the engine starts' start_engine
check "$count daemons start" start_all
check 'they are together' wait_for 90 together
check 'and have a leader' wait_for 60 has_leader
cat >"$dir/clients.ini" <<INI
[scenario]
name = clients
duration = 7200
bin = 1
seed = 11
[clients]
prefix = 198.18.0.0/16
sources = 100
rate = 2
INI
for n in "${nodes[@]}"; do
	nsenter --net="/run/netns/$client" "$pktgen" --interface "eth$n" "$dir/clients.ini" >/dev/null 2>&1 &
	senders+=($!)
done
check 'the fast path is armed after its warm-up' wait_for $((bin * 8 + 60)) armed

cat >"$dir/crossing.py" <<'PY'
"""A source that sends to all nodes by turns; prints how long after the sum crossed the threshold the
last node let the last of its packets through. What a node lets through is seen behind its data path,
with the kernel's time of arrival, so the look itself takes no part in it."""
import ctypes, json, os, re, socket, struct, subprocess, sys, time

levee, pin, server, address, threshold, rate, nodes, bin_s = sys.argv[1:9]
threshold, rate, nodes, bin_s = int(threshold), float(rate), int(nodes), int(bin_s)
SO_TIMESTAMPNS, SO_ATTACH_FILTER = 35, 26
libc = ctypes.CDLL(None, use_errno=True)

def enter(path):
    with open(path) as f:
        if libc.setns(f.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")

def behind(n):
    """Frames of this source that pass."""
    code = [(0x20, 0, 0, 26), (0x15, 0, 1, struct.unpack("!I", socket.inet_aton(address))[0]),
            (6, 0, 0, 64), (6, 0, 0, 0)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                 struct.pack("HL", len(code), ctypes.addressof(program)))
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    s.bind((f"eth{n}", 0))
    s.setblocking(False)
    return s

here = os.readlink("/proc/self/ns/net")
home = os.open("/proc/self/ns/net", os.O_RDONLY)
enter(f"/run/netns/{server}")
sniffers = [behind(n) for n in range(nodes)]
libc.setns(home, 0x40000000)
if os.readlink("/proc/self/ns/net") != here:
    sys.exit("not back in the own namespace")
links = []
for n in range(nodes):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((f"eth{n}", 0))
    links.append(s)
shown = json.loads(subprocess.run(["ip", "-n", server, "-j", "link"], capture_output=True, text=True,
                                  check=True).stdout)
mac = {link["ifname"]: link["address"] for link in shown}

def frame(n):
    source = socket.inet_aton(address)
    target = socket.inet_aton(f"192.0.2.{1 + 16 * n}")
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, source, target)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~total & 0xffff) + head[12:]
    return bytes.fromhex(mac[f"eth{n}"].replace(":", "")) + b"\x02\0\0\0\0\x01" + b"\x08\0" + head + struct.pack(
        "!HHHH", 9, 9, 8, 0) + bytes(18)

frames = [frame(n) for n in range(nodes)]
passed = [0.0] * nodes  # when the last one did
sent_at = [[] for _ in range(nodes)]

def look():
    for n, s in enumerate(sniffers):
        while True:
            try:
                _, extra, _, _ = s.recvmsg(64, 128)
            except BlockingIOError:
                break
            for _, kind, data in extra:
                if kind == SO_TIMESTAMPNS:
                    seconds, ns = struct.unpack("qq", data[:16])
                    passed[n] = seconds + ns / 1e9

def first_drop(n):
    """When the first frame was sent that did not pass, nor did any after it."""
    return next((t for t in sent_at[n] if t > passed[n]), None)

def is_blocked(n):
    after = [t for t in sent_at[n] if t > passed[n]]
    return len(after) >= 5 and time.time() - after[0] > 0.2

def wait_until(t):
    ahead = t - time.time()
    if ahead > 0.002:
        time.sleep(ahead)

# The sum crosses within one bin, and no node gets more than a third of the threshold (of eight) in
# any bin: fast up to the threshold, and the rest of the shares over the time after it.
share = 8 * threshold // (3 * nodes)
slowly = min(rate / 2, (nodes * share - threshold) / (0.9 * bin_s))
need = threshold / rate
now = time.time()
if bin_s - now % bin_s < need + 0.2:
    time.sleep(bin_s - now % bin_s + 0.05)
sent, crossed, due = 0, 0, time.time()
while not crossed or (time.time() < crossed + 30 and not all(is_blocked(n) for n in range(nodes))):
    n = sent % nodes
    now = time.time()
    links[n].send(frames[n])
    sent_at[n].append(now)
    sent += 1
    if sent == threshold + 1:
        crossed = now
        due = now
    due += 1 / (slowly if crossed else rate)
    if crossed:
        look()
    wait_until(due)
look()
late = [n for n in range(nodes) if not is_blocked(n)]
if late:
    sys.exit(f"{sent} packets, threshold {threshold}: not blocked on {late}")
early = [n for n in range(nodes) if first_drop(n) < crossed]
if early:
    sys.exit(f"blocked on {early} before the sum crossed {threshold}")
for n in range(nodes):
    out = subprocess.run([levee, "list", "--pin", f"{pin}-{n}", "rules"], capture_output=True, text=True)
    if not re.search(rf"^block {re.escape(address)}/", out.stdout, re.M):
        sys.exit(f"node {n} does not list {address}")
times = [first_drop(n) - crossed for n in range(nodes)]
print(f"{max(times):.3f} {min(times):.3f} {crossed % bin_s:.2f}")
PY
threshold() { status | jq '.fast_threshold | floor'; }
crossing() { # ADDRESS
	local t
	t=$(threshold) || return 1
	nsenter --net="/run/netns/$client" python3 "$dir/crossing.py" "$levee" "$pin" "$server" "$1" "$t" \
		4000 "$count" "$bin" >>"$dir/times"
}
# The proof has a second; two runs beside others, with sanitizers, say that it works at all.
blocked_in_time() {
	python3 - "$dir/times" "$runs" <<'PY'
import statistics, sys
times = sorted(float(line.split()[0]) for line in open(sys.argv[1]))
print(f"blocked everywhere after the crossing of the sum, {len(times)} runs: median "
      f"{statistics.median(times):.3f} s, worst {times[-1]:.3f} s")
sys.exit(len(times) != int(sys.argv[2]) or times[-1] > (1 if len(times) >= 5 else 5))
PY
}
: >"$dir/times"
begun=$(calls)
all_cross() {
	local i
	for ((i = 1; i <= runs; i++)); do crossing "203.0.113.$i" || { echo "run $i"; return 1; }; done
}
check "$runs sources, below the threshold on each node and above it in sum, are blocked on all" all_cross
check 'within a moment of the crossing of the sum' blocked_in_time
sed 's/^/# /' "$dir/check.out"
no_node_alone() {
	local n
	for n in "${nodes[@]}"; do ! grep -E 'flagged 203\.0\.113|blocked 203\.0\.113.* by (zscore|robust)' "$(log_of "$n")" || return 1; done
}
check 'no node found one by itself' no_node_alone
entries() { [ "$(status | jq '.entries')" -eq "$runs" ]; }
check 'each is one entry in the engine' wait_for 10 entries
check 'and one rule of the network ACL' wait_for 60 denied 1 "203.0.113.$runs"

# ---- one writer ------------------------------------------------------------------------------

old=$(leader)
token=$(status | jq -r .token)
only_leader() { [ "$(writers "$begun")" = "$(key_of "$old")" ] || { writers "$begun"; false; }; }
check 'the leader alone has written' only_leader
tags() { [ "$(tag "$blue")" = "$token" ] && [ "$(tag "$green")" = "$token" ]; }
check 'and both ACLs have its fencing token in a tag' tags

# It is paused at the very moment of a write, which gets no answer.
block() { # NODE ADDRESS
	in_server "$levee" block "$2" --for 1h --socket "$dir/levee-$1.sock"
}
standin POST script "{\"faults\":[{\"operation\":\"ec2:writes\",\"call\":1,\"do\":\"kill\",\"pid\":${daemons[$old]},\"signal\":19}]}" >/dev/null
other=$(((old + 1) % count))
check 'a command on another node is taken' block "$other" 198.51.100.1
paused() { [ "$(awk '{ print $3 }' "/proc/${daemons[$old]}/stat")" = T ]; }
check 'the leader is paused in the middle of its write' wait_for 60 paused
# Its call ends without effect: what is written from here on is another's.
check 'another leads within ten seconds' wait_for 10 another_leads "$old"
new=$(leader)
standin POST script '{}' >/dev/null
standin POST release >/dev/null
since=$(calls)
check 'and writes the rule' wait_for 90 denied 1 198.51.100.1
grown() { [ "$(tag "$blue")" -gt "$token" ] && [ "$(tag "$green")" -gt "$token" ]; }
check 'with a token that is larger' wait_for 20 grown
kill -CONT "${daemons[$old]}"
check 'the old leader comes back, and is no leader' wait_for 60 said "$old" 'fleet: .*another node\|fleet: together\|fleet: alone'
check 'a command on the old leader is taken' block "$old" 198.51.100.2
check 'its rule is written' wait_for 90 denied 1 198.51.100.2
only_new() { [ "$(writers "$since")" = "$(key_of "$new")" ] || { writers "$since"; false; }; }
check 'by the new leader alone' only_new

check 'no subnet was ever without the rules of its operator' safe
local_only() { # --local: on one node, nowhere else
	in_server "$levee" block 198.51.100.9 --for 1h --local --socket "$dir/levee-0.sock" &&
		block 0 198.51.100.10 && wait_for 20 blocked_on_all 198.51.100.10 &&
		blocked_on 0 198.51.100.9 && ! blocked_on 1 198.51.100.9
}
if "$levee" block --help | grep -q -- --local; then
	check 'a block with --local holds on one node alone' local_only
fi
allowed_on() { # COUNT ADDRESS: so many nodes allow it
	local n have=0
	for n in "${nodes[@]}"; do
		"$levee" list --pin "$pin-$n" rules | grep -qE "^allow $2/" && have=$((have + 1))
	done
	[ "$have" -eq "$1" ]
}
allow() { # ADD-OR-REMOVE NODE ADDRESS [OPTION]
	in_server "$levee" allow "$1" "$3" "${@:4}" --socket "$dir/levee-$2.sock"
}
allowed_everywhere() {
	allow add 0 198.51.100.77 && wait_for 20 allowed_on "$count" 198.51.100.77 &&
		allow add 0 198.51.100.78 --local && allow remove 1 198.51.100.77 &&
		wait_for 20 allowed_on 0 198.51.100.77 && allowed_on 1 198.51.100.78
}
check 'what is allowed, or not any more, on one node is so on all; with --local on one' allowed_everywhere
for pid in "${senders[@]}"; do { kill "$pid" && wait "$pid"; } 2>/dev/null; done
senders=()
end_all() {
	local n bad=0
	for n in "${nodes[@]}"; do kill -TERM "${daemons[$n]}"; done
	for n in "${nodes[@]}"; do
		wait "${daemons[$n]}" || bad=1
		daemons[$n]=''
	done
	return $bad
}
check 'all end' end_all
no_secret() { leaks=$(standin_leaks "$dir"/[0-9]*.log) && [ -z "$leaks" ]; }
check 'no secret is in a log' no_secret
finish
