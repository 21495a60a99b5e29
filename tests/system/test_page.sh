#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The page in Chromium, against a running daemon and real packets, in a namespace that leads nowhere:
# see tests/page/page.mjs. Screenshots are kept in .build/release/page-shots.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root

skip() {
	echo "ok 1 - the page in a browser # SKIP $1"
	echo '1..1'
	exit 0
}
"$levee" version | grep -q '^page: built in' || skip "$("$levee" version | grep '^page')"
CHROMIUM=$(command -v chromium || command -v chromium-browser) || skip 'Chromium is not installed'
export CHROMIUM
command -v npm >/dev/null || skip 'npm is not installed'

npm=$PWD/.build/npm/page-test
tests/page/npm.sh "$npm" >"$dir/npm.log" 2>&1 ||
	skip "npm ci in tests/page failed: $(tail -n 1 "$dir/npm.log")"
cp tests/page/page.mjs "$npm/"

shots=$build/page-shots
rm -rf "$shots" && mkdir -p "$shots"
make_pair
ip -n "$server" link set lo up
token=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
(umask 077 && echo "$token" >"$dir/token")
configure 'bin = 1' 'window = 120' 'min_packets = 300'
# Nobody else is in the namespace, so the port is free.
printf '[api]\nsocket = %s\ngroup =\nlisten = 127.0.0.1:8080\ntoken_file = %s\n' \
	"$dir/levee.sock" "$dir/token" >>"$config"
cat >"$dir/traffic.ini" <<'INI'
[scenario]
name = page
duration = 600
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = 150
order = spread
rate = 8
distribution = lognormal(0, 0.4)
[clients6]
prefix = 2001:db8:100::/40
sources = 20
order = spread
rate = 8
INI
cat >"$dir/flood.ini" <<'INI'
[scenario]
name = flood
duration = 600
bin = 1
[flood]
prefix = 203.0.113.1/32
rate = 1000
flooder = yes
[flood6]
prefix = 2001:db8:bad::/64
rate = 700
flooder = yes
INI
senders=()
at_end() {
	[ ${#senders[@]} -eq 0 ] || { kill "${senders[@]}" && wait "${senders[@]}"; } 2>/dev/null
	cleanup
}
trap at_end EXIT
start_levee || { echo 'not ok 1 - the daemon starts' && sed 's/^/# /' "$log" && exit 1; }
in_client "$pktgen" --interface eth0 "$dir/traffic.ini" >/dev/null 2>&1 &
senders+=($!)
(wait_for 120 test -e "$shots/ready" && in_client "$pktgen" --interface eth0 "$dir/flood.ini" >/dev/null 2>&1) &
senders+=($!)
# The daemon that comes back.
(wait_for 150 test -e "$shots/gone" &&
	exec nsenter --net="/run/netns/$server" "$levee" run --config "$config" 2>>"$log") &
senders+=($!)
in_server timeout 600 node "$npm/page.mjs" http://127.0.0.1:8080/ "$token" "$shots" "$daemon"
code=$?
rm -f "$shots/ready" "$shots/gone"
kill "$daemon" 2>/dev/null
wait "$daemon" 2>/dev/null
daemon=''
exit $code
