# SPDX-License-Identifier: BSD-2-Clause
"""Rounds of misfortune for daemons that are a fleet: for test_fleet_chaos.sh, inside its namespace.

Each daemon reaches the engine through a proxy of its own, which can cut the link, delay what goes
over it, and send commands twice. A round blocks and lifts by hand on nodes picked at random while
one thing goes wrong; then everything is healed, and within a bounded time

    all nodes are together, and have what was said last blocked, and nothing else,
    the network ACL in force denies the same,
    no subnet was ever without the rules of its operator,
    whoever wrote to the ACLs had put a larger token into their tag before, each time the writer
    changed.
"""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

ENGINE_PORT = 6379
HEAL_S = 120  # a machine that is busy with other things


def frame_end(data, at=0):
    """End of the RESP value that begins at `at`; None if it is not all there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, text = data[at : at + 1], data[at + 1 : line]
    end = line + 2
    if kind == b"$":
        if int(text) < 0:
            return end
        end += int(text) + 2
        return end if len(data) >= end else None
    if kind == b"*":
        for _ in range(max(int(text), 0)):
            end = frame_end(data, end)
            if end is None:
                return None
    return end


class Proxy:
    """One node's way to the engine."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cut, self.delay, self.twice = False, 0.0, 0.0
        self.pairs = []
        self.duplicates = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self):
        self.cut, self.delay, self.twice = False, 0.0, 0.0

    def sever(self):
        """Cut what there is, and whoever comes."""
        self.cut = True
        for pair in list(self.pairs):
            self._close(pair)

    def _close(self, pair):
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            if self.cut:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", ENGINE_PORT), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = (client, server)
            self.pairs.append(pair)
            waiting = []  # for each command sent, whether its reply is to be dropped
            lock = threading.Lock()
            threading.Thread(target=self._there, args=(pair, waiting, lock), daemon=True).start()
            threading.Thread(target=self._back, args=(pair, waiting, lock), daemon=True).start()

    def _frames(self, source):
        data = b""
        while True:
            try:
                more = source.recv(65536)
            except OSError:
                return
            if not more:
                return
            data += more
            while (end := frame_end(data)) is not None:
                yield data[:end]
                data = data[end:]

    def _there(self, pair, waiting, lock):
        client, server = pair
        try:
            for command in self._frames(client):
                if self.delay:
                    time.sleep(random.uniform(0, self.delay))
                again = b"EVALSHA" in command[:32] and random.random() < self.twice
                with lock:
                    waiting.append(False)
                    if again:
                        waiting.append(True)
                        self.duplicates += 1
                server.sendall(command * (2 if again else 1))
        except OSError:
            pass
        self._end(pair)

    def _back(self, pair, waiting, lock):
        client, server = pair
        try:
            for reply in self._frames(server):
                if self.delay:
                    time.sleep(random.uniform(0, self.delay / 4))
                with lock:
                    drop = waiting.pop(0)
                if not drop:
                    client.sendall(reply)
        except (OSError, IndexError):
            pass
        self._end(pair)

    def _end(self, pair):
        self._close(pair)
        if pair in self.pairs:
            self.pairs.remove(pair)
            time.sleep(0.1)
            for end in pair:
                end.close()


class Node:
    def __init__(self, chaos, i):
        self.chaos, self.i, self.proxy, self.process = chaos, i, Proxy(), None
        self.pin, self.socket = f"{chaos.pin}-{i}", f"{chaos.folder}/levee-{i}.sock"
        self.keys = json.load(open(f"{chaos.folder}/keys-{i}"))
        self.log = open(f"{chaos.folder}/{i}.log", "ab")
        text = open(f"{chaos.folder}/{i}.conf").read()
        self.config = f"{chaos.folder}/{i}.run.conf"
        with open(self.config, "w") as out:
            out.write(text.replace("PORT", str(self.proxy.port)))

    def start(self):
        self.process = subprocess.Popen(
            [self.chaos.levee, "run", "--config", self.config],
            stderr=self.log,
            env={**os.environ, **self.keys},
        )

    def signal(self, number):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def call(self, *command, timeout=15):
        """\\return whether it was taken"""
        try:
            done = subprocess.run(
                [self.chaos.levee, *command, "--socket", self.socket],
                capture_output=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def fleet(self):
        """What the daemon itself says of its fleet; {} if it cannot be asked now."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(self.socket)
                s.sendall(b"GET /api/v1/fleet HTTP/1.1\r\nHost: levee\r\nConnection: close\r\n\r\n")
                data = b""
                while more := s.recv(65536):
                    data += more
            body = data.split(b"\r\n\r\n", 1)[1]
            return json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["fleet"]
        except (OSError, ValueError, LookupError):
            return {}

    def blocked(self):
        out = subprocess.run(
            [self.chaos.levee, "list", "--pin", self.pin, "rules"], capture_output=True, text=True
        ).stdout
        return set(re.findall(r"^block (203\.0\.113\.\d+)/32", out, re.M))


class Chaos:
    def __init__(self):
        self.levee, self.pin, self.folder, self.engine, self.standin = sys.argv[1:6]
        self.rounds, count, seed = int(sys.argv[6]), int(sys.argv[7]), int(sys.argv[8])
        random.seed(seed)
        self.world = json.load(open(f"{self.folder}/world"))
        self.redis = None
        self.start_engine()
        self.nodes = [Node(self, i) for i in range(count)]
        self.said = {}  # address -> when it ends [s since the epoch]; 0: lifted
        self.unsure = set()  # commands whose answer did not come
        self.seen_effect, self.old_call = 0, 0
        self.writer, self.token, self.changes, self.writes = None, 0, 0, 0
        self.commands = 0

    # ---- the engine and EC2's stand-in -------------------------------------------------------

    def start_engine(self):
        self.redis = subprocess.Popen(
            [self.engine, "--bind", "127.0.0.1", "--port", str(ENGINE_PORT), "--dir", self.folder,
             "--save", "", "--logfile", f"{self.folder}/redis.log"],
            stdout=subprocess.DEVNULL,
        )
        end = time.time() + 30
        while time.time() < end:
            try:
                socket.create_connection(("127.0.0.1", ENGINE_PORT), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("the engine does not start")

    def ask(self, what):
        out = subprocess.run(
            ["curl", "-sS", "--fail-with-body", "--max-time", "60", "--unix-socket", self.standin,
             f"http://standin/_standin/{what}"],
            capture_output=True, text=True, check=True,
        )
        return json.loads(out.stdout)

    def check_writers(self):
        """One writer at a time: who begins to write has put a larger token into the tag. Calls are
        looked at in the order in which the server carried them out, so none that is on its way
        now is missed."""
        calls = self.ask(f"log?service=ec2&writes=1&effect=1&since={self.old_call}")
        for call in sorted(calls, key=lambda c: c["effect"]):
            if call["effect"] <= self.seen_effect:
                continue
            self.seen_effect = call["effect"]
            self.writes += 1
            text = json.dumps(call["params"])
            stamp = re.search(r'"Tag\.1\.Key": "levee:token"', text)
            if stamp:
                token = int(re.search(r'"Tag\.1\.Value": "(\d+)"', text).group(1))
                if token < self.token or (token == self.token and call["access_key"] != self.writer):
                    return f"call {call['call']}: token {token} after {self.token}"
                self.changes += call["access_key"] != self.writer
                self.writer, self.token = call["access_key"], token
            elif call["access_key"] != self.writer:
                return f"call {call['call']} ({call['operation']}) is not by the writer of the token"
        self.old_call = max([self.old_call] + [c["call"] for c in calls if c["time"] < time.time() - 120])
        violations = self.ask("check")["violations"]
        return f"violations: {violations}" if violations else None

    def denied(self):
        state = self.ask("state")
        acl = state["acls"][state["subnets"][self.world["subnets"][0]]["acl"]]
        return {e["cidr"].removesuffix("/32") for e in acl["entries"]
                if not e["egress"] and e["action"] == "deny" and e["cidr"].startswith("203.0.113.")}

    # ---- what is said and what holds ---------------------------------------------------------

    def say_something(self, nodes):
        node, address = random.choice(nodes), f"203.0.113.{random.randrange(1, 13)}"
        now = time.time()
        if random.random() < 0.35:
            if not node.call("unblock", address, "--for", "2h"):
                return  # it was not blocked there
            taken, end = True, 0
        else:
            seconds = 25 if random.random() < 0.3 else 3600
            taken = node.call("block", address, "--for", f"{seconds}s")
            end = now + seconds
        if taken:
            self.said[address] = end
            self.unsure.discard(address)
            self.commands += 1
        else:
            self.unsure.add(address)

    def wanted(self):
        """\\return addresses that are to be blocked, and those of which it cannot be told now"""
        now = time.time()
        ending = {a for a, end in self.said.items() if end and abs(end - now) < 4}
        return {a for a, end in self.said.items() if end > now + 4}, ending | self.unsure

    def disagreement(self):
        wanted, unsure = self.wanted()
        for node in self.nodes:
            if node.process.poll() is not None:
                return f"node {node.i} has ended"
            if not node.fleet().get("together"):
                return f"node {node.i} is alone: {node.fleet()}"
            have = node.blocked()
            if have - unsure != wanted - unsure:
                return f"node {node.i} blocks {sorted(have)}, not {sorted(wanted)}"
        leaders = [n.i for n in self.nodes if n.fleet().get("leads")]
        if len(leaders) != 1:
            return f"leaders: {leaders}"
        have = self.denied()
        if have - unsure != wanted - unsure:
            return f"the ACL denies {sorted(have)}, not {sorted(wanted)}"
        return None

    def leader(self):
        for node in self.nodes:
            if node.fleet().get("leads"):
                return node
        return random.choice(self.nodes)

    # ---- misfortune --------------------------------------------------------------------------

    def live(self, nodes, steps):
        for _ in range(2 * steps):
            self.say_something(nodes)

    def others(self, node):
        return [n for n in self.nodes if n is not node]

    def kill_leader(self):
        node = self.leader()
        node.signal(signal.SIGKILL)
        self.live(self.others(node), 3)
        node.start()

    def pause_leader(self):
        node = self.leader()
        node.signal(signal.SIGSTOP)
        self.live(self.others(node), 2)
        time.sleep(random.uniform(1, 9))
        self.live(self.others(node), 1)
        node.signal(signal.SIGCONT)

    def pause_node(self):
        node = random.choice(self.nodes)
        node.signal(signal.SIGSTOP)
        self.live(self.others(node), 2)
        time.sleep(random.uniform(0, 3))
        node.signal(signal.SIGCONT)

    def kill_engine(self):
        self.redis.kill()
        self.redis.wait()
        self.live(self.nodes, 3)
        self.start_engine()

    def pause_engine(self):
        self.redis.send_signal(signal.SIGSTOP)
        self.live(self.nodes, 2)
        time.sleep(random.uniform(1, 5))
        self.redis.send_signal(signal.SIGCONT)

    def cut_leader(self):
        node = self.leader()
        node.proxy.sever()
        self.live(self.nodes, 3)
        time.sleep(random.uniform(0, 6))

    def cut_many(self):
        for node in random.sample(self.nodes, len(self.nodes) - 1):
            node.proxy.sever()
        self.live(self.nodes, 3)

    def delay(self):
        for node in self.nodes:
            node.proxy.delay = random.choice([0, 0.05, 0.3, 1.5])
        self.live(self.nodes, 3)

    def duplicate(self):
        for node in self.nodes:
            node.proxy.twice = 0.5
        self.live(self.nodes, 4)
        time.sleep(3)

    def kill_node(self):
        node = random.choice(self.nodes)
        self.live([node], 2)
        node.signal(signal.SIGKILL)
        node.start()

    def run(self):
        kinds = [self.kill_leader, self.pause_leader, self.kill_engine, self.cut_leader,
                 self.duplicate, self.delay, self.pause_node, self.cut_many, self.pause_engine,
                 self.kill_node]
        for node in self.nodes:
            node.start()
        self.settle("the start")
        worst = 0.0
        for r in range(self.rounds):
            kind = kinds[r % len(kinds)]
            kind()
            for node in self.nodes:
                node.proxy.heal()
            took = self.settle(f"round {r} ({kind.__name__})")
            worst = max(worst, took)
            print(f"round {r} {kind.__name__}: agreed after {took:.1f} s", flush=True)
        duplicates = sum(node.proxy.duplicates for node in self.nodes)
        print(f"{self.rounds} rounds, {self.commands} commands by hand, {duplicates} commands sent "
              f"twice, {self.writes} writes to the ACLs, {self.changes} changes of the writer, "
              f"agreement after {worst:.1f} s at most", flush=True)

    def settle(self, what):
        begin = time.time()
        why = "?"
        while time.time() < begin + HEAL_S:
            wrong = self.check_writers()
            if wrong:
                sys.exit(f"{what}: {wrong}")
            why = self.disagreement()
            if not why:
                return time.time() - begin
            time.sleep(0.3)
        sys.exit(f"{what}: no agreement after {HEAL_S} s: {why}")

    def end(self):
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.signal(signal.SIGCONT)
                node.signal(signal.SIGKILL)
        self.redis.send_signal(signal.SIGCONT)
        self.redis.kill()
        self.redis.wait()


chaos = Chaos()
signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
try:
    chaos.run()
finally:
    chaos.end()
