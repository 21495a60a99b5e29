#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bench.sh BUILD [OPTION...]: measure on this machine what is in BUILD; see `bench --help` for the
# options. The table goes to standard output, the same and every sample to .build/bench.json, and
# drawings to .build/bench/.
set -u
build=${1:?usage: bench.sh BUILD [OPTION...]}
shift
cd "$(dirname "$0")/../.." || exit 1

fail() {
	printf 'bench: %s\n' "$*" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || fail 'root is needed to run BPF programs: sudo make bench'
if [ "$(stat -f -c %T /sys/fs/bpf 2>/dev/null)" != bpf_fs ]; then
	mount -t bpf bpf /sys/fs/bpf || fail 'cannot mount a BPF file system on /sys/fs/bpf'
fi
dir=$(mktemp -d) || fail 'no temporary directory'
pid=''

# Whatever ends the bench, Ctrl-C included, leaves no files behind.
cleanup() {
	trap - EXIT
	trap '' INT TERM
	if [ -n "$pid" ]; then
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
		rmdir /sys/fs/bpf/levee-bench-"$pid"-* 2>/dev/null
	fi
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

mkdir -p .build
rm -f .build/bench.json # of a run before
# In the background, because a shell acts on a signal only between commands; `wait` it interrupts.
"$build"/tools/bench/bench --levee "$build"/levee --pktgen "$build"/tools/pktgen/pktgen \
	--scenario tools/scenarios/blog-waves.ini --dir "$dir" --json .build/bench.json "$@" &
pid=$!
wait "$pid"
ret=$?
pid=''
case " $* " in *' --help '*) exit "$ret" ;; esac
if [ -s .build/bench.json ]; then
	printf '\nbench: every sample is in .build/bench.json\n'
	rm -f .build/bench/*.svg
	tools/bench/plot.sh .build/bench.json .build/bench || ret=1
fi
exit "$ret"
