# SPDX-License-Identifier: BSD-2-Clause
"""What the benches that orchestrate whole programs share: rows on standard output, as
tools/bench/report.h describes them; network namespaces and processes that go away again."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


# ---- rows -------------------------------------------------------------------------------------


def row(kind, key, **members):
    print(json.dumps({"kind": kind, "key": key, **members}), flush=True)


def section(key, title, note=""):
    row("section", key, title=title, note=note)


def remark(key, note):
    row("remark", key, note=note)


def line(key, text, data):
    row("line", key, note=text, data=data)


def figure(key, label, unit, samples, **more):
    row("figure", key, label=label, unit=unit, samples=list(samples), **more)


def progress(text):
    tty = sys.stderr.isatty()
    sys.stderr.write(f"\r\033[Kbench: {text}" if tty else f"bench: {text}\n")
    sys.stderr.flush()


# ---- the command line -------------------------------------------------------------------------


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--levee", required=True, help="the program levee")
    parser.add_argument("--pktgen", required=True, help="the program levee-pktgen")
    parser.add_argument("--dir", required=True, type=pathlib.Path, help="for files")
    parser.add_argument("--quick", action="store_true", help="to see that all works")
    return parser


def stop_on_signals():
    """SIGTERM and SIGINT unwind the stack, so that every `with` cleans up."""

    def leave(number, _frame):
        # A second one must not interrupt the cleaning.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)


# ---- processes and namespaces -----------------------------------------------------------------


def cpus():
    """CPUs that we may use, in order."""
    return sorted(os.sched_getaffinity(0))


def run(*argv, **options):
    """Run to the end; what it says on standard error is in the exception if it fails."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} {' '.join(map(str, argv[1:]))}: {done.stderr.strip()[-400:]}")
    return done.stdout


def wait_for(seconds, condition):
    """True as soon as the condition holds; False if the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def prefer(pid):
    """Above what else the machine does, all of ours alike. Each of them leads a session, so on
    kernels that group by session it is the group's nice value that counts."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, -15)
        pathlib.Path(f"/proc/{pid}/autogroup").write_text("-15")


class Process:
    """A program that runs beside us, in a namespace and on a CPU if asked; ended at the latest
    when the `with` ends."""

    def __init__(self, argv, netns=None, cpu=None, log=None, out=None, wait=10):
        prefix = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        self.wait = wait
        self.log = open(log, "wb") if log else None
        self.out = open(out, "wb") if out else None

        def pin():
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})

        self.popen = subprocess.Popen(
            prefix + [str(a) for a in argv],
            stdin=subprocess.DEVNULL,
            stdout=self.out or subprocess.PIPE,
            stderr=self.log or subprocess.DEVNULL,
            preexec_fn=pin,
            start_new_session=True,  # Ctrl-C reaches us, and we end it
        )
        prefer(self.popen.pid)

    def __enter__(self):
        return self

    def finish(self, seconds):
        """Wait for its own end. Returns exit code and output."""
        out, _ = self.popen.communicate(timeout=seconds)
        return self.popen.returncode, (out or b"").decode()

    def alive(self):
        return self.popen.poll() is None

    def end(self, number=signal.SIGTERM):
        """Ask it to end. Returns its output."""
        if self.alive():
            self.popen.send_signal(number)
        try:
            out, _ = self.popen.communicate(timeout=self.wait)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            out, _ = self.popen.communicate()
        return (out or b"").decode()

    def __exit__(self, *_):
        self.end()
        for file in (self.log, self.out):
            if file:
                file.close()


class Pair:
    """Two network namespaces joined by veth; both ends are eth0, server 192.0.2.1, client .2."""

    count = 0

    def __init__(self, queues=1):
        Pair.count += 1
        self.id = f"levee-b-{os.getpid()}-{Pair.count}"
        self.server, self.client = f"{self.id}-s", f"{self.id}-c"
        self.pin = pathlib.Path("/sys/fs/bpf") / self.id
        self.queues = str(queues)
        self.levee = None  # the program that may have left pins

    def __enter__(self):
        try:
            for name in (self.server, self.client):
                run("ip", "netns", "add", name)
                self.ip(name, "link", "set", "lo", "up")
            run("ip", "link", "add", "eth0", "netns", self.server, "numrxqueues", self.queues,
                "numtxqueues", self.queues, "type", "veth", "peer", "name", "eth0", "netns",
                self.client, "numrxqueues", self.queues, "numtxqueues", self.queues)
            for name, last in ((self.server, 1), (self.client, 2)):
                self.ip(name, "link", "set", "eth0", "addrgenmode", "none")
                self.ip(name, "addr", "add", f"192.0.2.{last}/24", "dev", "eth0")
                self.ip(name, "link", "set", "eth0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def ip(self, name, *argv):
        return run("ip", "-n", name, *argv)

    def in_server(self, *argv):
        return run("nsenter", f"--net=/run/netns/{self.server}", *argv)

    def in_client(self, *argv):
        return run("nsenter", f"--net=/run/netns/{self.client}", *argv)

    def detach(self):
        if self.levee and self.pin.exists():
            subprocess.run([self.levee, "detach", "--force", "--pin", self.pin],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if self.pin.is_dir():
            try:
                self.pin.rmdir()
            except OSError:
                pass

    def __exit__(self, *_):
        self.detach()
        for name in (self.server, self.client):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)


def write_config(path, pair, state, data_path=(), **sections):
    """A configuration of levee in this pair; sections as detect=["bin = 1"]."""
    text = ["[data_path]", "interfaces = eth0", f"pin = {pair.pin}", *data_path,
            "[state]", f"file = {state}"]
    for name, keys in sections.items():
        text += [f"[{name}]", *keys]
    path.write_text("\n".join(text) + "\n")
    return path


class Levee(Process):
    """levee run in the server's namespace, ready when this returns."""

    def __init__(self, program, pair, config, log, cpu=None):
        pair.levee = program
        self.path = log
        super().__init__([program, "run", "--config", config], pair.server, cpu, log)
        if not wait_for(20, lambda: b"notice: levee " in log.read_bytes() or not self.alive()) or \
           not self.alive():
            self.end()
            raise RuntimeError("levee did not start: " + log.read_text()[-400:])

    def bins(self):
        return self.path.read_bytes().count(b"info: bin to ")


def have(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
