# SPDX-License-Identifier: BSD-2-Clause
"""What a state file and a truth file say, for the system tests.

    state.py sources STATE            "source packets bytes" over all bins
    state.py truth TRUTH              the same, from the generator's truth
    state.py sum STATE                values' sum over all bins
"""
import ipaddress
import sqlite3
import struct
import sys


def bins(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    yield from db.execute("select start_s, n, sum_hi, sum_lo, flags, candidates from bin order by 1")


def candidates(blob):
    for at in range(12, len(blob), 34):
        family, length, hi, lo, packets, octets = struct.unpack_from("<BBQQQQ", blob, at)
        number = hi if family == 4 else hi << 64 | lo
        full = 32 if family == 4 else 128
        address = ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address(number)
        yield f"{address}" if length == full else f"{address}/{length}", packets, octets


def show(total):
    for source in sorted(total):
        print(source, *total[source])


def add(total, source, packets, octets):
    had = total.get(source, (0, 0))
    total[source] = (had[0] + packets, had[1] + octets)


def main():
    what, path = sys.argv[1:3]
    total = {}
    if what == "sum":
        print(sum((row[2] << 64 | row[3] & (1 << 64) - 1) for row in bins(path)))
        return
    if what == "sources":
        for row in bins(path):
            for candidate in candidates(row[5]):
                add(total, *candidate)
    else:
        with open(path, encoding="ascii") as f:
            next(f)
            for line in f:
                _, _, source, packets, octets, _ = line.strip().split(",")
                add(total, source, int(packets), int(octets))
    show(total)


main()
