#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Detection, scenario by scenario: who was found, who was hurt, how long it took.

Three ways, against the generator's truth:
  replay     the whole scenario as a pcap through `levee replay`, bins of a minute
  live       the same packets in a sixtieth of the time and a tenth of the rate through the kernel
             and `levee run`, bins of a second; first drops as the kernel noted them
  FastNetMon beside Levee in audit mode (which drops nothing, so that both see every packet), in
             real time, around the beginning of each flood
"""

import configparser
import contextlib
import csv
import json
import os
import resource
import signal
import statistics
import subprocess
import tempfile
import time

import common

SCENARIOS = common.TOP / "tools" / "scenarios"
DETECTORS = ("zscore", "robust", "both")  # those that the program does not know are left out
MIN_PACKETS = 12000  # a bin, Levee's default
SPEED, SCALE = 60, 0.1  # live: a minute becomes a second
BEFORE_S, AFTER_S = 12, 30  # FastNetMon: around the beginning of the flood
# A flood that takes 20 minutes to grow is compared in a twentieth of its time, at its own rate.
BESIDE_SPEED = {"slow-ramp": 20}


# ---- the truth --------------------------------------------------------------------------------


class Scenario:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        ini = configparser.ConfigParser(inline_comment_prefixes=("#",))
        ini.read(path)
        self.duration = float(ini["scenario"]["duration"])
        floods = [s for s in ini.values() if s.name not in ("scenario", "DEFAULT")
                  and s.get("flooder") == "yes"]
        starts = [float(s.get("start", 0)) for s in floods]
        # Where nobody floods, what is worth looking at begins with the last population.
        last = [float(s.get("start", 0)) for s in ini.values() if s.name not in
                ("scenario", "DEFAULT")]
        self.has_flood = bool(floods)
        self.start = min(starts) if starts else max(last)


def read_csv(path):
    with open(path, newline="") as file:
        yield from csv.DictReader(file)


class Truth:
    """Who sent what. `source` is as levee prints prefixes; spoofed sources are one, "*"."""

    def __init__(self, truth_csv, times_csv):
        self.packets = {}  # source: packets in all
        self.bins = {}  # source: [(bin, packets)]
        self.flood = self.benign = 0
        self.flooder = {}
        for r in read_csv(truth_csv):
            n, source, is_flooder = int(r["packets"]), r["source"], r["flooder"] == "1"
            if is_flooder:
                self.flood += n
            else:
                self.benign += n
            if source == "*":
                continue
            self.packets[source] = self.packets.get(source, 0) + n
            self.bins.setdefault(source, []).append((int(r["bin_unix_s"]), n))
            self.flooder[source] = is_flooder
        self.first, self.crossed = {}, {}
        for r in read_csv(times_csv):
            self.first[r["source"]] = int(r["first_unix_ns"]) / 1e9
            if r["crossed_unix_ns"]:
                self.crossed[r["source"]] = int(r["crossed_unix_ns"]) / 1e9
        self.flooders = {s for s, f in self.flooder.items() if f}
        self.begin = min((self.first[s] for s in self.flooders), default=None)


def spread(values):
    """Median and largest, or None."""
    return {"median": statistics.median(values), "max": max(values)} if values else None


def score(truth, first_drop, dropped):
    """first_drop: source to unix time; dropped: source to packets. Sources that the truth has no
    name for are spoofed ones: blocking them helps nobody, and hurts nobody."""
    found = set(first_drop) & truth.flooders
    wrong = {s for s in first_drop if s in truth.flooder and not truth.flooder[s]}
    lost = sum(n for s, n in dropped.items() if s in wrong)
    stopped = sum(n for s, n in dropped.items() if s not in wrong)
    return {
        "flooders": len(truth.flooders),
        "found": len(found),
        "wrong": len(wrong),
        "precision": len(found) / (len(found) + len(wrong)) if found or wrong else None,
        "recall": len(found) / len(truth.flooders) if truth.flooders else None,
        "from_first_s": spread([first_drop[s] - truth.first[s] for s in found]),
        # A crossing after the drop: the source was found before it alone was worth it.
        "from_crossing_s": spread([first_drop[s] - truth.crossed[s] for s in found
                                   if s in truth.crossed]),
        "benign_packets": truth.benign,
        "benign_lost": lost,
        "flood_packets": truth.flood,
        "flood_dropped": stopped,
    }


# ---- the table --------------------------------------------------------------------------------


def share(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "-"


def ratio(value):
    return "-" if value is None else f"{value:.2f}"


def seconds(value):
    if value is None:
        return "-"
    return " ".join(f"{v:.3f}" if abs(v) < 1 else f"{v:.1f}"
                    for v in (value["median"], value["max"]))


def table_head(key, first, drop):
    common.line(key, f"{'scenario':<15}{first:<19}{'found':>7}{'wrong':>6}{'prec.':>7}{'recall':>7}"
                f"{'first to ' + drop:>18}{'crossing to it':>16}{'clients lost':>17}"
                f"{'flood dropped':>14}", {})


def table_row(key, scenario, way, s):
    lost = f"{s['benign_lost']} of {s['benign_packets']}"
    common.line(key, f"{scenario:<15}{way:<19}{s['found']:>3}/{s['flooders']:<3}{s['wrong']:>6}"
                f"{ratio(s['precision']):>7}{ratio(s['recall']):>7}"
                f"{seconds(s['from_first_s']):>18}{seconds(s['from_crossing_s']):>16}"
                f"{lost:>17}{share(s['flood_dropped'], s['flood_packets']):>14}",
                {"scenario": scenario, "way": way, **s})


# ---- replay -----------------------------------------------------------------------------------


def detectors(levee):
    """Those that `levee replay` knows; without the option there is the one."""
    known = []
    for name in DETECTORS:
        tried = subprocess.run([levee, "replay", "--detector", name, "/dev/null"],
                               capture_output=True, check=False)
        if tried.returncode != 2:
            known.append(name)
    return known or [None]


class Flagged:
    """What the evaluations of a replay flagged, with what blocking it would have dropped."""

    def __init__(self, truth):
        self.truth = truth
        self.first, self.dropped = {}, {}
        self.since = {}  # source: flagged since, as of the last evaluation
        self.now = None

    def until(self, source, begin, end):
        n = sum(n for b, n in self.truth.bins.get(source, ()) if begin <= b < end)
        self.dropped[source] = self.dropped.get(source, 0) + n

    def take(self, evaluation):
        now = evaluation["now"]
        flagged = {f["source"] for f in evaluation["flagged"]}
        for source in list(self.since):
            if source not in flagged:
                self.until(source, self.since.pop(source), now)
        for source in flagged:
            self.since.setdefault(source, now)
            self.first.setdefault(source, now)

    def finish(self):
        for source, begin in self.since.items():
            self.until(source, begin, float("inf"))


def replay(args, scenario, detector, work):
    """The pcap goes through a pipe: nothing is stored."""
    pipe, truth_csv, times_csv = work / "pcap", work / "truth.csv", work / "times.csv"
    os.mkfifo(pipe)
    sender = common.Process([args.pktgen, "--pcap", pipe, "--truth", truth_csv, "--sum-spoofed",
                             "--times", times_csv, "--above", MIN_PACKETS, scenario.path])
    with sender:
        with open(pipe, "rb") as packets:
            out = common.run(args.levee, "replay", "--format", "json", "--limit", 100000,
                             *(["--detector", detector] if detector else []), "-", stdin=packets)
        code, _ = sender.finish(60)
    if code:
        raise RuntimeError(f"levee-pktgen ended with {code}")
    truth = Truth(truth_csv, times_csv)
    flagged = Flagged(truth)
    for text in out.splitlines():
        flagged.take(json.loads(text))
    flagged.finish()
    return score(truth, flagged.first, flagged.dropped)


def replay_all(args, scenarios):
    common.section(
        "detection.replay", "Detection: every scenario through levee replay",
        "bins of 60 s, 12,000 packets, all defaults; times are median and largest over the "
        "flooders that were found, in seconds; crossing: more than 12,000 packets in a bin")
    table_head("detection.replay.head", "detector", "verdict")
    for scenario in scenarios:
        for detector in detectors(args.levee):
            common.progress(f"detection: {scenario.name}, replay")
            with tempfile.TemporaryDirectory(dir=args.dir) as work:
                s = replay(args, scenario, detector, common.pathlib.Path(work))
            way = detector or "zscore"
            table_row(f"detection.replay.{scenario.name}.{way}", scenario.name, way, s)


# ---- live -------------------------------------------------------------------------------------


def read_hits(text):
    """What tools/hits saw. Returns first drops and drops by prefix, as the truth writes them."""
    first, dropped = {}, {}
    for r in csv.DictReader(text.splitlines()):
        source = r["prefix"].removesuffix("/32")
        dropped[source] = dropped.get(source, 0) + int(r["packets"])
        if r["first_unix_ns"]:
            at = int(r["first_unix_ns"]) / 1e9
            first[source] = min(at, first.get(source, at))
    return first, dropped


class Trial:
    """One scenario through the kernel: a pair of namespaces, levee, the sender, a watcher."""

    def __init__(self, args, scenario, way, detect, block=(), sender=(), min_packets=MIN_PACKETS):
        self.args, self.scenario, self.way = args, scenario, way
        self.detect, self.block, self.sender = detect, block, sender
        self.min_packets = min_packets
        self.stack = contextlib.ExitStack()

    def begin(self):
        enter = self.stack.enter_context
        first, last = common.cpus()[0], common.cpus()[-1]
        self.work = common.pathlib.Path(enter(tempfile.TemporaryDirectory(dir=self.args.dir)))
        self.pair = enter(common.Pair())
        config = common.write_config(
            self.work / "levee.conf", self.pair, self.work / "state.db",
            ["attach = native", "rules = 8192"],
            detect=["bin = 1", "window = 60", f"min_packets = {self.min_packets}", *self.detect],
            block=self.block)
        self.levee = enter(common.Levee(self.args.levee, self.pair, config, self.work / "log",
                                        last))
        hits = common.pathlib.Path(self.args.pktgen).parent.parent / "hits" / "hits"
        self.hits = enter(common.Process([hits, self.pair.pin], cpu=last))
        self.beside()
        self.pktgen = enter(common.Process(
            [self.args.pktgen, "--interface", "eth0", "--truth", self.work / "truth.csv",
             "--sum-spoofed", "--times", self.work / "times.csv", "--above", self.min_packets,
             "--set", "scenario.bin=1", "--json", *self.sender, self.scenario.path],
            self.pair.client, first, self.work / "pktgen.log"))

    def beside(self):
        """What else shall run; for those that derive."""

    def is_over(self):
        return not self.pktgen.alive()

    def result(self):
        code, out = self.pktgen.finish(1)
        if code:
            raise RuntimeError("levee-pktgen: " + (self.work / "pktgen.log").read_text()[-300:])
        bins = self.levee.bins()
        common.wait_for(5, lambda: self.levee.bins() >= bins + 2)
        self.truth = Truth(self.work / "truth.csv", self.work / "times.csv")
        s = score(self.truth, *read_hits(self.hits.end()))
        s["late_ms"] = json.loads(out)["lag_ms"]
        return s

    def close(self):
        self.stack.close()


def run_trials(trials, at_once, take):
    """So many at a time, to the end of each; results as they come."""
    waiting, running = list(trials), []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(waiting.pop(0))
                common.progress(f"detection: {running[-1].scenario.name}, {running[-1].way}")
                running[-1].begin()
            for trial in [t for t in running if t.is_over()]:
                take(trial, trial.result())
                running.remove(trial)
                trial.close()
            time.sleep(0.05)
    finally:
        for trial in running:
            trial.close()


def knows_key(args, section_name, key, value):
    """Does this build have a configuration key?"""
    with tempfile.NamedTemporaryFile("w", dir=args.dir, suffix=".conf") as file:
        file.write(f"[data_path]\ninterfaces = lo\n[{section_name}]\n{key} = {value}\n")
        file.flush()
        return subprocess.run([args.levee, "config", "check", file.name], capture_output=True,
                              check=False).returncode == 0


def ways(args):
    """Configurations to run live: name, and lines of [detect]."""
    if not knows_key(args, "detect", "fast", "off"):
        return [("bins", [])]
    return [("bins", ["fast = off"]), ("bins + fast path", ["fast = on"])]


def live_all(args, scenarios):
    common.section(
        "detection.live", "Detection: every scenario live, through XDP and levee run",
        f"{SPEED} times as fast at {SCALE} of the rate, bins of 1 s, "
        f"{MIN_PACKETS * SCALE:.0f} packets; drops as the kernel counted them, times in real "
        "seconds, a bin being one; three trials at a time")
    table_head("detection.live.head", "way", "drop")
    rows = {}
    trials = [Trial(args, scenario, way, detect,
                    sender=["--speed", SPEED, "--scale", SCALE],
                    min_packets=int(MIN_PACKETS * SCALE))
              for scenario in sorted(scenarios, key=lambda s: -s.duration)
              for way, detect in ways(args)]
    run_trials(trials, 3, lambda t, s: rows.update({(t.scenario.name, t.way): s}))
    for (name, way), s in sorted(rows.items()):
        key = f"detection.live.{name}.{way.replace(' ', '').replace('+', '-')}"
        table_row(key, name, way, s)
    late = max(s["late_ms"] for s in rows.values())
    common.remark("detection.live.late", f"The sender was at most {late:.0f} ms late.")


# ---- FastNetMon beside ------------------------------------------------------------------------

FASTNETMON_CONF = """logging_level = info
logging_local_syslog_logging = off
logging_remote_syslog_logging = off
disable_usage_report = on
enable_ban = on
enable_ban_ipv6 = on
process_incoming_traffic = on
process_outgoing_traffic = off
ban_time = 1900
networks_list_path = {dir}/networks
white_list_path = {dir}/white
check_period = 1
enable_connection_tracking = off
ban_for_pps = on
ban_for_bandwidth = off
ban_for_flows = off
threshold_pps = {threshold}
mirror_afpacket = on
interfaces = eth0
average_calculation_time = 5
speed_calculation_delay = 1
notify_script_path = {dir}/notify
pid_path = {dir}/pid
cli_stats_file_path = {dir}/stats
cli_stats_ipv6_file_path = {dir}/stats6
enable_api = off
prometheus = off
monitor_local_ip_addresses = off
"""

NOTIFY = """#!/bin/sh
[ "$4" != ban ] || echo "$(date +%s%N) $1" >>{dir}/bans
cat >/dev/null
"""


class Beside(Trial):
    """FastNetMon on the same interface, taught what an operator would know: three times the
    packets that the clients send are too many."""

    def __init__(self, args, scenario):
        speed = BESIDE_SPEED.get(scenario.name, 1)
        super().__init__(
            args, scenario, "beside FastNetMon", [], ["mode = audit"],
            ["--from", max(0, scenario.start - BEFORE_S * speed), "--speed", speed, "--scale",
             1 / speed, "--duration", BEFORE_S + AFTER_S], MIN_PACKETS // 60)

    def threshold(self):
        """Three times the clients' packets a second to the busier destination, before the flood."""
        out, seconds_long = self.work / "before.csv", min(60, self.scenario.start) - 1
        common.run(self.args.pktgen, "--pcap", "/dev/null", "--truth", out, "--sum-spoofed",
                   "--from", self.scenario.start - 1 - seconds_long,
                   "--duration", self.scenario.start - 1, self.scenario.path)
        families = {False: 0, True: 0}
        for r in read_csv(out):
            families[":" in r["source"]] += int(r["packets"])
        return max(20, round(3 * max(families.values()) / seconds_long))

    def beside(self):
        self.limit = self.threshold()
        text = {"dir": self.work, "threshold": self.limit}
        (self.work / "fnm.conf").write_text(FASTNETMON_CONF.format(**text))
        # Each address of its networks takes memory: only those that are there.
        (self.work / "networks").write_text("192.0.2.10/32\n2001:db8::10/128\n")
        (self.work / "white").write_text("")
        (self.work / "bans").write_text("")
        notify = self.work / "notify"
        notify.write_text(NOTIFY.format(**text))
        notify.chmod(0o755)
        self.fastnetmon = self.stack.enter_context(common.Process(
            [common.have("fastnetmon"), "--configuration_file", self.work / "fnm.conf",
             "--log_file", self.work / "fnm.log"], self.pair.server, common.cpus()[-1]))
        # It writes its statistics once it runs.
        if not common.wait_for(20, (self.work / "stats").exists):
            raise RuntimeError("fastnetmon did not start")

    def bans(self):
        """Unix time and family of each."""
        for text in (self.work / "bans").read_text().splitlines():
            at, address = text.split()
            yield int(at) / 1e9, 6 if ":" in address else 4

    def result(self):
        s = super().result()
        # At its orderly end it dumps core, into directories that are not ours.
        self.fastnetmon.end(signal.SIGKILL)
        begin = self.truth.begin or min(self.truth.first.values()) + BEFORE_S
        bans = list(self.bans())
        s["threshold_pps"] = self.limit
        s["ban_s"] = min(at for at, _ in bans) - begin if bans else None
        s["ban_clients_lost"] = sum(
            n for source, bins in self.truth.bins.items() if not self.truth.flooder[source]
            for b, n in bins for at, family in bans
            if b >= at and family == (6 if ":" in source else 4))
        return s


def beside_row(name, s):
    ban = s["ban_s"]
    if ban is None:
        text = "no ban"
    elif not s["flooders"]:
        text = f"wrong, {ban:.1f} s after the crowd"
    else:
        text = f"{ban:.1f} s" if ban > 0 else "before the flood"
    lost = f"{s['benign_lost']} of {s['benign_packets']}"
    common.line(
        f"detection.beside.{name}",
        f"{name:<15}{s['found']:>3}/{s['flooders']:<3}{s['wrong']:>6}"
        f"{seconds(s['from_first_s']):>16}{lost:>17}   {s['threshold_pps']:>9}   {text:<26}"
        f"{share(s['ban_clients_lost'], s['benign_packets']):>8}",
        {"scenario": name, **s})


def memory_available_mb():
    for text in open("/proc/meminfo"):
        if text.startswith("MemAvailable:"):
            return int(text.split()[1]) // 1024
    return 0


def beside_all(args, scenarios):
    common.section(
        "detection.beside", "Detection: FastNetMon beside Levee, on the same packets",
        f"real time, {BEFORE_S} s of clients and {AFTER_S} s of flood; Levee: bins of 1 s, 200 "
        "packets, audit mode; FastNetMon: bans the destination at three times what the clients "
        "send, which a null route would then take from them")
    if not common.have("fastnetmon"):
        common.remark("detection.beside.none", "fastnetmon is not installed (Debian: apt-get "
                      "install fastnetmon): left out")
        return
    common.line("detection.beside.head",
                f"{'':<15}{'Levee':<45} FastNetMon", {})
    common.line("detection.beside.columns",
                f"{'scenario':<15}{'found':>7}{'wrong':>6}{'first to drop':>16}"
                f"{'clients lost':>17}   {'threshold':>9}   {'ban after first packet':<26}"
                f"{'clients lost':>8}", {})
    rows = {}
    at_once = min(4, max(1, (memory_available_mb() - 4000) // 700))
    run_trials([Beside(args, s) for s in scenarios], at_once,
               lambda t, s: rows.update({t.scenario.name: s}))
    for name, s in sorted(rows.items()):
        beside_row(name, s)


# ---- main -------------------------------------------------------------------------------------

PARTS = {"replay": replay_all, "live": live_all, "beside": beside_all}
QUICK = ("hit-and-run", "ipv6-rotation", "masking", "reflection")


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="this one only")
    parser.add_argument("--scenario", action="append", help="this one only, by its name")
    args = parser.parse_args()
    common.stop_on_signals()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    scenarios = [Scenario(p) for p in sorted(SCENARIOS.glob("*.ini")) if p.stem != "demo"]
    wanted = args.scenario or (QUICK if args.quick else None)
    if wanted:
        scenarios = [s for s in scenarios if s.name in wanted]
    for part in args.part or PARTS:
        PARTS[part](args, scenarios)


if __name__ == "__main__":
    main()
