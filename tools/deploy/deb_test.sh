#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# deb_test.sh: the Debian package in a clean Debian 12, in TAP: install, start under its systemd in a
# container, a flood that is dropped, reload, upgrade, remove, purge. Needs root, debootstrap,
# systemd-container, and Debian's archive. The bare system is kept in .build/deb-test for the next time.
set -u
cd "$(dirname "$0")/../.." || exit 1
base=$PWD/.build/deb-test
root=$base/root-$$
name=levee-deb-$$
pktgen=$PWD/.build/release/tools/pktgen/pktgen
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
n=0 failed=0 nspawn='' init=''

check() {
	n=$((n + 1))
	local what=$1
	shift
	if "$@" >"$base/out" 2>&1; then
		echo "ok $n - $what"
	else
		failed=$((failed + 1))
		echo "not ok $n - $what"
		tail -n 20 "$base/out" | sed 's/^/#   /'
	fi
}
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}
for tool in debootstrap systemd-nspawn; do
	command -v $tool >/dev/null || {
		echo "deb-test: $tool is missing: apt-get install debootstrap systemd-container" >&2
		exit 1
	}
done
[ "$(id -u)" -eq 0 ] || { echo 'deb-test: root is needed' >&2 && exit 1; }

at_end() {
	trap - EXIT
	if [ -n "$init" ]; then
		kill -KILL "$init" 2>/dev/null
		wait "$nspawn" 2>/dev/null
	fi
	rm -rf "$root"
}
trap at_end EXIT
trap 'exit 130' INT TERM

mkdir -p "$base"
if [ ! -e "$base/bookworm.tar" ]; then
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2 bookworm "$root" \
		"$mirror" >"$base/debootstrap.log" 2>&1 || {
		tail "$base/debootstrap.log"
		exit 1
	}
	tar -C "$root" -cf "$base/bookworm.tar" . && rm -rf "$root"
fi
mkdir -p "$root" && tar -C "$root" -xf "$base/bookworm.tar" || exit 1
cp /etc/resolv.conf "$root/etc/"

deb=$(ls .build/deb/levee_*.deb)
version=$(dpkg-deb -f "$deb" Version)
cp "$deb" "$root/root/levee.deb"
DEB_VERSION=$version+next DEB_OUT=$base/next tools/deploy/deb.sh >"$base/next.log" 2>&1 || {
	cat "$base/next.log"
	exit 1
}
cp "$base"/next/levee_*.deb "$root/root/next.deb"

in_root() { chroot "$root" env DEBIAN_FRONTEND=noninteractive "$@"; }
inside() { nsenter -t "$init" -m -p -n -i -u env DEBIAN_FRONTEND=noninteractive "$@"; }

# ---- installing ----------------------------------------------------------------------------------

install_it() {
	in_root apt-get update -qq &&
		in_root apt-get install -y -qq --no-install-recommends /root/levee.deb
}
config_good() { in_root levee config check /etc/levee/levee.conf; }
check 'it installs with nothing but what Debian 12 has' install_it
check 'the program runs there' in_root levee version
check 'the configuration is a good one' config_good
check 'the user is there' in_root id levee
check 'it is not started before an interface is named' test ! -e "$root/etc/systemd/system/multi-user.target.wants/levee.service"
[ $failed -eq 0 ] || { echo "1..$n" && exit 1; }

# ---- running -------------------------------------------------------------------------------------

sed -i 's/^interfaces =.*/interfaces = host0/; s/^bin =.*/bin = 1/; s/^window =.*/window = 600/
	s/^min_packets =.*/min_packets = 500/; s/^rules =.*/rules = 64/' "$root/etc/levee/levee.conf"
cp "$root/etc/levee/levee.conf" "$base/edited.conf"
systemd-nspawn -q -D "$root" --boot --register=no --keep-unit --network-veth --machine=$name \
	--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN --system-call-filter='bpf perf_event_open' \
	--console=pipe </dev/null >"$base/boot.log" 2>&1 &
nspawn=$!
booted() {
	init=$(pgrep -P "$nspawn" | head -n 1)
	[ -n "$init" ] && inside systemctl is-system-running | grep -qE 'running|degraded'
}
check 'the system boots' wait_for 60 booted
# The container's own view of /sys lacks what a machine has: BTF, and a BPF file system of systemd.
inside sh -ec 'mount -o remount,rw /sys; mkdir -p /sys/fs/bpf /run/s /sys/kernel/btf
	mount -t sysfs sysfs /run/s; mount --bind /run/s/kernel/btf /sys/kernel/btf
	mount -t bpf -o mode=700 bpf /sys/fs/bpf; ip link set host0 up; ip addr add 192.0.2.1/24 dev host0'
outside=$(ip -o link | sed -n 's/^[0-9]*: \(ve-[^@:]*\)@.*/\1/p' | while read -r l; do
	ip link show "$l" | grep -q 'link-netns\|link-netnsid' && echo "$l"; done | tail -n 1)
ip link set "$outside" up

start() { inside systemctl start levee && inside systemctl is-active levee; }
as_user() { inside sh -c 'grep -q "^Uid:.$(id -u levee)" /proc/$(systemctl show -p MainPID --value levee)/status'; }
reload() { inside systemctl reload levee && inside systemctl is-active levee; }
status_tells() { inside systemctl status levee --no-pager | grep -q 'Status: "Bin to'; }
cat >"$base/flood.ini" <<'INI'
[scenario]
name = package
duration = 60
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = 100
rate = 5
[flood]
prefix = 203.0.113.1/32
rate = 1000
start = 2
flooder = yes
INI
blocked() { inside journalctl -u levee --no-pager | grep -q 'block 203\.0\.113\.1 until'; }
flood() {
	"$pktgen" --interface "$outside" "$base/flood.ini" >/dev/null 2>&1 &
	sender=$!
	wait_for 30 blocked
}
check 'it starts under systemd' start
check 'as its own user' as_user
check 'it tells systemd of its bins' wait_for 15 status_tells
check 'it reloads' reload
check 'a flood is blocked' flood

# ---- upgrading -----------------------------------------------------------------------------------

pid() { inside systemctl show -p MainPID --value levee; }
before=$(pid)
upgrade() {
	inside dpkg -i /root/next.deb && [ "$(inside dpkg-query -W -f '${Version}' levee)" = "$version+next" ]
}
restarted() { [ "$(pid)" != "$before" ] && inside systemctl is-active levee; }
took_over() { inside journalctl -u levee --no-pager | grep -q 'taken over); .* 1 blocks taken over'; }
check 'the next version installs over it' upgrade
check 'an edited configuration is kept' cmp "$base/edited.conf" "$root/etc/levee/levee.conf"
check 'the daemon is the new one' wait_for 20 restarted
check 'it took over what was attached, and the block' wait_for 10 took_over
kill "$sender" 2>/dev/null

# ---- removing ------------------------------------------------------------------------------------

attached() { inside ip -d link show host0 | grep -q 'prog/xdp'; }
detached() { ! attached; }
check 'it is attached until then' attached
check 'it can be removed' inside dpkg -r levee
check 'and leaves nothing in the kernel' detached
check 'the configuration stays' cmp "$base/edited.conf" "$root/etc/levee/levee.conf"
check 'it can be purged' inside dpkg -P levee
check 'and leaves no configuration and no state' test ! -e "$root/etc/levee" -a ! -e "$root/var/lib/levee"
echo "1..$n"
[ $failed -eq 0 ]
