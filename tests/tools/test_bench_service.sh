#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The service under flood: that its instrument measures, and one point of the bench behind Levee.
# How much is held depends on the machine, so that is the bench's to say. Speaks TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${LEVEE_BUILD:-.build/release}
rr=$build/tools/rr/rr
work=$(mktemp -d) || exit 1
server='' n=0
cleanup() {
	[ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

check() {
	n=$((n + 1))
	if "${@:2}" >"$work/out" 2>&1; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/# /' "$work/out"
	fi
}

# A port that is free: the kernel's choice, given back.
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# ask FILTER OPTION...
ask() {
	"$rr" ask 127.0.0.1 "$port" "${@:2}" >"$work/answer" || return 1
	head -n 1 "$work/answer" | grep -qx ready && tail -n 1 "$work/answer" | jq -e "$1" || {
		cat "$work/answer"
		return 1
	}
}

# The server stands still for half a second: what was due meanwhile is late, and counts.
stalls() {
	"$rr" ask 127.0.0.1 "$port" --connections 4 --rate 200 --seconds 1.5 >"$work/answer" &
	local client=$! start
	start=$(date +%s%N)
	until grep -q ready "$work/answer"; do
		[ $(($(date +%s%N) - start)) -lt 10000000000 ] || break
	done
	kill -STOP "$server"
	sleep 0.5 # what is measured
	kill -CONT "$server"
	wait $client || return 1
	tail -n 1 "$work/answer" | jq -e '.p99_us > 400000 and .answers + .unanswered > 290'
}

one_point() {
	PYTHONDONTWRITEBYTECODE=1 python3 tools/bench/service.py --levee "$build/levee" \
		--pktgen "$build/tools/pktgen/pktgen" --dir "$work" --quick --series levee --rate 20000 \
		>"$work/rows" &
	local bench=$!
	wait $bench && [ -z "$(ip netns | grep "levee-b-$bench-")" ] || return 1
	jq -se 'map(select(.key == "service.at.20000")) | .[0].data |
		(.series.levee[0] | .rate > 1000 and .answers_per_s > 0 and .p99_us > 0) and
		.asked_per_s > 0' "$work/rows" || {
		cat "$work/rows"
		return 1
	}
}

# It says "ready" once it listens; a port that somebody else took meanwhile is left to them.
serve() {
	local tries end
	for ((tries = 0; tries < 5; tries++)); do
		port=$(free_port)
		"$rr" serve 127.0.0.1 "$port" >"$work/server" 2>&1 &
		server=$!
		end=$((SECONDS + 60))
		until grep -qx ready "$work/server"; do
			kill -0 "$server" 2>/dev/null || continue 2
			[ "$SECONDS" -lt "$end" ] || return 1
			sleep 0.01
		done
		return 0
	done
	cat "$work/server"
	return 1
}

check 'the server listens' serve
check 'without a rate an answer brings the next request' \
	ask '.answers > 100 and .broken == 0 and .p99_us >= .p50_us' --connections 8 --seconds 0.5
check 'with a rate that many are asked for' \
	ask '.answers + .unanswered > 280 and .answers + .unanswered < 310' --connections 8 --rate 300 \
	--seconds 1
check 'a service that stalls is asked meanwhile' stalls
check 'a wrong option is a usage error' eval '"$rr" ask 127.0.0.1 1 --rate x; [ $? = 2 ]'
check 'a server that is not there is told' eval \
	'"$rr" ask 127.0.0.1 "$(free_port)" 2>&1 | grep -q "cannot connect"'
if [ "$(id -u)" -ne 0 ]; then
	n=$((n + 1))
	echo "ok $n - one point # SKIP root is needed for namespaces and BPF"
elif [ "$(nproc)" -lt 2 ]; then
	n=$((n + 1))
	echo "ok $n - one point # SKIP two CPUs are needed"
else
	check 'one point behind Levee is measured, and everything taken down' one_point
fi
echo "1..$n"
