#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The detection bench judges levee, so it is judged here: its scores on a truth of a few lines, and
# one scenario through `levee replay` and, as root, through the kernel. Speaks TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${LEVEE_BUILD:-.build/release}
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

scores() {
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tools/bench python3 - "$work" <<'PY'
import pathlib, sys
import detection

work = pathlib.Path(sys.argv[1])
(work / "truth.csv").write_text(
    "bin_unix_s,population,source,packets,bytes,flooder\n"
    "0,a,198.18.0.1,10,600,0\n60,a,198.18.0.1,30,600,0\n0,b,203.0.113.1,100,6000,1\n"
    "60,b,203.0.113.1,200,6000,1\n60,b,203.0.113.2,50,6000,1\n60,s,*,5000,6000,1\n")
(work / "times.csv").write_text(
    "source,population,flooder,first_unix_ns,crossed_unix_ns\n"
    "198.18.0.1,a,0,1000000000,\n203.0.113.1,b,1,2000000000,50000000000\n"
    "203.0.113.2,b,1,61000000000,\n")
truth = detection.Truth(work / "truth.csv", work / "times.csv")
s = detection.score(truth, {"203.0.113.1": 60, "198.18.0.1": 60, "100.64.0.1": 60},
                    {"203.0.113.1": 200, "198.18.0.1": 30, "100.64.0.1": 1})
want = {"flooders": 2, "found": 1, "wrong": 1, "precision": 0.5, "recall": 0.5,
        "from_first_s": {"median": 58.0, "max": 58.0},
        "from_crossing_s": {"median": 10.0, "max": 10.0}, "benign_packets": 40,
        "benign_lost": 30, "flood_packets": 5350, "flood_dropped": 201}
assert s == want, s
f = detection.Flagged(truth)
for now, sources in (60, ["203.0.113.1"]), (120, []), (180, ["203.0.113.2"]):
    f.take({"now": now, "flagged": [{"source": x} for x in sources]})
f.finish()
assert f.first == {"203.0.113.1": 60, "203.0.113.2": 180}, f.first
assert f.dropped == {"203.0.113.1": 200, "203.0.113.2": 0}, f.dropped
hits = detection.read_hits("prefix,created_unix_ns,first_unix_ns,packets,bytes\n"
                           "203.0.113.1,1,9000000000,5,300\n203.0.113.1,2,7000000000,3,300\n"
                           "2001:db8::/64,2,,0,0\n")
assert hits == ({"203.0.113.1": 7.0}, {"203.0.113.1": 8, "2001:db8::/64": 0}), hits
nothing = detection.score(truth, {}, {})
assert nothing["precision"] is None and nothing["recall"] == 0, nothing
PY
}

# part PART KEY FILTER: run a part of it on a scenario, and look at the data of a row
part() {
	PYTHONDONTWRITEBYTECODE=1 python3 tools/bench/detection.py --levee "$build/levee" \
		--pktgen "$build/tools/pktgen/pktgen" --dir "$work" --part "$1" --scenario reflection \
		>"$work/rows" || return 1
	jq -se --arg key "$2" "map(select(.key == \$key)) | .[0].data | $3" "$work/rows" || {
		cat "$work/rows"
		return 1
	}
}

check 'scores of a truth of a few lines are those worked by hand' scores
check 'a replay finds the reflectors at the end of their first bin' part replay \
	detection.replay.reflection.zscore '.found == 20 and .wrong == 0 and .recall == 1 and
	.from_first_s.max <= 60 and .from_crossing_s.max < 60 and .benign_lost == 0 and
	.flood_dropped > 0 and .flood_dropped < .flood_packets'
if [ "$(id -u)" -eq 0 ]; then
	check 'live, what the kernel dropped is told source by source' part live \
		detection.live.reflection.bins '.flooders == 20 and .wrong == 0 and .found > 0 and
		.from_first_s.median > 0 and .flood_dropped > 0 and .flood_dropped < .flood_packets'
else
	n=$((n + 1))
	echo "ok $n - live # SKIP root is needed for namespaces and BPF"
fi
echo "1..$n"
