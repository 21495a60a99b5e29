# SPDX-License-Identifier: BSD-2-Clause
"""A push that fails at its first, second, ... last call, in every way, and is killed there.

At no moment may a subnet be without an ACL, or on one without the operator's rules; none may be
switched to an ACL that is not whole; and the next run has to end where it should.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../aws"))

import drive  # noqa: E402

CODES = [
    "RequestLimitExceeded",
    "NetworkAclEntryLimitExceeded",
    "NetworkAclEntryAlreadyExists",
    "InvalidNetworkAclEntry.NotFound",
    "InvalidAssociationID.NotFound",
    "InvalidNetworkAclID.NotFound",
    "UnauthorizedOperation",
]
WRITES = {
    **{code: {"do": "error", "error": code} for code in CODES},
    "cut, not done": {"do": "cut", "where": "reset"},
}
KINDS = {
    "500, done": {"do": "error", "error": "@internal", "effect": True},
    "killed, not done": {"do": "kill"},
    "killed, done": {"do": "kill", "effect": True},
}
MOST_CALLS = 40
# Attempts of the client: each failure is to be seen, none to be smoothed over by it.
ENV = {"AWS_MAX_ATTEMPTS": "1"}

standin = drive.Standin()
levee = drive.Levee(sys.argv[1])
tap = drive.Tap()
os.environ.update(ENV)


def sets():
    """Sets of sources that differ from each other in several rules, and in their size."""
    k = 0
    while True:
        size = (3, 2, 4)[k % 3]
        yield [f"198.51.{100 + k // 50}.{k % 50 * 4 + i}/32" for i in range(size)]
        k += 1


def rules(state, acl):
    """What Levee says in an ACL, as one set."""
    return frozenset(
        e["cidr"]
        for e in state["acls"][acl]["entries"]
        if not e["egress"] and e["number"] < 100 and e["action"] == "deny"
    )


def wrong_switches(begin, world, wholes):
    """Switches of a subnet to an ACL whose rules are no whole set."""
    wrong = []
    states = standin.get("journal")
    for before, entry in zip(states[begin:], states[begin + 1 :]):
        for subnet in world["subnets"]:
            old = before["state"]["subnets"][subnet]["acl"]
            new = entry["state"]["subnets"][subnet]["acl"]
            if old != new and rules(entry["state"], new) not in wholes:
                wrong.append(f"{subnet} to {new} with {sorted(rules(entry['state'], new))}")
    return wrong


def fail_at(n, fault):
    """A run in which call n goes wrong. Did it?"""
    if fault["do"] == "kill":
        levee.run_with_pid(
            lambda pid: standin.script(
                faults=[{**fault, "call": n, "pid": pid}]
            ),
            "apply",
            "--wait",
            "20",
        )
    else:
        standin.script(faults=[{**fault, "call": n}])
        levee.run("apply", "--wait", "20")
    return standin.get("script")["faults"][0]["fired"] > 0


def one_case(world, n, fault, before, wanted):
    """\\return (did the fault strike, what was wrong)"""
    begin = len(standin.get("journal")) - 1
    levee.block(wanted)
    struck = fail_at(n, fault)
    standin.script()
    again = levee.run("apply", "--wait", "30")
    found = standin.get("check")["violations"]
    if again.returncode != 0:
        found.append(f"the next run: exit code {again.returncode}: {again.stderr}")
    missing = drive.is_in_force(standin, world, wanted)
    if missing:
        found.append(missing)
    wholes = [frozenset(before)] + [frozenset(wanted[: n + 1]) for n in range(len(wanted))]
    if fault.get("error") != "NetworkAclEntryLimitExceeded":  # then the worst are a whole, too
        wholes = wholes[:1] + wholes[-1:]
    return struck, found + wrong_switches(begin, world, wholes)


def forget():
    """A machine that has never written."""
    if os.path.exists(levee.journal()):
        os.unlink(levee.journal())


def fail_everywhere(name, fault, world, source, least):
    """Of a pair that is in use: from one set to another."""
    bad, n = [], 0
    before = next(source)
    levee.block(before)
    first = levee.run("apply")
    if first.returncode != 0:
        bad.append(f"the first run: {first.stderr}")
    for n in range(1, MOST_CALLS):
        wanted = next(source)
        struck, found = one_case(world, n, fault, before, wanted)
        bad += [f"call {n}: {f}" for f in found]
        before = wanted
        if not struck:
            break
    tap.check(not bad and n > least, f"{name}: at each of {n - 1} calls", *bad)


def fail_at_first_use(name, fault, source):
    """Of a new pair: two subnets stand on different ACLs of the operator, with the same meaning."""
    bad, n = [], 0
    for n in range(1, MOST_CALLS):
        forget()
        world = standin.ask("POST", "pair")
        levee.configure(world, vpc=world["vpc"])
        struck, found = one_case(world, n, fault, [], next(source))
        bad += [f"call {n}: {f}" for f in found]
        if not struck:
            break
    tap.check(not bad and n > 10, f"first use, {name}: at each of {n - 1} calls", *bad)


def main():
    """One account for all: what went before is to be no matter."""
    source = sets()
    rules_of_all = [{"number": 100, "cidr": "0.0.0.0/0"}, {"number": 100, "cidr": "0.0.0.0/0", "egress": True}]
    idle = {"number": 110, "cidr": "192.0.2.0/24", "protocol": 6, "ports": [443, 443]}
    world = standin.world(acls=[rules_of_all, rules_of_all + [idle]])
    levee.configure(world, vpc=world["vpc"])
    # VPC, ACLs, two rules or more, ACLs, two switches, ACLs.
    for name, fault in WRITES.items():
        fail_everywhere(name, {**fault, "operation": "ec2:writes"}, world, source, 4)
    for name, fault in KINDS.items():
        fail_everywhere(name, {**fault, "operation": "ec2:*"}, world, source, 8)
    fault = {**KINDS["killed, done"], "operation": "ec2:*"}
    fail_at_first_use("killed, done", fault, source)
    tap.finish()


main()
