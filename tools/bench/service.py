#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A TCP service while a flood rises: transactions a second and the 99th percentile, without
protection, with nftables dropping the flooders (a named set in an ingress chain, the earliest that
nftables can), and with Levee, which found them itself before.

Two hosts of one CPU each: the server's CPU runs its receive work (threaded NAPI of its end of the
veth), the service, and Levee's controller; the other one runs the generator, the clients and their
receive work. Receive work goes before the service, as interrupts do; clients go before the
generator, because they are the instrument. Clients ask at a fixed rate, over connections that were
there before the flood. An XDP filter of ten lines says what of Levee's column is XDP's on a veth. The
last series sends the flood to another veth, where a program drops it: what the generator alone does
to the clients, that no protection could help against.
"""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import common

PORT = 443
CLIENTS = 64  # connections, each from an address of its own
FLOODERS = 20
RATES = (50e3, 100e3, 200e3, 400e3, 800e3, None)  # packets/s; None: all that goes
QUICK_RATES = (50e3, 400e3, None)
SERIES = ("none", "nftables", "filter", "levee", "elsewhere")
NAMES = {"none": "no protection", "nftables": "nftables", "filter": "XDP filter",
         "levee": "Levee", "elsewhere": "flood elsewhere"}
HALF = 0.5  # of what the clients ask for: below it the service has collapsed

FLOOD = """[scenario]
name = flood
duration = 3600
bin = 1
destination = 192.0.2.1
destination_mac = {mac}
[flood]
prefix = 203.0.113.0/24
sources = {flooders}
rate = 2000
tcp_flags = syn
port = {port}
flooder = yes
"""

# What Levee finds them in: quiet clients for a while, then the flooders among them.
ARMING = """[scenario]
name = arming
duration = 9
bin = 1
destination = 192.0.2.1
destination_mac = {mac}
[quiet]
prefix = 198.18.0.0/15
sources = 500
order = spread
rate = 3
distribution = poisson
tcp_flags = ack
[flood]
prefix = 203.0.113.0/24
sources = {flooders}
rate = 2000
tcp_flags = syn
port = {port}
start = 5
flooder = yes
"""

# The least that an XDP program can do here: what of Levee's column is XDP's on a veth.
FILTER = """struct context { unsigned int data, data_end; };
__attribute__((section("xdp"), used)) int filter(struct context *c)
{
	unsigned char *p = (void *)(long)c->data, *end = (void *)(long)c->data_end;

	if (p + 34 > end)
		return 2;
	return p[26] == 203 && p[27] == 0 && p[28] == 113 ? 1 : 2;
}
char _license[] __attribute__((section("license"), used)) = "GPL";
"""

NFTABLES = """table netdev bench {{
	set flooders {{
		type ipv4_addr
		elements = {{ {elements} }}
	}}
	chain ingress {{
		type filter hook ingress device "eth0" priority -500;
		ip saddr @flooders counter drop
	}}
}}
"""


# ---- two hosts --------------------------------------------------------------------------------


def schedule(pid, policy, priority, cpu):
    os.sched_setaffinity(pid, {cpu})
    os.sched_setscheduler(pid, policy, os.sched_param(priority))


def napi_threads():
    found = subprocess.run(["pgrep", "^napi/eth0"], capture_output=True, text=True, check=False)
    return {int(pid) for pid in found.stdout.split()}


def thread_receive_work(pair, name, cpu):
    """The receive work of this end goes into a thread on that CPU, before all else there."""
    common.run("ip", "netns", "exec", name, common.have("ethtool"), "-K", "eth0", "gro", "on")
    before = napi_threads()
    # sysfs shows the interfaces of the namespace that mounted it: ip netns exec does.
    common.run("ip", "netns", "exec", name, "sh", "-c", "echo 1 >/sys/class/net/eth0/threaded")
    mine = napi_threads() - before
    for pid in mine:
        schedule(pid, os.SCHED_FIFO, 2, cpu)
    return mine


class Cost:
    """What threads took of their CPU: its time [ns], how often they were woken, and preempted."""

    def __init__(self, pids):
        self.at = time.monotonic()
        self.cpu_ns = self.woken = self.preempted = 0
        for pid in pids:
            proc = common.pathlib.Path("/proc") / str(pid)
            self.cpu_ns += int((proc / "schedstat").read_text().split()[0])
            switches = re.findall(r"voluntary_ctxt_switches:\s*(\d+)", (proc / "status").read_text())
            self.woken += int(switches[0])
            self.preempted += int(switches[1])

    def since(self, before):
        seconds = self.at - before.at
        return {"cpu": (self.cpu_ns - before.cpu_ns) / seconds / 1e9,
                "woken_per_s": (self.woken - before.woken) / seconds,
                "preempted_per_s": (self.preempted - before.preempted) / seconds}


def mac_of(pair, name):
    return json.loads(pair.ip(name, "-j", "link", "show", "eth0"))[0]["address"]


class Bench:
    def __init__(self, args, stack):
        self.args = args
        self.work = common.pathlib.Path(
            stack.enter_context(tempfile.TemporaryDirectory(dir=args.dir)))
        self.stack = stack
        self.client_cpu, self.server_cpu = common.cpus()[0], common.cpus()[-1]
        self.rr = common.pathlib.Path(args.pktgen).parent.parent / "rr" / "rr"
        self.pair = stack.enter_context(common.Pair())
        self.elsewhere = stack.enter_context(common.Pair())
        self.prepare_pair()
        self.prepare_elsewhere()
        self.write_scenarios()
        self.config = common.write_config(
            self.work / "levee.conf", self.pair, self.work / "state.db",
            ["attach = native", "rules = 8192"],
            detect=["bin = 1", "window = 3600", "min_packets = 1000"])
        self.server = self.start([self.rr, "serve", "192.0.2.1", PORT], self.pair.server,
                                 self.server_cpu)

    def start(self, argv, netns, cpu, log=None):
        return self.stack.enter_context(common.Process(argv, netns, cpu, log))

    def prepare_pair(self):
        pair = self.pair
        for i in range(CLIENTS):
            pair.ip(pair.client, "addr", "add", f"192.0.2.{64 + i}/24", "dev", "eth0")
        # Answers to the flood go out, too, as they would.
        pair.ip(pair.server, "route", "add", "default", "via", "192.0.2.2")
        self.receivers = thread_receive_work(pair, pair.server, self.server_cpu)
        thread_receive_work(pair, pair.client, self.client_cpu)

    def compile(self, name, text):
        """An XDP program. Returns its file."""
        source, program = self.work / f"{name}.c", self.work / f"{name}.o"
        source.write_text(text)
        common.run(os.environ.get("CLANG", "clang"), "-O2", "-target", "bpf", "-c", source, "-o",
                   program)
        return program

    def prepare_elsewhere(self):
        """A pair whose receiver drops all in XDP, on the generator's CPU."""
        pair = self.elsewhere
        drop = self.compile(
            "drop", '__attribute__((section("xdp"), used)) int drop(void *ctx) { return 1; }\n'
            'char _license[] __attribute__((section("license"), used)) = "GPL";\n')
        pair.ip(pair.server, "link", "set", "eth0", "xdpdrv", "obj", drop, "sec", "xdp")

    def write_scenarios(self):
        values = {"flooders": FLOODERS, "port": PORT}
        for name, pair in (("flood", self.pair), ("elsewhere", self.elsewhere)):
            (self.work / f"{name}.ini").write_text(
                FLOOD.format(mac=mac_of(pair, pair.server), **values))
        (self.work / "arming.ini").write_text(
            ARMING.format(mac=mac_of(self.pair, self.pair.server), **values))

    # ---- protections

    @contextlib.contextmanager
    def levee(self):
        log = self.work / "levee.log"
        log.write_text("")
        try:
            with common.Levee(self.args.levee, self.pair, self.config, log, self.server_cpu) as it:
                yield it
        finally:
            self.pair.detach()

    @staticmethod
    def blocked(levee):
        """Flooders that it says it blocked."""
        return set(re.findall(r"notice: block (203\.0\.113\.\d+)", levee.path.read_text()))

    def arm(self):
        """Let Levee find the flooders; its state keeps the blocks for the runs that follow."""
        common.progress("service: levee finds the flooders")
        with self.levee() as levee:
            with common.Process([self.args.pktgen, "--interface", "eth0", self.work / "arming.ini"],
                                self.pair.client, self.client_cpu) as sender:
                sender.finish(60)
            if not levee.alive():
                raise RuntimeError("levee ended: " + levee.path.read_text()[-800:])
            if not common.wait_for(10, lambda: len(self.blocked(levee)) == FLOODERS):
                raise RuntimeError(f"levee found {len(self.blocked(levee))} of {FLOODERS} "
                                   "flooders: " + levee.path.read_text()[-400:])

    @contextlib.contextmanager
    def nftables(self):
        elements = ", ".join(f"203.0.113.{i + 1}" for i in range(FLOODERS))
        rules = self.work / "rules.nft"
        rules.write_text(NFTABLES.format(elements=elements))
        self.pair.in_server(common.have("nft"), "-f", rules)
        try:
            yield
        finally:
            self.pair.in_server(common.have("nft"), "delete", "table", "netdev", "bench")

    @contextlib.contextmanager
    def filter(self):
        program = self.compile("filter", FILTER)
        self.pair.ip(self.pair.server, "link", "set", "eth0", "xdpdrv", "obj", program, "sec",
                     "xdp")
        try:
            yield
        finally:
            self.pair.ip(self.pair.server, "link", "set", "eth0", "xdpdrv", "off")

    def protection(self, series):
        return {"nftables": self.nftables, "filter": self.filter, "levee": self.levee}.get(
            series, contextlib.nullcontext)()

    # ---- one measurement

    def ask(self, rate, seconds, warmup):
        """The clients, connected: their process."""
        argv = [self.rr, "ask", "192.0.2.1", PORT, "--connections", CLIENTS, "--from",
                "192.0.2.64", "--warmup", warmup, "--seconds", seconds]
        clients = common.Process(argv + (["--rate", rate] if rate else []), self.pair.client,
                                 self.client_cpu)
        if clients.popen.stdout.readline() != b"ready\n":
            raise RuntimeError("the clients cannot connect: " + clients.end())
        schedule(clients.popen.pid, os.SCHED_FIFO, 1, self.client_cpu)
        return clients

    def answers(self, clients):
        """What they got, once they are done."""
        code, out = clients.finish(60)
        if code:
            raise RuntimeError(f"the clients ended with {code}")
        return json.loads(out)

    def flood(self, series, rate):
        pair = self.elsewhere if series == "elsewhere" else self.pair
        scenario = "elsewhere.ini" if series == "elsewhere" else "flood.ini"
        argv = [self.args.pktgen, "--live", "eth0", "--ramp-up", 0, "--json"]
        return common.Process(
            [*argv, *(["--rate", rate] if rate else []), self.work / scenario], pair.client,
            self.client_cpu, self.work / "flood.log")

    def measure(self, series, rate, asked, seconds):
        """One point: what the clients got while so much flood came in. Rate 0: no flood."""
        sent = {"packets": 0, "not_taken": 0, "seconds": 1}
        cost = None
        with self.protection(series), self.ask(asked, seconds, 1) as clients:
            if rate == 0:
                got = self.answers(clients)
            else:
                with self.flood(series, rate) as flood:
                    before = Cost(self.receivers), Cost([self.server.popen.pid])
                    got = self.answers(clients)
                    after = Cost(self.receivers), Cost([self.server.popen.pid])
                    sent = json.loads(flood.end())
                cost = {"receive": after[0].since(before[0]), "service": after[1].since(before[1])}
        return {"cost": cost, "rate": sent["packets"] / sent["seconds"],
                "arrived": (sent["packets"] - sent["not_taken"]) / sent["seconds"],
                **{k: got[k] for k in ("answers_per_s", "p50_us", "p99_us", "broken")}}

    def capacity(self):
        """Closed loop, no flood: what the service can do on its CPU."""
        with self.ask(None, 2, 0.5) as clients:
            return self.answers(clients)["answers_per_s"]


# ---- the table --------------------------------------------------------------------------------


def packets(rate):
    if not rate:
        return "all" if rate is None else "0"
    return f"{rate / 1e6:.2f} M" if rate >= 1e6 else f"{rate / 1e3:.0f} k"


def milliseconds(us):
    return f"{us / 1e3:.2f}" if us < 1e4 else f"{us / 1e3:.0f}"


def median_of(points, name):
    return statistics.median(p[name] for p in points)


def print_points(results, series_wanted, rates, asked):
    head = f"{'flood':<9}" + "".join(f"{NAMES[s]:>30}" for s in series_wanted)
    common.line("service.head", head, {})
    common.line("service.columns", f"{'[pkt/s]':<9}" +
                f"{'sent  answers/s  p99 [ms]':>30}" * len(series_wanted), {})
    for rate in (0, *rates):
        text = f"{packets(rate):<9}"
        for series in series_wanted:
            points = results[series, rate]
            text += (f"{packets(median_of(points, 'rate')):>9}"
                     f"{median_of(points, 'answers_per_s'):>11.0f}"
                     f"{milliseconds(median_of(points, 'p99_us')):>10}")
        name = "max" if rate is None else f"{rate:.0f}"
        common.line(f"service.at.{name}", text,
                    {"asked_per_s": asked, "rate": rate,
                     "series": {s: results[s, rate] for s in series_wanted}})


def print_costs(results, series_wanted, rates):
    """Who has the server's CPU: what makes one protection slower than another."""
    series_wanted = [s for s in series_wanted if s != "elsewhere"]

    def cost(series, rate, who, name):
        return statistics.median(p["cost"][who][name] for p in results[series, rate])

    common.line("service.cost.head", "Of the server's CPU: share of the receive work, how often "
                "a second it is woken, and how often that takes the CPU from the service", {})
    common.line("service.cost.names",
                f"{'flood':<9}" + "".join(f"{NAMES[s]:>30}" for s in series_wanted), {})
    common.line("service.cost.columns", f"{'[pkt/s]':<9}" +
                f"{'CPU     woken  preempted':>30}" * len(series_wanted), {})
    for rate in rates:
        text = f"{packets(rate):<9}"
        for series in series_wanted:
            text += (f"{cost(series, rate, 'receive', 'cpu'):>14.0%}"
                     f"{cost(series, rate, 'receive', 'woken_per_s'):>8.0f}"
                     f"{cost(series, rate, 'service', 'preempted_per_s'):>8.0f}")
        common.line(f"service.cost.{'max' if rate is None else f'{rate:.0f}'}", text,
                    {s: {who: {name: cost(s, rate, who, name)
                               for name in ("cpu", "woken_per_s", "preempted_per_s")}
                         for who in ("receive", "service")} for s in series_wanted})


def collapse(results, series, rates, asked):
    """The highest flood rate that the service stood, and the lowest at which it had collapsed."""
    held, fell = 0.0, None
    for rate in rates:
        points = results[series, rate]
        if median_of(points, "answers_per_s") < HALF * asked:
            fell = median_of(points, "rate")
            break
        held = median_of(points, "rate")
    return held, fell


def print_collapses(results, series_wanted, rates, asked):
    for series in series_wanted:
        held, fell = collapse(results, series, rates, asked)
        end = "never: not by what the generator can send" if fell is None else \
            f"at {packets(fell)} packets/s"
        common.line(f"service.collapse.{series}",
                    f"{NAMES[series]:<16} stands {packets(held):>7} packets/s, collapses {end}",
                    {"series": series, "held": held, "collapsed": fell})


def run_rounds(bench, series_wanted, rates, asked, rounds, seconds):
    results = {}
    for number in range(rounds):
        for rate in (0, *rates):
            for series in series_wanted:
                common.progress(f"service: round {number + 1} of {rounds}, {packets(rate)} "
                                f"packets/s, {NAMES[series]}")
                results.setdefault((series, rate), []).append(
                    bench.measure(series, rate, asked, seconds))
    return results


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--series", action="append", choices=SERIES, help="this one only")
    parser.add_argument("--rate", action="append", type=float, help="packets/s, instead of all")
    args = parser.parse_args()
    common.stop_on_signals()
    common.section(
        "service", "A TCP service under a rising flood",
        f"{CLIENTS} connections; {FLOODERS} SYN flooders; one CPU for the server and its receive "
        "work, the other for clients and generator; answers counted from when their request was "
        "due; median of the rounds")
    if len(common.cpus()) < 2:
        common.remark("service.none", "two CPUs are needed: left out")
        return
    if not common.have("nft"):
        common.remark("service.none", "nft is not installed (make deps): left out")
        return
    rates, rounds, seconds = (QUICK_RATES, 1, 1) if args.quick else (RATES, 2, 1.5)
    rates, series = args.rate or rates, args.series or SERIES
    with contextlib.ExitStack() as stack:
        bench = Bench(args, stack)
        if "levee" in series:
            bench.arm()
        capacity = bench.capacity()
        # A service that is a third busy: neither idle nor at its end without a flood.
        asked = max(500, round(capacity / 3, -2))
        results = run_rounds(bench, series, rates, asked, rounds, seconds)
    common.line("service.asked", f"Without a flood the service can answer {capacity:.0f} "
                f"requests/s; the clients ask for {asked:.0f}.",
                {"capacity_per_s": capacity, "asked_per_s": asked})
    print_points(results, series, rates, asked)
    print_collapses(results, series, rates, asked)
    print_costs(results, series, rates)


if __name__ == "__main__":
    sys.exit(main())
