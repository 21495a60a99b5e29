#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The fast path at its default threshold, bins of 60 s and 12,000 packets.

reaction  one source after the other sends 100,000 packets a second, on one CPU and on two by turns:
          from the packet that crosses the threshold, as the sender's truth has it, to the first
          packet that the kernel dropped, as the kernel noted it; and how many passed meanwhile
quiet     a million sources below the threshold for a whole bin: events of the ring buffer, and what
          CPU the daemon needs
"""

import json
import os
import re
import tempfile
import threading
import time

import common
import detection

BIN, THRESHOLD = 60, 12000
RATE = 100000  # packets a second of a flooder
GAP_S = 0.4  # from one flooder's first packet to the next one's
TURN_S = 0.001  # on a CPU, when there are two
HEAVY, HEAVY_RATE = 200, 150  # quiet: sources that pass some shares, and their packets a second
LIGHT_RATE = 0.05


class Daemon:
    """levee in a pair of namespaces, with the fast path armed from the first packet."""

    def __init__(self, args, work, cpu=None, sources=None):
        self.work = work
        self.pair = common.Pair()
        self.args, self.cpu, self.sources = args, cpu, sources

    def __enter__(self):
        self.pair.__enter__()
        try:
            sizes = [f"sources = {self.sources}"] if self.sources else []
            config = common.write_config(
                self.work / "levee.conf", self.pair, self.work / "state.db",
                ["attach = native", *sizes], detect=[f"bin = {BIN}", "warmup_bins = 0"],
                api=[f"socket = {self.work}/sock", "group ="])
            self.levee = common.Levee(self.args.levee, self.pair, config, self.work / "log",
                                      self.cpu)
        except BaseException:
            self.pair.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.levee.__exit__()
        self.pair.__exit__()

    def ask(self, path):
        return common.run("curl", "-s", "--unix-socket", self.work / "sock",
                          f"http://levee{path}")

    def metric(self, name):
        return float(re.search(rf"^{name} (\S+)$", self.ask("/metrics"), re.M).group(1))

    def cpu_s(self):
        """CPU time of all its threads so far."""
        with open(f"/proc/{self.levee.popen.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def next_bin(at_most_s):
    """Wait until the running bin has more than so many seconds to go."""
    left = BIN - time.time() % BIN
    if left < at_most_s:
        common.progress(f"fast: {left:.0f} s until the next bin")
        time.sleep(left + 0.5)


# ---- reaction ---------------------------------------------------------------------------------


def write_flooders(path, n):
    text = ["[scenario]", "name = fast", f"duration = {n * GAP_S + 1}",
            "[clients]", "prefix = 198.18.0.0/16", "sources = 300", "rate = 10"]
    for i in range(n):
        text += [f"[f{i}]", f"prefix = 203.0.113.{i + 1}/32", f"rate = {RATE}",
                 f"start = {i * GAP_S:.3f}", "duration = 0.25", "flooder = yes"]
    path.write_text("\n".join(text) + "\n")


class Turns(threading.Thread):
    """Puts a process on one CPU and on the other by turns, so that both count its packets."""

    def __init__(self, process, cpus):
        super().__init__(daemon=True)
        self.process, self.cpus = process, cpus

    def run(self):
        turn = 0
        while self.process.alive():
            try:
                os.sched_setaffinity(self.process.popen.pid, {self.cpus[turn % len(self.cpus)]})
            except OSError:
                return
            turn += 1
            time.sleep(TURN_S)


def seen_on(daemon):
    """CPUs that counted packets."""
    rows = common.run(daemon.args.levee, "list", "--pin", daemon.pair.pin, "sources4")
    return {line.split()[3] for line in rows.splitlines() if line and line[0] not in "#"}


def react(args, n, cpus):
    """One run through n flooders: for each the milliseconds to its first drop, and its packets
    that passed as a share of the threshold; CPUs that counted; how late the sender was [ms]."""
    hits = common.pathlib.Path(args.pktgen).parent.parent / "hits" / "hits"
    with tempfile.TemporaryDirectory(dir=args.dir) as work:
        work = common.pathlib.Path(work)
        write_flooders(work / "fast.ini", n)
        with Daemon(args, work) as daemon:
            next_bin(n * GAP_S + 5)
            with common.Process([hits, daemon.pair.pin]) as watcher, \
                    common.Process([args.pktgen, "--interface", "eth0", "--truth", work / "truth",
                                    "--times", work / "times", "--above", THRESHOLD, "--json",
                                    work / "fast.ini"], daemon.pair.client, cpus[0]) as sender:
                if len(cpus) > 1:
                    Turns(sender, cpus).start()
                code, out = sender.finish(n * GAP_S + 60)
                if code:
                    raise RuntimeError(f"levee-pktgen ended with {code}")
                counted_on = seen_on(daemon)
                first, dropped = detection.read_hits(watcher.end())
        truth = detection.Truth(work / "truth", work / "times")
    wrong = [s for s in first if s not in truth.flooders]
    missed = [s for s in truth.crossed if s in truth.flooders and s not in first]
    if wrong or missed:
        raise RuntimeError(f"blocked, but no flooder: {wrong}; not blocked: {missed}")
    late_ms = [1e3 * (first[s] - truth.crossed[s]) for s in truth.flooders]
    passed = [(truth.packets[s] - dropped[s]) / THRESHOLD for s in truth.flooders]
    return late_ms, passed, counted_on, json.loads(out)["lag_ms"]


def reaction(args):
    n = args.runs or (5 if args.quick else 50)
    common.section(
        "fast.reaction", "Fast path: from crossing the threshold to the first drop",
        f"bins of {BIN} s, {THRESHOLD} packets; {n} sources of {RATE} packets/s, one after the "
        "other, beside 300 clients; sender's truth against the kernel's time stamp")
    all_cpus = common.cpus()
    for cpus in [all_cpus[:1]] + ([all_cpus[:2]] if len(all_cpus) > 1 else []):
        common.progress(f"fast: {n} sources on {len(cpus)} CPU{'s' if len(cpus) > 1 else ''}")
        late_ms, passed, counted_on, lag_ms = react(args, n, cpus)
        key, what = f"fast.reaction.{len(cpus)}", f"packets on {len(counted_on)} CPU" + (
            "s by turns" if len(counted_on) > 1 else "")
        common.figure(key, f"crossing to first drop, {what}", "ms", late_ms, at_most=5)
        common.figure(f"{key}.worst", f"the longest of {n}", "ms", [max(late_ms)], at_most=5,
                      note=f"the sender was at most {lag_ms:.1f} ms late")
        common.figure(f"{key}.passed", "packets passed, to the threshold", "ratio", passed,
                      at_most=1.25)
        if len(counted_on) < len(cpus):
            common.remark(f"{key}.cpus", "All packets were counted on one CPU: receive steering "
                          "on this machine undid the turns.")


# ---- quiet ------------------------------------------------------------------------------------


def write_benign(path, sources):
    path.write_text(f"""[scenario]
name = quiet
duration = {BIN + 1}
[light]
prefix = 198.0.0.0/8
sources = {sources}
order = spread
rate = {LIGHT_RATE}
[heavy]
prefix = 203.0.113.0/24
sources = {HEAVY}
rate = {HEAVY_RATE}
""")


def shares_of(truth, share):
    """How often a source passed a further share of its packets, were they all on one CPU."""
    return sum(n // share for bins in truth.bins.values() for _, n in bins)


def quiet(args):
    sources = 100000 if args.quick else 1000000
    common.section(
        "fast.quiet", "Fast path: nobody above the threshold",
        f"{sources} sources of {LIGHT_RATE * BIN:.0f} packets and {HEAVY} of "
        f"{HEAVY_RATE * BIN} a bin of {BIN} s, none above {THRESHOLD}")
    with tempfile.TemporaryDirectory(dir=args.dir) as work:
        work = common.pathlib.Path(work)
        write_benign(work / "quiet.ini", sources)
        with Daemon(args, work, sources=1 << 21) as daemon:
            next_bin(BIN - 1)  # a whole bin, and its close
            before, began = daemon.cpu_s(), time.monotonic()
            with common.Process([args.pktgen, "--interface", "eth0", "--truth", work / "truth",
                                 "--times", work / "times", work / "quiet.ini"],
                                daemon.pair.client, common.cpus()[0]) as sender:
                common.progress(f"fast: {sources} sources for a bin")
                time.sleep(max(0, BIN - 1.5 - time.time() % BIN))
                inside, inside_s = daemon.cpu_s() - before, time.monotonic() - began
                code, _ = sender.finish(3 * BIN)
                if code:
                    raise RuntimeError(f"levee-pktgen ended with {code}")
            common.wait_for(BIN, lambda: daemon.levee.bins() >= 1 and time.monotonic() - began >= BIN)
            whole, whole_s = daemon.cpu_s() - before, time.monotonic() - began
            events = daemon.metric("levee_fast_events_total")
            lost = daemon.metric("levee_lost_events_total")
            blocks = json.loads(daemon.ask("/api/v1/status"))["blocks"]["total"]
        truth = detection.Truth(work / "truth", work / "times")
    cpus = os.cpu_count() or 1
    share = 1 << ((THRESHOLD // 4 // cpus).bit_length() - 1)
    shares = shares_of(truth, share)
    common.figure("fast.quiet.events", "events to shares that sources passed", "ratio",
                  [events / max(1, shares)], at_most=1,
                  note=f"{events:.0f} events, {shares} shares of {share} packets, {lost:.0f} lost")
    common.figure("fast.quiet.cpu", "CPU of the daemon within the bin", "%",
                  [100 * inside / inside_s], at_most=1)
    common.figure("fast.quiet.cpu_all", "CPU of the daemon, with the bin's close", "%",
                  [100 * whole / whole_s],
                  note=f"{len(truth.packets)} sources drained, judged and stored")
    common.figure("fast.quiet.blocks", "blocks", "", [blocks], at_most=0)


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=("reaction", "quiet"))
    parser.add_argument("--runs", type=int, help="sources, one after the other")
    args = parser.parse_args()
    common.stop_on_signals()
    for name, part in (("reaction", reaction), ("quiet", quiet)):
        if not args.part or name in args.part:
            part(args)


if __name__ == "__main__":
    main()
