#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What goes wrong is said with thing, value and remedy, the exit code is not 0, and nothing is left
# half-attached.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
make_pair
configure 'bin = 1' 'window = 60'

# says CODE WORDS COMMAND...: exit code, and an extended regular expression in what it says
says() {
	local wanted=$1 words=$2 code=0
	shift 2
	timeout 120 "$@" >"$dir/said" 2>&1 || code=$?
	cat "$dir/said"
	echo "exit code $code"
	[ "$code" -eq "$wanted" ] && grep -qE "$words" "$dir/said"
}
there=(nsenter "--net=/run/netns/$server")
nothing_left() { [ ! -e "$pin" ] && ! in_server ip link show eth0 | grep -q 'xdp'; }
run_with() { sed "$1" "$config" >"$dir/other.conf" && says 1 "$2" "${there[@]}" "$levee" run --config "$dir/other.conf"; }

check 'an interface that is not there is named, with those that are' \
	run_with 's/= eth0/= eth9/' 'interface eth9 does not exist; there are: lo, eth0'
check 'nothing is left of it' nothing_left
check 'no interface at all is an error with an example' \
	run_with '/interfaces/d' 'interfaces is empty: .*interfaces = ens5'
check 'an unknown key is named with file and line, and the nearest known one' \
	run_with 's/^bin = 1/bim = 1/' 'other.conf:[0-9]+: .*bim.*bin'
check 'a bad value is named with file, line and range' \
	run_with 's/^bin = 1/bin = 5m/' 'other.conf:[0-9]+: .*bin = 5m.*1 to 3600'
check 'a configuration that cannot be read is named' \
	says 1 "$dir/none.conf.*No such file" "$levee" run --config "$dir/none.conf"
check 'config check finds it, too' says 1 'other.conf:[0-9]+' "$levee" config check "$dir/other.conf"
check 'an unknown command is a usage error' says 2 'no command rum' "$levee" rum
check 'an unknown option is a usage error' says 2 'no option --confg: did you mean --config' "$levee" run --confg x
check 'a --set that sets nothing is a usage error' says 2 'set bin: not SECTION.KEY=VALUE' "$levee" run --set bin
chmod 755 "$dir"
check 'without root it says what is needed' \
	says 1 'root' "${there[@]}" setpriv --reuid=65534 --regid=65534 --clear-groups "$levee" run \
	--config "$config" --set state.file=
check 'nothing is left of that' nothing_left
# The API's socket, as the service makes it: for root and a group that this user is not in.
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$dir/api.sock"
chown 0:daemon "$dir/api.sock" && chmod 0660 "$dir/api.sock"
cp "$levee" "$dir/levee" && chmod 755 "$dir/levee"
check 'a user outside of the group is told which group, and how to get into it' \
	says 3 "no permission to use $dir/api.sock: .*root and the group daemon; .*usermod -aG daemon" \
	setpriv --reuid=65534 --regid=65534 --clear-groups "$dir/levee" status --socket "$dir/api.sock"
check 'a socket that nobody listens on is said with what to look at' \
	says 3 'no daemon listens on .*systemctl status levee' "$levee" status --socket "$dir/api.sock"
check 'pins outside a BPF file system are refused with the mount command' \
	run_with "s|^pin = .*|pin = $dir/pins/levee|" 'not on a BPF file system; mount one with .mount -t bpf'
check 'a state file that cannot be made is an error that names it' \
	run_with 's|^file = .*|file = /proc/levee/state.db|' '/proc/levee'
check 'an allow list that was never read is an error that names it' \
	run_with "s|^\[state\]|[allow]\nfile = $dir/none.list\n[state]|" \
	"no allow list was ever read from $dir/none.list.*Make the file readable"
mkdir "$dir/small"
mount -t tmpfs -o size=256k tmpfs "$dir/small"
head -c 1M /dev/zero >"$dir/small/filler" 2>/dev/null
check 'a disk that is full at the start is said, with the file and what to do' \
	run_with "s|^file = .*|file = $dir/small/state.db|" \
	"small/state.db: cannot open: .*full; make room on its file system"
umount "$dir/small"
check 'nothing is left of all that' nothing_left

# ---- somebody else's program ---------------------------------------------------------------

cat >"$dir/other.bpf.c" <<'C'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int stranger(struct xdp_md *ctx) { return XDP_PASS; }
char LICENSE[] SEC("license") = "GPL";
C
clang -O2 -g -target bpf -I"/usr/include/$(uname -m)-linux-gnu" -c "$dir/other.bpf.c" -o "$dir/other.o"
in_server ip link set eth0 xdpdrv obj "$dir/other.o" sec xdp
check 'a program of somebody else is named and left in place' \
	says 1 'already has an XDP program \(id [0-9]+, stranger\)' "${there[@]}" "$levee" run --config "$config"
still_there() { in_server ip -d link show eth0 | grep -q 'name stranger'; }
check 'it is still there' still_there
in_server ip link set eth0 xdpdrv off
check 'nothing of ours is' nothing_left

# ---- native mode refused -------------------------------------------------------------------

ip -n "$server" link set lo up # its driver has no native XDP
check 'native mode that a driver lacks is refused with the reason' \
	run_with 's/= eth0/= lo\nattach = native/' 'lo \(.* refuses native XDP: .*attach = auto'
check 'nothing is left of it either' nothing_left
sed 's/= eth0/= lo\nattach = auto/' "$config" >"$dir/auto.conf"
falls_back() {
	"${there[@]}" "$levee" run --config "$dir/auto.conf" 2>"$dir/auto.log" &
	local child=$!
	wait_for 20 grep -q 'notice: levee ' "$dir/auto.log"
	kill "$child"
	wait "$child"
	cat "$dir/auto.log"
	grep -q 'Falling back to generic' "$dir/auto.log" && grep -q 'lo generic' "$dir/auto.log"
}
check 'with attach = auto it falls back to generic mode and says why' falls_back
"$levee" detach --pin "$pin" >/dev/null

# ---- a kernel that lacks something ---------------------------------------------------------

cc -std=c17 -D_GNU_SOURCE -O1 -shared -fPIC -o "$dir/refuse.so" tests/system/refuse.c || exit 1
lacks() { # REFUSE WORDS
	REFUSE=$1 LD_PRELOAD=$dir/refuse.so says 1 "error: .*$2" \
		nsenter "--net=/run/netns/$server" "$levee" run --config "$config" && nothing_left
}
check 'a kernel without BPF is told so' lacks 0=38 'has no BPF .*CONFIG_BPF_SYSCALL'
check 'one without ring buffers' lacks 0:27=22 'lacks ring buffers of BPF, Linux 5.8'
check 'one without maps of maps' lacks 0:12=22 'lacks arrays of BPF maps'
check 'one that loads no program' lacks 5=22 'it lacks BPF, CONFIG_BPF_SYSCALL'
check 'one whose verifier gives up' lacks 5:6=7 'verifier gives up on the XDP program.*uname -r'
check 'one without memory' lacks 0:2=12 'no memory for the maps .*lower .data_path. sources'
check 'one that lets nobody load' lacks 0=1 'run as root, or with CAP_BPF'
check 'one that lets nobody pin' lacks 6=1 'cannot pin the maps in .*right to write'
check 'one without XDP links' lacks 28=22 'cannot attach to eth0 .*links of XDP programs are needed, Linux 5.9'

echo 0-127 >"$dir/possible"
on_128_cpus() {
	says 1 'more entries than a BPF map .*lower .data_path. sources' unshare -m sh -c \
		"mount --bind '$dir/possible' /sys/devices/system/cpu/possible && exec \"\$@\"" sh \
		nsenter "--net=/run/netns/$server" "$levee" run --config "$config" --set data_path.sources=67108864
}
check 'tables that no map can hold, on many CPUs' on_128_cpus

# ---- a daemon that runs --------------------------------------------------------------------

check 'the daemon starts' start_levee
check 'a second one with the same pins is refused' \
	says 1 'another levee runs with .*pin' "${there[@]}" "$levee" run --config "$config" --set state.file=
check 'detach is refused while it runs' says 1 'a levee runs' "$levee" detach --pin "$pin"
pass_bins 1
stop_levee
check 'detach takes everything away' says 0 'detached from 1 interface' "$levee" detach --pin "$pin"
check 'and leaves nothing' nothing_left
check 'a second detach says that there is nothing' says 1 'nothing is pinned' "$levee" detach --pin "$pin"

# ---- the disk ------------------------------------------------------------------------------

mount -t tmpfs -o size=256k tmpfs "$dir/small"
sed -i "s|^file = .*|file = $dir/small/state.db|" "$config"
state=$dir/small/state.db
start_levee
pass_bins 2
head -c 1M /dev/zero >"$dir/small/filler" 2>/dev/null
full_said() { grep -qiE 'full|No space' "$log"; }
pass_bins 3
check 'a full disk is said' wait_for 20 full_said
check 'bins go on being closed all the same' pass_bins 3
rm "$dir/small/filler"
pass_bins 3
stored() { # the bins of the time without room, too: no gap
	sql 'select count(*), (max(start_s) - min(start_s)) / bin_s + 1 from bin' >"$dir/n"
	cat "$dir/n"
	read -r have span <"$dir/n" && [ "$have" -ge 8 ] && [ "$have" -eq "$span" ]
}
check 'once there is room everything is stored' wait_for 10 stored
stop_levee
head -c 100000 /dev/urandom >"$state"
rm -f "$state-wal" "$state-shm"
check 'with a damaged state file the daemon starts' start_levee
moved() { ls "$state".damaged-* && grep -q 'damaged' "$log"; }
check 'the damaged file is moved aside, and that is said' moved
stop_levee
finish
