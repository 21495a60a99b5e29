#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Precision and recall of each detector on each scenario.

    detectors.py LEVEE PKTGEN DIR SCENARIO.ini...

Makes each scenario's traffic with its truth, has `levee replay` judge it with each detector, and
compares who was flagged with who flooded. `fast` are those that the fast path blocked within the bin
(`levee replay --fast`): the same code that `levee run` goes through.

Prints a table as comments, then one TAP-like line "SCENARIO DETECTOR right wrong missed" each.
"""
import json
import os
import subprocess
import sys

MIN_PACKETS = 12000
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
    how = ["--fast"] if detector == "fast" else ["--detector", detector]
    done = subprocess.run([levee, "replay", "--format", "json", "--limit", "100000", *how, path],
                          check=True, capture_output=True, text=True)
    flagged = set()
    for line in map(json.loads, done.stdout.splitlines()):
        if detector != "fast":
            flagged |= {f["source"] for f in line["flagged"]}
        elif line.get("by") == "fast":
            flagged.add(line["blocked"])
    return flagged


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
            got = replay(levee, csv, detector)
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
