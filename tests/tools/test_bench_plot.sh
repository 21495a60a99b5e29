#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The bench's plots: from a file with a few rows come drawings that hold what the rows say, and a
# file without them is no failure. Speaks TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
n=0

check() {
	n=$((n + 1))
	if "${@:2}" >"$work/out" 2>&1; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/# /' "$work/out"
	fi
}

python=$(tools/bench/plot.sh --python)
if [ -z "$python" ]; then
	echo 'ok 1 - plots # SKIP python3-matplotlib is not installed (make deps)'
	echo '1..1'
	exit 0
fi

cat >"$work/bench.json" <<'JSON'
{"version": 1, "levee": "test", "date": "2026-01-01T00:00:00Z",
 "machine": {"cpu": "none", "cpus": 2, "kernel": "6.1"},
 "sections": [
  {"key": "counting", "title": "Cost of counting", "note": "", "rows": [
   {"key": "counting.a", "label": "64 k sources", "unit": "ns", "median": 18.2, "low": 17, "high": 21,
    "samples": [17, 18.2, 21]}]},
  {"key": "detection.replay", "title": "Detection", "note": "", "rows": [
   {"key": "detection.replay.head", "label": "", "note": "columns", "data": {}},
   {"key": "detection.replay.masking.zscore", "label": "", "note": "", "data": {"scenario": "masking",
    "way": "zscore", "recall": 0.0, "from_crossing_s": null, "flood_packets": 10, "flood_dropped": 0}},
   {"key": "detection.replay.calm.zscore", "label": "", "note": "", "data": {"scenario": "calm",
    "way": "zscore", "recall": null, "from_crossing_s": null, "flood_packets": 0,
    "flood_dropped": 0}}]},
  {"key": "service", "title": "Service", "note": "", "rows": [
   {"key": "service.at.0", "label": "", "note": "", "data": {"asked_per_s": 1000, "rate": 0, "series":
    {"none": [{"rate": 0, "answers_per_s": 1000, "p99_us": 300}]}}},
   {"key": "service.at.max", "label": "", "note": "", "data": {"asked_per_s": 1000, "rate": null,
    "series": {"none": [{"rate": 1e6, "answers_per_s": 10, "p99_us": 900000}]}}}]}]}
JSON
echo '{"version": 1, "levee": "t", "date": "", "machine": {}, "sections": []}' >"$work/empty.json"

well_formed() {
	"$python" -c 'import sys, xml.dom.minidom as m; [m.parse(f) for f in sys.argv[1:]]' "$work"/svg/*.svg
}

check 'every section becomes a drawing' eval 'tools/bench/plot.sh "$work/bench.json" "$work/svg" &&
	[ "$(cd "$work/svg" && echo *)" = "counting.svg detection-replay.svg service.svg" ]'
check 'drawings are well-formed' well_formed
check 'they name what was measured, and where' grep -q 'masking' "$work/svg/detection-replay.svg"
check 'a file without rows is no failure' eval 'tools/bench/plot.sh "$work/empty.json" "$work/none" &&
	[ -z "$(ls "$work/none")" ]'
check 'a file that is not there is' eval '! tools/bench/plot.sh "$work/no.json" "$work/none"'
echo "1..$n"
