#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The API over TCP, what it refuses, metrics, reload, completion.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
make_pair
configure 'bin = 1' 'window = 60' 'min_packets = 300' 'min_zscore = 2'
export LEVEE_SOCKET=$dir/levee.sock
token=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
printf '%s\n' "$token" >"$dir/token"
chmod 0600 "$dir/token"
# In a namespace of its own every port is free.
port=9187
api_section() { printf '[api]\nsocket = %s\ngroup =\n' "$LEVEE_SOCKET"; printf '%s\n' "$@"; }
api_section "listen = 127.0.0.1:$port" "token_file = $dir/token" >>"$config"
ip -n "$server" link set lo up
url=http://127.0.0.1:$port
get() { in_server curl -sS --max-time 60 -o "$dir/body" -w '%{http_code}' "$@"; }
is() { # is STATUS CURL-ARGUMENTS...: the status is that
	local got
	got=$(get "${@:2}")
	[ "$got" = "$1" ] || { echo "got $got: $(head -c 300 "$dir/body")"; false; }
}
auth=(-H "Authorization: Bearer $token")

refused() { # refused TEXT LINE...: a configuration with these lines in [api] is refused, because
	{ sed '/^\[api\]/,$d' "$config"; api_section "${@:2}"; } >"$dir/bad.conf"
	! "$levee" config check "$dir/bad.conf" >"$dir/bad.out" 2>&1 && grep -q "$1" "$dir/bad.out"
}
check 'TCP without a token is refused' refused token_file "listen = 127.0.0.1:$port"
check 'anything but loopback is refused without TLS' refused TLS "listen = 0.0.0.0:$port" "token_file = $dir/token"
check 'and so for IPv6' refused TLS "listen = [::]:$port" "token_file = $dir/token"
check 'a certificate alone is not TLS' refused tls_key "listen = 127.0.0.1:$port" "token_file = $dir/token" "tls_certificate = /x"
check 'nonsense is no address' refused 'address and a port' 'listen = localhost' "token_file = $dir/token"

check 'the daemon starts' start_levee
check 'no token: 401' is 401 "$url/api/v1/status"
check 'a wrong token: 401' is 401 -H "Authorization: Bearer ${token%?}x" "$url/api/v1/status"
check 'a part of the token: 401' is 401 -H "Authorization: Bearer ${token:0:20}" "$url/api/v1/status"
check 'another scheme: 401' is 401 -u "x:$token" "$url/api/v1/status"
check 'the token: 200' is 200 "${auth[@]}" "$url/api/v1/status"
check 'the CLI works over TCP' in_server "$levee" status --url "$url" --token-file "$dir/token"
check 'and says what is wrong without one' eval 'in_server "$levee" status --url "$url" 2>&1 | grep -q "token is needed"'
check 'the token is nowhere in the log, the configuration that is shown, and errors' eval \
	'! grep -q "$token" "$log" && is 200 "${auth[@]}" "$url/api/v1/config" && ! grep -q "$token" "$dir/body"'

check 'a body that is too long: 413' eval 'head -c 20000 /dev/zero | tr "\0" x >"$dir/large" && is 413 "${auth[@]}" -H "Content-Type: application/json" --data-binary @"$dir/large" "$url/api/v1/blocks"'
chunked() {
	local got
	got=$(get "${auth[@]}" -H 'Content-Type: application/json' -H 'Transfer-Encoding: chunked' --data-binary @"$dir/large" "$url/api/v1/blocks" 2>/dev/null)
	[ "$got" != 200 ] && is 200 "${auth[@]}" "$url/api/v1/health"
}
check 'nor does one of unknown length get in' chunked
check 'unknown members: 400' is 400 "${auth[@]}" -H 'Content-Type: application/json' -d '{"prefix": "198.51.100.9", "x": 1}' "$url/api/v1/blocks"
check 'another content type: 415' is 415 "${auth[@]}" -H 'Content-Type: text/plain' -d '{"prefix": "198.51.100.9"}' "$url/api/v1/blocks"
check 'dots in the path: 400' is 400 "${auth[@]}" --path-as-is "$url/api/v1/../../etc/passwd"
check 'two lengths, two tokens: 400' eval 'is 400 "${auth[@]}" -H "Content-Length: 2" -H "Content-Length: 3" -X POST "$url/api/v1/reload" && is 400 "${auth[@]}" -H "Authorization: Bearer x" "$url/api/v1/status"'
check 'an encoded NUL: 400' is 400 "${auth[@]}" "$url/api/v1/status%00"
check 'nothing was blocked by any of it' eval '"$levee" blocks | grep -q "nothing is blocked"'
garbage() {
	in_server python3 - "$port" <<'PY'
import os, random, socket, sys
random.seed(5)
heads = [b"", b"\0" * 100, b"GET", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
         b"GET /api/v1/health HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
         b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n", b"\r\n" * 1000,
         b"POST /api/v1/blocks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
heads += [bytes(random.randrange(256) for _ in range(random.randrange(400))) for _ in range(40)]
for head in heads:
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
    try:
        s.sendall(head); s.shutdown(socket.SHUT_WR); s.settimeout(0.2)
        while s.recv(65536): pass
    except OSError: pass
    s.close()
PY
}
check 'garbage on the wire does not disturb it' eval 'garbage && is 200 "${auth[@]}" "$url/api/v1/health"'

metrics_are_good() {
	is 200 "${auth[@]}" "$url/metrics" && cp "$dir/body" "$dir/metrics" && ! grep -q '198\.' "$dir/metrics" &&
		promtool check metrics <"$dir/metrics"
}
if command -v promtool >/dev/null; then
	check 'promtool likes the metrics' metrics_are_good
	check 'promtool likes the alert rules' promtool check rules tools/deploy/prometheus/levee.rules.yml
	check 'each alert comes when it should, and none on a calm instance' \
		promtool test rules tools/deploy/prometheus/levee.rules.test.yml
else
	tap=$((tap + 1))
	echo "ok $tap - promtool likes metrics and rules # SKIP promtool is not installed (make deps)"
fi
known_metrics() {
	local name bad=0
	for name in $(grep -ohE 'levee_[a-z_]+' tools/deploy/prometheus/levee.rules.yml tools/deploy/grafana/levee.json | sort -u); do
		grep -q "^${name}[ {]" "$dir/metrics" || { echo "there is no metric $name"; bad=1; }
	done
	return $bad
}
check 'rules and dashboard use metrics that there are' known_metrics
check 'the dashboard is JSON' jq -e '.panels | length > 5' tools/deploy/grafana/levee.json

reloads() { "$levee" reload >"$dir/reload" 2>&1; }
sed -i 's/^min_packets = .*/min_packets = 500/; s/^window = .*/window = 120/' "$config"
check 'reload: what is live is in force, what is not is named' eval 'reloads && grep -q "in force now: .*min_packets" "$dir/reload" && grep -q "restart is needed for: .*window" "$dir/reload"'
check 'status and config show it' eval '"$levee" status | grep -q "more than 500 packets" && is 200 "${auth[@]}" "$url/api/v1/config" && jq -e ".config.detect | .min_packets == \"500\" and .window == \"60\"" "$dir/body"'
sed -i 's/^min_packets = .*/min_packets = 700/; s/^min_zscore = .*/min_zscore = many/' "$config"
check 'a bad configuration is refused whole, with the reason' eval '! reloads && grep -q "min_zscore = many" "$dir/reload" && "$levee" status | grep -q "more than 500 packets"'
kill -HUP "$daemon"
check 'SIGHUP does the same' wait_for 5 eval '[ "$(grep -c "new configuration is refused" "$log")" -ge 2 ]'
sed -i 's/^min_zscore = .*/min_zscore = 2.5/' "$config"
kill -HUP "$daemon"
check 'and takes a good one' wait_for 5 eval '"$levee" status | grep -q "z > 2.5 and more than 700"'

completes() { # completes SHELL-FUNCTION WORDS EXPECTED
	bash -c "source <('$levee' completion bash); COMP_WORDS=($1 ''); COMP_CWORD=\$((\${#COMP_WORDS[@]} - 1)); _levee; printf '%s\n' \"\${COMPREPLY[@]}\"" |
		sort >"$dir/completed"
	diff - "$dir/completed"
}
all_commands() {
	"$levee" --help | sed -n '/^Commands:/,/^$/p' | sed -nE 's/^  ([a-z]+)( [a-z]+)?  .*/\1/p' | sort -u |
		cat - <(printf '%s\n' --help --version) | sort | completes levee
}
check 'bash completes every command' all_commands
check 'and the second words of a group' eval 'printf "%s\n" add list remove | completes "levee allow"'
options_complete() {
	"$levee" block --help | sed -nE 's/^  (--[a-z-]+).*/\1/p' | sort | completes 'levee block'
}
check 'and the options of a command' options_complete
if command -v zsh >/dev/null; then
	check 'the script for zsh parses' eval '"$levee" completion zsh | zsh -n'
fi
if command -v fish >/dev/null; then
	check 'the script for fish parses' eval '"$levee" completion fish | fish -n'
fi
stop_levee

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:192.0.2.1 \
	-keyout "$dir/key.pem" -out "$dir/cert.pem" >/dev/null 2>&1
{ sed '/^\[api\]/,$d' "$config"; api_section "listen = 192.0.2.1:$port" "token_file = $dir/token" "tls_certificate = $dir/cert.pem" "tls_key = $dir/key.pem"; } >"$dir/new"
mv "$dir/new" "$config"
tls() { in_client curl -sS --max-time 10 --cacert "$dir/cert.pem" "${auth[@]}" "https://192.0.2.1:$port/api/v1/health"; }
check 'with certificate and token it serves others, over TLS' eval 'start_levee && tls | grep -q alive'
check 'and nothing without TLS' eval '! in_client curl -sS --max-time 5 "${auth[@]}" "http://192.0.2.1:$port/api/v1/health" | grep -q alive'
stop_levee
chmod 0644 "$dir/token"
check 'a token that others may read is refused, and protection goes on' eval 'start_levee && grep -q "chmod 0640" "$log"'
stop_levee
finish
