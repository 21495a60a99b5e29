# SPDX-License-Identifier: BSD-2-Clause
"""`levee nacl plan`, `apply` and `status` against the stand-in: what they do, and what they say."""

import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../aws"))

import drive  # noqa: E402

standin = drive.Standin()
levee = drive.Levee(sys.argv[1])
tap = drive.Tap()
os.environ["AWS_MAX_ATTEMPTS"] = "1"

ALL = [{"number": 100, "cidr": "0.0.0.0/0"}, {"number": 100, "cidr": "0.0.0.0/0", "egress": True}]
# One of each kind that a rule can be.
KINDS = ALL + [
    {"number": 20, "cidr": "192.0.2.0/24", "protocol": 6, "ports": [22, 22], "action": "deny"},
    {"number": 120, "cidr": "192.0.2.0/24", "protocol": 17, "ports": [0, 65535]},
    {"number": 130, "cidr": "192.0.2.0/24", "protocol": 1, "icmp": [8, -1]},
    {"number": 140, "cidr": "192.0.2.0/24", "protocol": 50},
    {"number": 150, "cidr": "10.9.0.0/16", "egress": True, "action": "deny"},
]


def hosts(n, first=1):
    """So many sources."""
    return [f"198.51.100.{i}/32" for i in range(first, first + n)]


def fresh(world, **keys):
    """A configuration for a new world, on a machine that has never written."""
    if os.path.exists(levee.journal()):
        os.unlink(levee.journal())
    levee.configure(world, **keys)
    standin.clear_log()


def again(**keys):
    """The same account with a new pair."""
    standin.script()
    world = standin.ask("POST", "pair")
    fresh(world, **keys)
    return world


def writes():
    """Calls that changed something."""
    return [c["operation"] for c in standin.get("log?writes=1&effect=1")]


def applied(sources, *more):
    """Block them, and write."""
    levee.block(sources)
    standin.clear_log()
    return levee.run("apply", *more)


def good(result, world, sources, action="deny"):
    """Exit code 0, and in force on every subnet."""
    if result.returncode:
        return f"exit code {result.returncode}: {result.stderr}"
    return drive.is_in_force(standin, world, sources, action)


def check(bad, name, result=None):
    """A text that is not empty is what is wrong."""
    tap.check(not bad, name, bad, *([result.stdout, result.stderr] if result else []))


def violations():
    """What was wrong at any moment."""
    return "\n".join(standin.get("check")["violations"])


# ---- what it does ------------------------------------------------------------------------------


def economy(world):
    """API calls cost: as few as possible."""
    result = applied(hosts(5))
    check(good(result, world, hosts(5)) or violations(), "subnets on two ACLs are both protected", result)
    result = applied(hosts(5))
    tap.check(result.returncode == 0 and not writes(), "nothing new: no call writes", writes())
    result = applied(hosts(6))
    wrong = good(result, world, hosts(6))
    tap.check(not wrong and writes() == ["CreateNetworkAclEntry"], "one source more: one call", wrong, writes())
    result = applied(hosts(5, 2))
    wrong = good(result, world, hosts(5, 2))
    tap.check(not wrong and writes() == ["DeleteNetworkAclEntry"], "one source fewer: one call", wrong, writes())
    result = applied(hosts(4, 2) + hosts(1, 77))
    tap.check(
        result.returncode == 0 and writes() == ["ReplaceNetworkAclEntry"],
        "one source for another: one call",
        result.stderr,
        writes(),
    )


def plan_is_what_apply_does(world):
    """The plan lists the very calls that are made then."""
    levee.block(hosts(3) + ["203.0.113.0/24", "2001:db8:1::/64"])
    before = levee.run("plan", "--json")
    planned = [s["operation"] for s in json.loads(before.stdout)["steps"]]
    tap.check(before.returncode == 0 and not writes(), "a plan writes nothing", writes())
    standin.clear_log()
    result = levee.run("apply", "--json")
    tap.check(planned == writes() and len(planned) > 3, "apply makes the calls of the plan", planned, writes())
    done = json.loads(result.stdout)
    tap.check(
        done["converged"] and done["writes"] == len(planned) and done["in_force"] in (world["blue"], world["green"]),
        "and says so as JSON",
        result.stdout,
    )
    status = levee.run("status", "--json", "--check")
    held = json.loads(status.stdout)
    tap.check(
        status.returncode == 0 and held["converged"] and all(s["has"] == 5 for s in held["subnets"]),
        "status reads all of it back",
        status.stdout,
    )
    levee.block(hosts(2))
    status = levee.run("status", "--check")
    tap.check(
        status.returncode == 1 and "what AWS holds is not what is wanted" in status.stdout,
        "status --check tells when it is not what is wanted",
        status.stdout,
    )


def budget(world):
    """The highest Z-scores get the rules that there are."""
    result = applied(hosts(25))
    check(good(result, world, hosts(18)), "20 rules: 18 denies beside the operator's and the default", result)
    tap.check(
        "without a rule, blocked on the instances alone: 7" in result.stdout and "198.51.100.19/32" in result.stdout,
        "the others are named",
        result.stdout,
    )
    world = again()
    standin.script(quota=9)
    result = applied(hosts(12))
    check(good(result, world, hosts(7)) or violations(), "AWS grants 9: the 7 worst", result)
    tap.check("AWS grants it 9 rules" in result.stdout, "and says what AWS grants", result.stdout)


def kept_rules(world):
    """What is the operator's stays as it is."""
    operator = world["operator_acls"][0]
    before = standin.get(f"rules?acl={operator}").splitlines()
    result = applied(hosts(3))
    acl = next(iter(drive.on(standin, world).values()))
    after = [r for r in standin.get(f"rules?acl={acl}").splitlines() if "198.51.100." not in r]
    tap.check(
        result.returncode == 0 and after == before and standin.get(f"rules?acl={operator}").splitlines() == before,
        "rules of every kind are carried over, one inside the reserved numbers too",
        "\n".join(before),
        "\n".join(after),
        result.stderr,
    )
    applied([])
    acl = next(iter(drive.on(standin, world).values()))
    after = standin.get(f"rules?acl={acl}").splitlines()
    tap.check(after == before, "and stay when Levee's go", "\n".join(after))


def both_families():
    """IPv4 and IPv6 are counted apart."""
    world = standin.world(ipv6=True)
    fresh(world)
    six = [f"2001:db8:0:{i:x}::/64" for i in range(1, 21)]
    result = applied([s for pair in zip(hosts(20), six) for s in pair])
    check(good(result, world, hosts(18) + six[:18]) or violations(), "18 rules of each family", result)
    cidr = world["vpc_ipv6_cidrs"][0].split("/", maxsplit=1)[0]
    result = applied(["10.0.7.7/32", f"{cidr}/64"] + hosts(1))
    check(good(result, world, hosts(1)), "never a prefix of the VPC", result)


def managed():
    """Levee makes its own pair."""
    world = standin.world(pair="none")
    fresh(world, blue=None, green=None, manage="true")
    levee.block(hosts(2))
    plan = levee.run("plan")
    tap.check("CreateNetworkAcl levee-blue" in plan.stdout and not writes(), "a plan says what would be made", plan.stdout)
    standin.script(faults=[{"operation": "CreateNetworkAcl", "call": 2, "do": "cut", "effect": True}])
    first = levee.run("apply")
    standin.script()
    result = levee.run("apply")
    state = standin.get("state")["acls"]
    pair = {a["tags"]["levee:side"]: i for i, a in state.items() if "levee:side" in a["tags"]}
    tap.check(
        sum("levee:side" in a["tags"] for a in state.values()) == 2 and sorted(pair) == ["blue", "green"],
        "a pair is made, once, although an answer was lost",
        state,
        first.stderr,
        result.stderr,
    )
    check(good(result, {**world, **pair}, hosts(2)) or violations(), "and is in force", result)
    again_writes = (standin.clear_log(), levee.run("apply"), writes())[2]
    tap.check(not again_writes, "it is found again by its tags", again_writes)
    levee.configure(world, blue=None, green=None, manage="yes", subnets=None)
    status = levee.run("status", env={"AWS_REGION": ""})
    tap.check(
        status.returncode == 0 and "1 protected subnet," in status.stdout and world["subnets"][0] in status.stdout,
        "region and subnet are those of the instance where none is named",
        status.stdout,
        status.stderr,
    )


def late_reads(world):
    """Reads that show what was a second ago."""
    levee.configure(world, settle=2)
    applied(hosts(2))
    standin.script(stale_seconds=1)
    result = applied(hosts(4, 3))
    check(good(result, world, hosts(4, 3)) or violations(), "reads that lag behind are waited for", result)
    os.unlink(levee.journal())
    levee.configure(world, settle=2)
    result = applied(hosts(3, 3))
    wrong = good(result, world, hosts(3, 3))
    tap.check(
        not wrong and "another process may have written" in result.stdout,
        "without the journal nothing is written before reads are clear",
        wrong,
        result.stdout,
    )
    standin.script()


def throttled(world):
    """Token buckets that are nearly empty."""
    standin.script(buckets={"describe": [2, 2], "write": [2, 4]})
    result = applied(hosts(6))
    check(good(result, world, hosts(6)) or violations(), "throttled: slower, but whole", result)
    standin.script()


def audit(world):
    """Rules that allow."""
    levee.configure(world, action="audit")
    result = applied(hosts(3))
    check(good(result, world, hosts(3), "allow"), "audit: the rules allow", result)
    levee.configure(world, rest="[block]\nmode = audit")
    result = applied(hosts(4))
    check(good(result, world, hosts(4), "allow"), "[block] mode audit: no rule denies", result)
    levee.configure(world)
    result = applied(hosts(4))
    check(good(result, world, hosts(4)) or violations(), "and back", result)


def groups(world):
    """Sources under one mask, but for those beside an allowed one."""
    levee.configure(world, mask4=24, rest="[allow]\nprefixes = 203.0.113.7")
    result = applied(["198.51.100.1", "198.51.100.9", "203.0.113.6", "203.0.113.7"])
    check(good(result, world, ["198.51.100.0/24", "203.0.113.6/32"]), "grouped, never over the allow list", result)


def drift(world):
    """Somebody else's hands."""
    import boto3

    ec2 = boto3.client("ec2", region_name=world["region"])
    applied(hosts(3))
    acl = next(iter(drive.on(standin, world).values()))
    ec2.delete_network_acl_entry(NetworkAclId=acl, RuleNumber=2, Egress=False)
    result = applied(hosts(3))
    check(good(result, world, hosts(3)), "a rule that somebody deleted comes back", result)
    subnet = world["subnets"][0]
    at = standin.get("state")["subnets"][subnet]["association"]
    ec2.replace_network_acl_association(AssociationId=at, NetworkAclId=world["operator_acls"][0])
    result = applied(hosts(3))
    check(good(result, world, hosts(3)), "a subnet that somebody moved is protected again", result)
    ec2.create_network_acl_entry(
        NetworkAclId=acl, RuleNumber=200, Egress=False, RuleAction="deny", Protocol="6",
        CidrBlock="192.0.2.0/24", PortRange={"From": 25, "To": 25},
    )  # fmt: skip
    applied(hosts(2, 9))
    found = [standin.get(f"rules?acl={a}").count("in 200 deny 6 192.0.2.0/24") for a in drive.on(standin, world).values()]
    tap.check(all(found), "a rule that the operator adds is carried on", found)


# ---- what it says ------------------------------------------------------------------------------


def refused(name, expect, *, what="apply", env=None, keys=None, script=None, sources=None):
    """One line, with all of `expect` in it; exit code 1; nothing written."""
    levee.configure(WORLD, **(keys or {}))
    levee.block(sources or hosts(2))
    standin.script(**(script or {}))
    standin.clear_log()
    result = levee.run(what, env=env)
    lines = result.stderr.splitlines()
    tap.check(
        result.returncode == 1 and len(lines) == 1 and all(e in lines[0] for e in expect) and not writes(),
        f"{name}: {' '.join(expect)}",
        f"exit code {result.returncode}",
        result.stdout,
        result.stderr,
        writes(),
    )
    standin.script()


def bad_input():
    """Every mistake has a message that says what, which, and what to do."""
    other = "acl-0123456789abcdef9"
    refused("a wrong network ACL", [other, "[nacl] blue and green"], keys={"blue": other})
    refused(
        "a wrong subnet",
        ["subnet-0123456789abcdef9", "[nacl] subnets"],
        keys={"subnets": f"{WORLD['subnets'][0]} subnet-0123456789abcdef9"},
    )
    refused("a wrong VPC", ["vpc-0123456789abcdef9", "[nacl] vpc"], keys={"vpc": "vpc-0123456789abcdef9"})
    refused("the same ACL twice", ["blue and green are the same"], keys={"green": WORLD["blue"]})
    refused("one ACL alone", ["[nacl] green is empty", "manage"], keys={"green": None})
    refused("manage and ids", ["manage"], keys={"manage": "yes"})
    for operation in ("DescribeSubnets", "DescribeVpcs", "DescribeNetworkAcls", "CreateTags"):
        refused("no permission", [operation, "UnauthorizedOperation", "permission"], script={"deny": [operation]})
    refused("no region", ["NoRegion", "AWS_REGION"], env={"AWS_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_EC2_METADATA_DISABLED": "true"})
    refused("no credentials", ["NoCredentials"], env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"})
    refused("a wrong secret", ["levee aws whoami"], env={"AWS_SECRET_ACCESS_KEY": "wrong/secret/key"})
    old = standin.ask("POST", "keys", {"lifetime": 1})
    time.sleep(1.5)
    refused("expired credentials", ["expired", "credentials"], env=old)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{closed.getsockname()[1]}"
        refused("nobody there", ["ConnectFailed", url], env={"AWS_ENDPOINT_URL": url}, what="plan")
    ready = standin.get("ready")
    url = f"https://127.0.0.1:{ready['silent']}"
    refused("an endpoint that does not answer", ["Timeout", url], env={"AWS_ENDPOINT_URL": url}, what="status")
    for kind in sorted(k for k in ready if k.startswith("https_")):
        url = f"https://127.0.0.1:{ready[kind]}"
        refused(f"a certificate that does not verify ({kind})", ["CertificateNotVerified", url], env={"AWS_ENDPOINT_URL": url})
    refused("a line that is no prefix", ["blocks:1", "PREFIX"], sources=["198.51.100.300 5"])
    levee.configure(WORLD)
    result = levee.take(
        __import__("subprocess").run(
            [levee.program, "nacl", "plan", "--config", levee.config], capture_output=True, text=True, check=False
        )
    )
    tap.check(
        result.returncode == 1 and "state.db: No such file" in result.stderr and "--blocks" in result.stderr,
        "no state file: said, and what to do",
        result.stderr,
    )


def other_meanings():
    """Subnets on ACLs that do not mean the same."""
    closed = [{"number": 100, "cidr": "192.0.2.0/24"}, {"number": 100, "cidr": "0.0.0.0/0", "egress": True}]
    world = standin.world(acls=[ALL, closed])
    fresh(world)
    levee.block(hosts(2))
    result = levee.run("apply")
    tap.check(
        result.returncode == 1
        and not writes()
        and all(a in result.stderr for a in world["operator_acls"])
        and "rule 100" in result.stderr,
        "subnets on ACLs that say different things are left alone, both named",
        result.stderr,
        writes(),
    )
    open_more = [{"number": 90, "cidr": "192.0.2.0/24", "action": "deny"}] + ALL
    world = standin.world(acls=[ALL, open_more])
    fresh(world)
    result = levee.run("apply")
    tap.check(result.returncode == 1 and not writes() and "merge" in result.stderr, "merge is offered", result.stderr)
    fresh(world, merge="yes")
    result = levee.run("apply")
    have = [drive.ingress(standin, acl, range(1, 50)) for acl in drive.on(standin, world).values()]
    tap.check(
        result.returncode == 0 and all(sorted(h.values()) == [f"deny {s}" for s in hosts(2)] for h in have),
        "and does it",
        have,
        result.stderr,
    )


ECONOMY = standin.world(acls=[ALL, ALL + [{"number": 110, "cidr": "192.0.2.0/24", "egress": True}]])
fresh(ECONOMY)
economy(ECONOMY)
plan_is_what_apply_does(again())
budget(again())
late_reads(again())
throttled(again())
audit(again())
groups(again())
drift(again())
WORLD = again()
bad_input()
KEPT = standin.world(acls=[KINDS])
fresh(KEPT)
kept_rules(KEPT)
both_families()
managed()
other_meanings()
tap.finish()
