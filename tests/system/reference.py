# SPDX-License-Identifier: BSD-2-Clause
"""What `levee replay` must say, computed the slow way, and random traffic to compare the two on.

Written from the text of the detector's semantics alone: every (source, bin) value is kept, every
evaluation adds all of them up anew, and every decision is made in whole numbers.

    reference.py compare LEVEE DIR SEED COUNT KIND    KIND: csv, csv-every, pcap, pcapng, ties
    reference.py write DIR SEED                       one trace as trace.{csv,pcap,pcapng}

Where the text leaves a choice, it is taken here and marked CHOICE.
"""
import ipaddress
import json
import math
import os
import random
import struct
import subprocess
import sys
import time
from fractions import Fraction

NS = 10**9


# ---- the reference ------------------------------------------------------------------------------


class Options:
    def __init__(self, **given):
        self.bin, self.window, self.every = 60, 3600, 0
        self.min_zscore, self.min_packets, self.limit = "3.0", 12000, 40
        self.audit, self.prefix6, self.allow = False, 64, ()
        self.__dict__.update(given)

    def words(self):
        out = ["--bin", self.bin, "--window", self.window, "--min-zscore", self.min_zscore]
        out += ["--min-packets", self.min_packets, "--limit", self.limit]
        out += ["--evaluate-every", self.every] if self.every else []
        out += ["--source6-prefix", self.prefix6] if self.prefix6 != 64 else []
        return [str(w) for w in out] + (["--audit"] if self.audit else [])


def source_of(address, options):
    """The network that is counted for an address: itself, or an IPv6 prefix."""
    length = 32 if address.version == 4 else options.prefix6
    return ipaddress.ip_network((address, length), strict=False)


def source_text(source):
    full = source.prefixlen == source.max_prefixlen
    return str(source.network_address) if full else str(source)


class Replay:
    """records: (time in ns, address, packets) in the order of the file, times never before a bin
    that is over; address None: a packet that is nobody's, such as ARP."""

    def __init__(self, records, options):
        self.records, self.o = records, options
        self.values = {}  # (source, bin) -> packets
        self.held = {}  # source flagged by the last evaluation -> when its last spike leaves [s]
        self.flagged = ()  # by the last evaluation
        self.lines = []

    def count(self, record):
        time_ns, address, packets = record
        if address is None or packets == 0:
            return
        source = source_of(address, self.o)
        # Flagged sources are not counted until they are no longer flagged. CHOICE: where no
        # evaluation looks, in a stretch without traffic, that is when the spike leaves the window.
        if not self.o.audit and source in self.held and time_ns < self.held[source] * NS:
            return
        key = (source, time_ns // NS // self.o.bin * self.o.bin)
        self.values[key] = self.values.get(key, 0) + packets

    def abnormal(self, packets, n, total, squares):
        """packets > min_packets and (packets - mean) / stddev > min_zscore, both strict"""
        above = n * packets - total
        spread = n * squares - total * total
        if packets <= self.o.min_packets or spread == 0 or above <= 0:
            return False
        return above * above > Fraction(self.o.min_zscore) ** 2 * spread

    def evaluate(self, now):
        first = now - (self.o.window + now % self.o.bin)
        window = {k: v for k, v in self.values.items() if k[1] >= first}
        n, total = len(window), sum(window.values())
        squares = sum(v * v for v in window.values())
        mean = Fraction(total, n) if n else Fraction(0)
        # Exact up to the last rounding: the root of a whole number, with 40 digits to spare.
        stddev = Fraction(math.isqrt((n * squares - total * total) * 10**40), n * 10**20) if n else Fraction(0)
        found = {}
        for (source, start), packets in window.items():
            if self.abnormal(packets, n, total, squares):
                had = found.get(source, (0, 0))
                found[source] = (max(had[0], packets), max(had[1], start + self.o.bin + self.o.window))
        # By maximum z, highest first, which is the order of maximum packets. CHOICE: equal ones by
        # address, IPv4 first.
        order = sorted(found, key=lambda s: (-found[s][0], s.version, int(s.network_address)))
        self.lines.append({
            "now": now,
            "sources": len({source for source, _ in window}),
            "n": n,
            "mean": float(mean),
            "stddev": float(stddev),
            "threshold": float(Fraction(self.o.min_zscore) * stddev + mean),
            "flagged": [{
                "source": source_text(s),
                "max_zscore": float((found[s][0] - mean) / stddev),
                "max_packets": found[s][0],
                "new": s not in self.flagged,
            } for s in order[:self.o.limit]],
            "all": len(order),
        })
        self.held = {s: found[s][1] for s in order}
        self.flagged = set(order)

    def times(self):
        """When it is evaluated: [(s, is it only for --evaluate-every)]."""
        bins = {t // NS // self.o.bin * self.o.bin for t, _, packets in self.records if packets}
        times = {start + self.o.bin: False for start in bins}
        if self.o.every and bins:
            first = self.records[0][0]
            at = (first // NS // self.o.every + 1) * self.o.every
            while at < max(times):
                times.setdefault(at, True)
                at += self.o.every
        return sorted(times.items())

    def run(self):
        left = list(self.records)
        at = 0
        for now, extra in self.times():
            while at < len(left) and left[at][0] < now * NS:
                self.count(left[at])
                at += 1
            first = now - (self.o.window + now % self.o.bin)
            # CHOICE: with nothing in the window the extra evaluations have nothing to say.
            if extra and not any(k[1] >= first for k in self.values):
                self.held, self.flagged = {}, ()
                continue
            self.evaluate(now)
        return self.lines


# ---- traffic ------------------------------------------------------------------------------------


def make_sources(rng, n, with_friends):
    """Addresses of both families, some of them neighbours within one IPv6 prefix."""
    out = []
    for _ in range(n):
        if rng.random() < 0.6:
            out.append(ipaddress.IPv4Address(rng.choice((0x0B000000, 0xC6336400, 0xDF000000)) + rng.randrange(1 << 10)))
        else:
            out.append(ipaddress.IPv6Address((0x20010DB8 << 96) + (rng.randrange(4) << 64) + rng.randrange(3)))
    return out + with_friends


def make_trace(rng, options, equal=False, big=False):
    """Quiet sources, some that flood for a while, and stretches without anything."""
    sources = make_sources(rng, rng.randint(8, 40), [])
    floods = {s: rng.randint(0, 25) for s in rng.sample(sources, min(len(sources), rng.randint(0, 4)))}
    start = rng.randrange(1_700_000_000, 1_800_000_000)
    shape, records, at = rng.random(), [], start // options.bin
    for i in range(rng.randint(3, 30)):
        if rng.random() < 0.12:
            at += rng.choice((1, 1, 2, 3, options.window // options.bin - 1, options.window // options.bin, 100))
        for source in sources:
            if rng.random() > 0.3 + 0.6 * shape:
                continue
            mean = 20 if floods.get(source, -9) not in range(i - 2, i + 1) else 1000
            packets = 7 if equal else rng.randint(0, 2 * mean)
            if big:
                packets <<= 35
            for _ in range(rng.choice((1, 1, 2))):
                time_ns = at * options.bin * NS + rng.randrange(options.bin * NS)
                records.append((time_ns, source, packets))
        at += 1
    # Each starts and ends with a packet, so that nothing hangs on what a line of 0 packets is.
    records.sort(key=lambda r: r[0])
    while records and not records[0][2]:
        records.pop(0)
    while records and not records[-1][2]:
        records.pop()
    return records


def disorder(rng, records, options):
    """Within a bin the order of lines says nothing."""
    return sorted(records, key=lambda r: (r[0] // NS // options.bin, rng.random()))


def write_csv(path, records, rng):
    with open(path, "w", encoding="ascii") as f:
        if rng.random() < 0.5:
            f.write("time_unix_s,source,packets,bytes\n")
        for time_ns, source, packets in records:
            if rng.random() < 0.02:
                f.write(rng.choice(("# a comment\n", "\n")))
            text = str(time_ns // NS) + (f".{time_ns % NS:09d}".rstrip("0") if time_ns % NS else "")
            f.write(f"{text},{source},{packets}" + (f",{packets * 60}" if rng.random() < 0.5 else "") + "\n")


def frame_of(address, rng):
    """One packet of a source: tagged or not, options, extension headers, fragments, any protocol."""
    tags = b"".join(struct.pack(">HH", 0x8100 if i else rng.choice((0x8100, 0x88A8)), 7 + i)
                    for i in range(rng.choice((0, 0, 0, 1, 2))))
    head = bytes.fromhex("020000000002020000000001") + tags
    if address is None:
        return head + struct.pack(">H", 0x0806) + bytes(28)
    body = struct.pack(">HHHH", rng.randrange(1, 65536), 443, 8, 0) + bytes(12)
    protocol = rng.choice((6, 17, 1, 47, 132))
    if address.version == 4:
        words = rng.choice((0, 0, 1, 10))
        fragment = rng.choice((0, 0, 0x2000, 0x00B9))
        return (head + struct.pack(">HBBHHHBBH", 0x0800, 0x45 + words, 0, 20 + 4 * words + len(body), 1, fragment, 64,
                                   protocol, 0) + address.packed + bytes([192, 0, 2, 1]) + b"\1" * (4 * words) + body)
    chain = rng.choice(((), (), (0,), (60,), (0, 43, 60), (44,)))
    after = list(chain[1:]) + [protocol]
    extra = b"".join(struct.pack(">BBHI", after[i], 0, 0, 0) for i in range(len(chain)))
    return (head + struct.pack(">HIHBB", 0x86DD, 6 << 28, len(extra) + len(body), chain[0] if chain else protocol, 64) +
            address.packed + ipaddress.IPv6Address("2001:db8::1").packed + extra + body)


def as_packets(rng, records):
    """The same as single packets, and now and then one that is nobody's."""
    out = []
    for time_ns, source, packets in records:
        out += [(time_ns // 1000 * 1000, source, 1)] * packets
        if rng.random() < 0.01:
            out.append((time_ns // 1000 * 1000, None, 1))
    return out


def write_pcap(path, records, frames, rng):
    order, nano = rng.choice("<>"), rng.random() < 0.5
    with open(path, "wb") as f:
        f.write(struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for (time_ns, _, _), frame in zip(records, frames):
            kept = frame[:rng.choice((len(frame), len(frame), 96))]
            f.write(struct.pack(order + "IIII", time_ns // NS, time_ns % NS // (1 if nano else 1000), len(kept),
                                len(frame)) + kept)


def write_pcapng(path, records, frames, rng):
    order, nano = rng.choice("<>"), rng.random() < 0.5

    def block(kind, body):
        body += bytes(-len(body) % 4)
        size = struct.pack(order + "I", 12 + len(body))
        return struct.pack(order + "I", kind) + size + body + size

    resolution = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0) if nano else b""
    with open(path, "wb") as f:
        f.write(block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)))
        f.write(block(1, struct.pack(order + "HHI", 1, 0, 65535) + resolution))
        for (time_ns, _, _), frame in zip(records, frames):
            stamp = time_ns if nano else time_ns // 1000
            f.write(block(6, struct.pack(order + "IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), len(frame)) + frame))


# ---- comparing ----------------------------------------------------------------------------------


def near(a, b):
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def difference(wanted, got):
    """None, or what differs first."""
    for w, g in zip(wanted, got):
        for key in ("now", "sources", "n"):
            if w[key] != g[key]:
                return f"now {w['now']}: {key} is {g[key]}, not {w[key]}"
        for key in ("mean", "stddev", "threshold"):
            if not near(w[key], g[key]):
                return f"now {w['now']}: {key} is {g[key]!r}, not {w[key]!r}"
        if len(w["flagged"]) != len(g["flagged"]):
            return f"now {w['now']}: flagged {g['flagged']}, not {w['flagged']}"
        for a, b in zip(w["flagged"], g["flagged"]):
            if any(a[k] != b[k] for k in ("source", "max_packets", "new")) or not near(a["max_zscore"], b["max_zscore"]):
                return f"now {w['now']}: flagged {b}, not {a}"
        if set(g) != {"now", "sources", "n", "mean", "stddev", "threshold", "flagged"}:
            return f"keys {sorted(g)}"
    if len(wanted) != len(got):
        more = (wanted if len(wanted) > len(got) else got)[min(len(wanted), len(got))]["now"]
        return f"{len(got)} evaluations, not {len(wanted)}; the first that only one has is at {more}"
    return None


def text_of(lines, limit):
    """As people get it."""
    out = []
    for e in lines:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(e["now"]))
        out.append(f"{when}  sources {e['sources']}  n {e['n']}  mean {e['mean']:.2f}  stddev {e['stddev']:.2f}"
                   f"  threshold {e['threshold']:.2f}  flagged {e['all']}")
        for f in e["flagged"]:
            out.append(f"    {'new' if f['new'] else '':4} {f['source']:40} z {f['max_zscore']:10.3f}  packets {f['max_packets']}")
        if e["all"] > limit:
            out.append(f"    ... and {e['all'] - limit} more (--limit {limit})")
    return out


def same_text(wanted, got):
    """Word by word; a number may be rounded the other way."""
    wanted, got = wanted.split(" "), got.split(" ")
    if len(wanted) != len(got):
        return False
    return all(w == g or ("." in w and abs(float(w) - float(g)) <= 0.011 + 1e-9 * abs(float(w)))
               for w, g in zip(wanted, got))


def random_options(rng, every):
    length = rng.choice((1, 7, 10, 60))
    return Options(bin=length, window=length * rng.randint(2, 12),
                   every=rng.choice([e for e in (1, 3, 5, 7, 10, 30, 60) if e <= length]) if every else 0,
                   min_zscore=rng.choice(("0.5", "1.5", "2", "3.0", "0.123456")), min_packets=rng.choice((0, 50, 300)),
                   limit=rng.choice((1, 2, 40)), audit=rng.random() < 0.4, prefix6=rng.choice((64, 64, 48, 128)))


def run(levee, options, path, form="json"):
    done = subprocess.run([levee, "replay", "--format", form, *options.words(), path], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def one(levee, folder, seed, kind):
    rng = random.Random(seed)
    options = random_options(rng, kind == "csv-every")
    packets = kind.startswith("pcap")
    records = make_trace(rng, options, equal=kind == "ties" and rng.random() < 0.5, big=kind == "ties")
    path = os.path.join(folder, "trace." + ("csv" if not packets else kind))
    if packets:
        # As many as a capture of this size needs to stay small.
        records = as_packets(rng, [(t, s, (p + 9) // 10) for t, s, p in records])
        frames = [frame_of(s, rng) for _, s, _ in records]
        (write_pcap if kind == "pcap" else write_pcapng)(path, records, frames, rng)
    else:
        if kind != "csv-every":
            records = disorder(rng, records, options)
        write_csv(path, records, rng)
    wanted = Replay(records, options).run()
    code, lines, errors = run(levee, options, path)
    why = f"exit code {code}: {errors}" if code or errors else difference(wanted, [json.loads(x) for x in lines])
    if not why and seed % 4 == 0:
        code, lines, errors = run(levee, options, path, "text")
        text = text_of(wanted, options.limit)
        bad = [(w, g) for w, g in zip(text, lines) if not same_text(w, g)]
        if code or bad or len(lines) != len(text):
            why = f"text: {len(lines)} lines, not {len(text)}; {bad[:1]}"
    if why:
        print(f"seed {seed}: levee replay {' '.join(options.words())}: {why}")
    return not why, len(wanted), sum(bool(e["flagged"]) for e in wanted)


def compare(levee, folder, seed, count, kind):
    evaluations = flagged = bad = 0
    for i in range(count):
        good, e, f = one(levee, folder, seed + i, kind)
        evaluations, flagged, bad = evaluations + e, flagged + f, bad + (not good)
    print(f"{kind}: {count} traces from seed {seed}, {evaluations} evaluations, {flagged} of them flag somebody, "
          f"{bad} traces differ")
    # A comparison in which nothing happens would prove nothing.
    return 1 if bad or not evaluations or not (flagged or kind == "ties") else 0


def main():
    if sys.argv[1] == "compare":
        sys.exit(compare(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]))
    rng = random.Random(int(sys.argv[3]))
    records = as_packets(rng, make_trace(rng, Options(bin=10, window=60)))
    frames = [frame_of(s, rng) for _, s, _ in records]
    write_csv(os.path.join(sys.argv[2], "trace.csv"), [r for r in records if r[1]], rng)
    write_pcap(os.path.join(sys.argv[2], "trace.pcap"), records, frames, rng)
    write_pcapng(os.path.join(sys.argv[2], "trace.pcapng"), records, frames, rng)


if __name__ == "__main__":
    main()
