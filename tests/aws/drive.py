# SPDX-License-Identifier: BSD-2-Clause
"""For tests in Python: the stand-in's control endpoint, and runs of `levee nacl` against it.

The stand-in is started by standin.sh, which the test's script sources; its environment has what
levee needs (standin_env), LEVEE, and STANDIN (the control socket). Standard library only.
"""

import http.client
import json
import os
import socket
import subprocess
import sys


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("standin", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Standin:
    """control.py has the list of names."""

    def __init__(self, path=None):
        self.path = path or os.environ["STANDIN"]

    def ask(self, method, name, body=None):
        """The answer: an object of JSON, or text."""
        connection = Connection(self.path)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection.request(method, f"/_standin/{name}", body)
        answer = connection.getresponse()
        text = answer.read().decode()
        kind = answer.getheader("Content-Type")
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{method} {name}: {answer.status} {text}")
        return json.loads(text) if kind == "application/json" else text

    def get(self, name):
        """GET."""
        return self.ask("GET", name)

    def script(self, **settings):
        """Replace the script; counts begin anew."""
        self.ask("POST", "script", settings)

    def world(self, **wishes):
        """A new account."""
        return self.ask("POST", "world", wishes)

    def clear_log(self):
        """Forget the calls."""
        self.ask("DELETE", "log")


class Tap:
    """Test Anything Protocol on standard output."""

    def __init__(self):
        self.n = 0

    def check(self, good, name, *details):
        """One line, with what is to be known if it is bad."""
        self.n += 1
        print(f"{'ok' if good else 'not ok'} {self.n} - {name}", flush=True)
        if not good:
            for detail in details:
                for line in str(detail).splitlines()[-30:]:
                    print(f"#   {line}")
        return good

    def finish(self):
        """The plan."""
        print(f"1..{self.n}")
        sys.exit(0)


class Levee:
    """Runs of the program; all output is kept for the search for secrets."""

    def __init__(self, folder):
        self.program = os.environ["LEVEE"]
        self.folder = folder
        self.config = os.path.join(folder, "levee.conf")
        self.blocks = os.path.join(folder, "blocks")
        self.output = os.path.join(folder, "output")

    def configure(self, world, **keys):
        """A configuration for a world; keys of [nacl] are added, or replaced, or left out (None)."""
        keys = {
            "subnets": " ".join(world["subnets"]),
            "blue": world["blue"],
            "green": world["green"],
            "settle": 1,
            **keys,
        }
        rest = keys.pop("rest", "")
        with open(self.config, "w", encoding="ascii") as f:
            f.write(f"[state]\nfile = {self.folder}/state.db\n{rest}\n[nacl]\n")
            for key, value in keys.items():
                if value is not None:
                    f.write(f"{key} = {value}\n")

    def block(self, sources):
        """What is blocked: prefixes, the worst first, or lines of the file's form."""
        with open(self.blocks, "w", encoding="ascii") as f:
            for i, source in enumerate(sources):
                f.write(source if " " in source else f"{source} {1000 - i} 50000")
                f.write("\n")

    def command(self, what, *more):
        """The arguments of `levee nacl WHAT`."""
        return [self.program, "nacl", what, "--config", self.config, "--blocks", self.blocks, *more]

    def take(self, result):
        """Keep what a run has written."""
        with open(self.output, "a", encoding="utf-8") as f:
            f.write(result.stdout + result.stderr)
        return result

    def run(self, what, *more, env=None, timeout=120):
        """Run it to its end."""
        return self.take(
            subprocess.run(
                self.command(what, *more),
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                env={**os.environ, **(env or {})},
            )
        )

    def run_with_pid(self, prepare, what, *more, timeout=120):
        """The same; prepare(pid) is called before the program begins."""
        with subprocess.Popen(
            ["sh", "-c", 'read -r _; exec "$@"', "sh", *self.command(what, *more)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            prepare(process.pid)
            out, err = process.communicate("\n", timeout=timeout)
        return self.take(subprocess.CompletedProcess(process.args, process.returncode, out, err))

    def journal(self):
        """The writes of the last minutes, as the file has them."""
        return os.path.join(self.folder, "state.db.nacl")


def ingress(standin, acl, numbers=range(1, 100)):
    """Levee's rules of an ACL: {number: "deny 1.2.3.4/32"}."""
    rules = {}
    for line in standin.get(f"rules?acl={acl}").splitlines():
        direction, number, action, protocol, cidr = line.split()[:5]
        if direction == "in" and int(number) in numbers and protocol == "-1":
            rules[int(number)] = f"{action} {cidr}"
    return rules


def on(standin, world):
    """The ACL of each protected subnet."""
    state = standin.get("state")["subnets"]
    return {subnet: state[subnet]["acl"] for subnet in world["subnets"]}


def is_in_force(standin, world, sources, action="deny"):
    """Every protected subnet is on blue or green with exactly these rules? A text says why not."""
    wanted = sorted(f"{action} {s}" for s in sources)
    for subnet, acl in on(standin, world).items():
        if acl not in (world["blue"], world["green"]):
            return f"{subnet} is on {acl}, neither blue nor green"
        have = sorted(ingress(standin, acl).values())
        if have != wanted:
            return f"{subnet} is on {acl} with {have}, wanted: {wanted}"
    return ""
