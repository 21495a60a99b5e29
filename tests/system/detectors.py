#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Precision and recall of each detector on each scenario.

    detectors.py LEVEE PKTGEN DIR SCENARIO.ini...

Makes each scenario's traffic with its truth, has `levee replay` judge it with each detector, and
compares who was flagged with who flooded. `fast` is a model of the fast path on the same bins: a
source trips when its bin passes max(min_packets, mean + 3 * deviation) of the complete bins, and
is not counted from there on (the threshold's share over CPUs is tested in test_trip.c).

Prints a table as comments, then one TAP-like line "SCENARIO DETECTOR right wrong missed" each.
"""
import json
import math
import os
import subprocess
import sys

MIN_PACKETS, MIN_ZSCORE, WINDOW, BIN, WARMUP = 12000, 3.0, 3600, 60, 3
# Spoofed sources that never come again have a packet each: at full rate these are millions.
SCALE = {"spoofed-flood": "0.02"}


def traffic(pktgen, directory, path):
    name = os.path.splitext(os.path.basename(path))[0]
    truth = os.path.join(directory, name + ".truth")
    subprocess.run([pktgen, "--pcap", "/dev/null", "--truth", truth,
                    "--scale", SCALE.get(name, "1"), path], check=True,
                   stdout=subprocess.DEVNULL)
    rows = []
    with open(truth, encoding="ascii") as lines:
        next(lines)
        for line in lines:
            start, _, source, packets, size, flooder = line.strip().split(",")
            rows.append((int(start), source, int(packets), int(size), flooder == "1"))
    return name, rows


def write_csv(path, rows):
    with open(path, "w", encoding="ascii") as out:
        for start, source, packets, size, _ in rows:
            out.write(f"{start},{source.removesuffix('/64')},{packets},{size}\n")


def replay(levee, path, detector):
    done = subprocess.run([levee, "replay", "--format", "json", "--limit", "100000",
                           "--detector", detector, path], check=True, capture_output=True,
                          text=True)
    flagged = set()
    for line in done.stdout.splitlines():
        flagged |= {f["source"] for f in json.loads(line)["flagged"]}
    return flagged


def fast(rows):
    bins = {}
    for start, source, packets, _, _ in rows:
        bins.setdefault(start, {}).setdefault(source, 0)
        bins[start][source] += packets
    blocked, complete = set(), []
    if not bins:
        return blocked
    for start in range(min(bins), max(bins) + BIN, BIN):
        values = {s: p for s, p in bins.get(start, {}).items() if s not in blocked}
        window = [v for at, v in complete if at >= start - WINDOW]
        if len(window) >= WARMUP:
            flat = [x for v in window for x in v]
            mean = sum(flat) / len(flat) if flat else 0
            deviation = math.sqrt(sum((x - mean) ** 2 for x in flat) / len(flat)) if flat else 0
            limit = max(MIN_PACKETS, mean + MIN_ZSCORE * deviation)
            over = {s for s, p in values.items() if p > limit}
            blocked |= over
            values = {s: min(p, int(limit)) if s in over else p for s, p in values.items()}
        complete.append((start, list(values.values())))
    return blocked


def show(value):
    return " -" if value is None else f"{value:.2f}"


def main():
    levee, pktgen, directory, scenarios = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    print(f"# {'scenario':15} {'sources':>8} {'floods':>7}  detector  right wrong missed  "
          "precision recall")
    for path in scenarios:
        name, rows = traffic(pktgen, directory, path)
        csv = os.path.join(directory, name + ".csv")
        write_csv(csv, rows)
        sources = {r[1] for r in rows}
        # Who never passes the minimum is no source that any of them is to find.
        floods = {r[1] for r in rows if r[4] and r[2] > MIN_PACKETS}
        flooders = {r[1] for r in rows if r[4]}
        for detector in ("zscore", "robust", "both", "fast"):
            got = fast(rows) if detector == "fast" else replay(levee, csv, detector)
            right, wrong = len(got & flooders), len(got - flooders)
            missed = len(floods - got)
            precision = right / len(got) if got else None
            recall = len(floods & got) / len(floods) if floods else None
            print(f"# {name:15} {len(sources):8} {len(floods):7}  {detector:8}  {right:5} "
                  f"{wrong:5} {missed:6}  {show(precision):>9} {show(recall):>6}")
            print(f"{name} {detector} {right} {wrong} {missed}")
        if name != "masking":
            os.unlink(csv)


main()
