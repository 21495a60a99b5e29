# SPDX-License-Identifier: BSD-2-Clause
"""Network ACLs as EC2 has them. moto keeps them; what it lacks is here.

Quota and numbers of rules, canonical CIDRs, the default denies, errors, filters, pages, and reads
that lag behind writes. A state is a plain dict, made from moto's objects:

    {"acls": {id: {"vpc", "default", "tags", "entries": [{"number", "egress", "action", "protocol",
                   "cidr", "ports", "icmp"}, ...]}},
     "subnets": {id: {"acl", "association"}}}

The default denies (32767; for a VPC with IPv6 32768 as well) are in answers, not in states.
"""

import fnmatch
import ipaddress
import threading
import time
from xml.sax.saxutils import escape

import calls
from identity import ACCOUNT

NUMBER_MAX = 32766
OPERATIONS = {
    "DescribeNetworkAcls",
    "CreateNetworkAcl",
    "DeleteNetworkAcl",
    "CreateNetworkAclEntry",
    "ReplaceNetworkAclEntry",
    "DeleteNetworkAclEntry",
    "ReplaceNetworkAclAssociation",
}
CHANGES_ACLS = (OPERATIONS - {"DescribeNetworkAcls"}) | {
    "CreateSubnet",
    "DeleteSubnet",
    "CreateVpc",
    "CreateTags",
    "DeleteTags",
}
PROTOCOL_NAMES = {"all": "-1", "icmp": "1", "tcp": "6", "udp": "17"}


class Wrong(Exception):
    """An error of EC2: its code and its message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def canonical(cidr):
    """The CIDR as EC2 gives it back: host bits cleared, IPv6 in its shortest form."""
    try:
        if "/" not in cidr:
            raise ValueError("an address is no CIDR block")
        return str(ipaddress.ip_network(cidr, strict=False))
    except ValueError:
        raise Wrong(
            "InvalidParameterValue",
            f"Value ({cidr}) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
        ) from None


def snapshot(backend):
    """The state, now."""
    acls, subnets = {}, {}
    for acl in backend.network_acls.values():
        entries = [_entry(e) for e in acl.network_acl_entries if int(e.rule_number) <= NUMBER_MAX]
        entries.sort(key=lambda e: (e["egress"], e["number"]))
        acls[acl.id] = {
            "vpc": acl.vpc_id,
            "default": bool(acl.default),
            "tags": {t["key"]: t["value"] for t in acl.get_tags()},
            "entries": entries,
        }
        for association in acl.associations:
            subnets[association.subnet_id] = {"acl": acl.id, "association": association.id}
    return {"acls": acls, "subnets": subnets}


def _entry(e):
    return {
        "number": int(e.rule_number),
        "egress": str(e.egress).lower() == "true",
        "action": e.rule_action,
        "protocol": PROTOCOL_NAMES.get(str(e.protocol), str(e.protocol)),
        "cidr": canonical(e.cidr_block or e.ipv6_cidr_block),
        "ports": None
        if e.port_range_from is None
        else [int(e.port_range_from), int(e.port_range_to)],
        "icmp": None if e.icmp_type is None else [int(e.icmp_type), int(e.icmp_code)],
    }


# ---- requests ------------------------------------------------------------------------------


def _need(call, *names):
    for name in names:
        if call.params.get(name, "") == "":
            raise Wrong(
                "MissingParameter", f"The request must contain the parameter {name[0].lower() + name[1:]}"
            )


def _acl(state, acl_id):
    if acl_id not in state["acls"]:
        raise Wrong(
            "InvalidNetworkAclID.NotFound", f"The networkAcl ID '{acl_id}' does not exist"
        )
    return state["acls"][acl_id]


def _integer(call, name, low, high):
    text = call.params[name]
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise Wrong("InvalidParameterValue", f"Value ({text}) for parameter {name} is invalid.")
    return value


def _requested(call):
    """The entry that a request describes."""
    p = call.params
    _need(call, "NetworkAclId", "RuleNumber", "Protocol", "RuleAction")
    entry = {
        "number": _integer(call, "RuleNumber", 1, NUMBER_MAX),
        "egress": p.get("Egress", "false").lower() == "true",
        "action": p["RuleAction"],
        "protocol": PROTOCOL_NAMES.get(p["Protocol"].lower(), p["Protocol"]),
        "ports": None,
        "icmp": None,
    }
    if entry["action"] not in ("allow", "deny"):
        raise Wrong("InvalidParameterValue", f"Value ({p['RuleAction']}) for ruleAction is invalid.")
    if not entry["protocol"].lstrip("-").isdigit() or not -1 <= int(entry["protocol"]) <= 255:
        raise Wrong("InvalidParameterValue", f"Value ({p['Protocol']}) for protocol is invalid.")
    if bool(p.get("CidrBlock")) == bool(p.get("Ipv6CidrBlock")):
        raise Wrong("MissingParameter", "Exactly one of cidrBlock and ipv6CidrBlock is needed")
    entry["cidr"] = canonical(p.get("CidrBlock") or p["Ipv6CidrBlock"])
    if (":" in entry["cidr"]) != bool(p.get("Ipv6CidrBlock")):
        raise Wrong("InvalidParameterValue", f"{entry['cidr']} is of the other family")
    if entry["protocol"] in ("6", "17"):
        _need(call, "PortRange.From", "PortRange.To")
        entry["ports"] = [_integer(call, f"PortRange.{end}", 0, 65535) for end in ("From", "To")]
        if entry["ports"][0] > entry["ports"][1]:
            raise Wrong("InvalidParameterValue", "The port range ends before it begins")
    if entry["protocol"] == "1" or (entry["protocol"] == "58" and ":" in entry["cidr"]):
        _need(call, "Icmp.Type", "Icmp.Code")
        entry["icmp"] = [_integer(call, f"Icmp.{part}", -1, 255) for part in ("Type", "Code")]
    return entry


def _standing(acl, number, egress):
    return next(
        (e for e in acl["entries"] if e["number"] == number and e["egress"] == egress), None
    )


def _check_quota(acl, entry, quota):
    ipv6 = ":" in entry["cidr"]
    same = [
        e for e in acl["entries"] if e["egress"] == entry["egress"] and (":" in e["cidr"]) == ipv6
    ]
    # The default deny is one of them.
    if len(same) + 1 >= quota:
        raise Wrong(
            "NetworkAclEntryLimitExceeded", f"The maximum number of network acl entries ({quota}) has been reached."
        )


class NetworkAcls:
    """The operations; one at a time, under the lock of the journal."""

    def __init__(self, backend, journal):
        self.backend = backend
        self.journal = journal
        self.reset()

    def reset(self):
        """As if new."""
        self.tokens = {}  # ClientToken -> id, of CreateNetworkAcl

    def answer(self, call, settings):
        """An answer, for an operation of OPERATIONS. Wrong is turned into EC2's error."""
        try:
            return getattr(self, "_" + call.operation)(call, settings)
        except Wrong as e:
            return calls.error(call, e.code, str(e))

    def _now(self):
        return snapshot(self.backend.ec2())

    def _CreateNetworkAclEntry(self, call, settings):
        entry = _requested(call)
        acl = _acl(self._now(), call.params["NetworkAclId"])
        there = _standing(acl, entry["number"], entry["egress"])
        if there == entry:
            return calls.xml(call, "<return>true</return>")
        if there:
            raise Wrong(
                "NetworkAclEntryAlreadyExists",
                f"The network acl entry identified by {entry['number']} already exists.",
            )
        _check_quota(acl, entry, settings["quota"])
        return self._stored(call)

    def _ReplaceNetworkAclEntry(self, call, settings):
        entry = _requested(call)
        acl = _acl(self._now(), call.params["NetworkAclId"])
        there = _standing(acl, entry["number"], entry["egress"])
        if not there:
            raise Wrong("InvalidNetworkAclEntry.NotFound", _missing(entry["number"], call))
        if (":" in there["cidr"]) != (":" in entry["cidr"]):
            _check_quota(acl, entry, settings["quota"])
        return self._stored(call)

    def _DeleteNetworkAclEntry(self, call, _settings):
        _need(call, "NetworkAclId", "RuleNumber", "Egress")
        number = _integer(call, "RuleNumber", 1, NUMBER_MAX)
        acl = _acl(self._now(), call.params["NetworkAclId"])
        if not _standing(acl, number, call.params["Egress"].lower() == "true"):
            raise Wrong("InvalidNetworkAclEntry.NotFound", _missing(number, call))
        return self._stored(call)

    def _stored(self, call):
        answer = self.backend.forward(call)
        if answer.status != 200:
            return answer
        return calls.xml(call, "<return>true</return>")

    def _ReplaceNetworkAclAssociation(self, call, _settings):
        _need(call, "AssociationId", "NetworkAclId")
        state = self._now()
        association = call.params["AssociationId"]
        subnet = next(
            (s for s, on in state["subnets"].items() if on["association"] == association), None
        )
        if not subnet:
            raise Wrong(
                "InvalidAssociationID.NotFound",
                f"The association ID '{association}' does not exist",
            )
        wanted = _acl(state, call.params["NetworkAclId"])
        if wanted["vpc"] != state["acls"][state["subnets"][subnet]["acl"]]["vpc"]:
            raise Wrong(
                "InvalidParameterValue",
                f"{call.params['NetworkAclId']} and {subnet} belong to different networks",
            )
        answer = self.backend.forward(call)
        if answer.status != 200:
            return answer
        new = self._now()["subnets"][subnet]["association"]
        return calls.xml(call, f"<newAssociationId>{new}</newAssociationId>")

    def _CreateNetworkAcl(self, call, settings):
        _need(call, "VpcId")
        token = call.params.get("ClientToken")
        state = self._now()
        acl_id = self.tokens.get(token) if token else None
        if acl_id not in state["acls"]:
            of_vpc = [a for a in state["acls"].values() if a["vpc"] == call.params["VpcId"]]
            if len(of_vpc) >= settings["acl_quota"]:
                raise Wrong("NetworkAclLimitExceeded", "The maximum number of network acls has been reached.")
            answer = self.backend.forward(call)
            if answer.status != 200:
                return answer
            after = self._now()
            acl_id = next(iter(set(after["acls"]) - set(state["acls"])))
            state = after
            if token:
                self.tokens[token] = acl_id
        return calls.xml(call, f"<networkAcl>{self._render(acl_id, state)}</networkAcl>")

    def _DeleteNetworkAcl(self, call, _settings):
        _need(call, "NetworkAclId")
        acl = _acl(self._now(), call.params["NetworkAclId"])
        if acl["default"]:
            raise Wrong(
                "InvalidParameterValue", "The default network ACL of a VPC cannot be deleted"
            )
        return self._stored(call)  # moto refuses it while subnets are on it, in EC2's words

    # ---- reading ---------------------------------------------------------------------------

    def _DescribeNetworkAcls(self, call, settings):
        state = self.journal.state_for_read(settings)
        wanted = calls.listed(call, "NetworkAclId")
        for acl_id in wanted:
            _acl(state, acl_id)
        found = sorted(wanted or state["acls"])
        for name, values in calls.filters(call):
            found = [a for a in found if _matches(a, state, name, values)]
        page, token = cut_page(call, found, settings)
        items = "".join(f"<item>{self._render(acl_id, state)}</item>" for acl_id in page)
        more = f"<nextToken>{token}</nextToken>" if token else ""
        return calls.xml(call, f"<networkAclSet>{items}</networkAclSet>{more}")

    def _render(self, acl_id, state):
        acl = state["acls"][acl_id]
        entries = "".join(_entry_xml(e) for e in acl["entries"] + self._default_denies(acl["vpc"]))
        associations = "".join(
            f"<item><networkAclAssociationId>{on['association']}</networkAclAssociationId>"
            f"<networkAclId>{acl_id}</networkAclId><subnetId>{subnet}</subnetId></item>"
            for subnet, on in sorted(state["subnets"].items())
            if on["acl"] == acl_id
        )
        tags = "".join(
            f"<item><key>{escape(k)}</key><value>{escape(v)}</value></item>"
            for k, v in sorted(acl["tags"].items())
        )
        return (
            f"<networkAclId>{acl_id}</networkAclId><vpcId>{acl['vpc']}</vpcId>"
            f"<ownerId>{ACCOUNT}</ownerId><default>{str(acl['default']).lower()}</default>"
            f"<entrySet>{entries}</entrySet><associationSet>{associations}</associationSet>"
            f"<tagSet>{tags}</tagSet>"
        )

    def _default_denies(self, vpc_id):
        vpc = self.backend.ec2().vpcs.get(vpc_id)
        families = [(32767, "0.0.0.0/0")]
        if vpc and vpc.get_cidr_block_association_set(ipv6=True):
            families.append((32768, "::/0"))
        return [
            {
                "number": number,
                "egress": egress,
                "action": "deny",
                "protocol": "-1",
                "cidr": cidr,
                "ports": None,
                "icmp": None,
            }
            for egress in (True, False)
            for number, cidr in families
        ]


def _missing(number, call):
    side = "egress" if call.params.get("Egress", "").lower() == "true" else "ingress"
    return f"The {side} network acl entry identified by {number} does not exist."


def _entry_xml(e):
    text = (
        f"<ruleNumber>{e['number']}</ruleNumber><protocol>{e['protocol']}</protocol>"
        f"<ruleAction>{e['action']}</ruleAction><egress>{str(e['egress']).lower()}</egress>"
    )
    name = "ipv6CidrBlock" if ":" in e["cidr"] else "cidrBlock"
    text += f"<{name}>{e['cidr']}</{name}>"
    if e["icmp"]:
        text += f"<icmpTypeCode><code>{e['icmp'][1]}</code><type>{e['icmp'][0]}</type></icmpTypeCode>"
    if e["ports"]:
        text += f"<portRange><from>{e['ports'][0]}</from><to>{e['ports'][1]}</to></portRange>"
    return f"<item>{text}</item>"


def _matches(acl_id, state, name, patterns):
    acl = state["acls"][acl_id]
    on = {s: a for s, a in state["subnets"].items() if a["acl"] == acl_id}
    entries = acl["entries"]
    if name.startswith("tag:"):
        have = [acl["tags"][name[4:]]] if name[4:] in acl["tags"] else []
    else:
        values = {
            "association.association-id": lambda: [a["association"] for a in on.values()],
            "association.network-acl-id": lambda: [acl_id] if on else [],
            "association.subnet-id": lambda: list(on),
            "default": lambda: [str(acl["default"]).lower()],
            "entry.cidr": lambda: [e["cidr"] for e in entries if ":" not in e["cidr"]],
            "entry.ipv6-cidr": lambda: [e["cidr"] for e in entries if ":" in e["cidr"]],
            "entry.egress": lambda: [str(e["egress"]).lower() for e in entries],
            "entry.protocol": lambda: [e["protocol"] for e in entries],
            "entry.rule-action": lambda: [e["action"] for e in entries],
            "entry.rule-number": lambda: [str(e["number"]) for e in entries],
            "network-acl-id": lambda: [acl_id],
            "owner-id": lambda: [ACCOUNT],
            "tag-key": lambda: list(acl["tags"]),
            "vpc-id": lambda: [acl["vpc"]],
        }
        if name not in values:
            raise Wrong("InvalidParameterValue", f"The filter '{name}' is invalid")
        have = values[name]()
    return any(fnmatch.fnmatchcase(value, pattern) for value in have for pattern in patterns)


def cut_page(call, items, settings):
    """One page of a list, and the token of the next one or None."""
    size = settings["page_size"] or len(items) or 1
    if "MaxResults" in call.params:
        if calls.listed(call, "NetworkAclId"):
            raise Wrong(
                "InvalidParameterCombination",
                "The parameter NetworkAclIds cannot be used with the parameter MaxResults",
            )
        size = min(size, _integer(call, "MaxResults", 5, 1000))
    start = 0
    if "NextToken" in call.params:
        token = call.params["NextToken"]
        if not token.startswith("page-") or not token[5:].isdigit():
            raise Wrong("InvalidNextToken", f"The token '{token}' is invalid")
        start = int(token[5:])
    end = start + size
    return items[start:end], f"page-{end}" if end < len(items) else None


# ---- what was when -------------------------------------------------------------------------


class Journal:
    """Every state that the ACLs were ever in, and which call led there."""

    def __init__(self, backend):
        self.backend = backend
        self.lock = threading.RLock()
        self.reset()

    def reset(self):
        """Forget, and begin with what there is."""
        with self.lock:
            self.states = []  # of {"time", "call", "operation", "state"}
            self.stale_left = 0
            self.stale_state = None
            self.note(None, "start")

    def note(self, number, operation, stale_reads=0):
        """After a call: keep the state if it is another one."""
        with self.lock:
            state = snapshot(self.backend.ec2())
            if self.states and self.states[-1]["state"] == state:
                return
            if self.states and stale_reads and not self.stale_left:
                self.stale_state, self.stale_left = self.states[-1]["state"], stale_reads
            self.states.append(
                {"time": time.time(), "call": number, "operation": operation, "state": state}
            )

    def state_for_read(self, settings):
        """The state that a Describe sees: now's, or an older one if scripted."""
        with self.lock:
            if self.stale_left:
                self.stale_left -= 1
                return self.stale_state
            horizon = time.time() - settings["stale_seconds"]
            for entry in reversed(self.states):
                if entry["time"] <= horizon or settings["stale_seconds"] == 0:
                    return entry["state"]
            return self.states[0]["state"]

    def check(self, world):
        """What went wrong at any moment since the world was made, as texts."""
        found = []
        with self.lock:
            states = list(self.states)
        operator = {acl: _rules(acl, states[0]["state"]) for acl in states[0]["state"]["acls"]}
        first = {s: states[0]["state"]["subnets"].get(s, {}).get("acl") for s in world["subnets"]}
        switches = 0
        for before, entry in zip([None] + states, states):
            state = entry["state"]
            where = f"after call {entry['call']} ({entry['operation']})"
            for subnet in world["subnets"]:
                acl = state["subnets"].get(subnet, {}).get("acl")
                if acl not in state["acls"]:
                    found.append(f"{where}: {subnet} is on no network ACL")
                    continue
                if before and before["state"]["subnets"][subnet]["acl"] != acl:
                    switches += 1
                have = _rules(acl, state)
                missing = [r for r in operator[first[subnet]] if r not in have]
                if missing:
                    found.append(f"{where}: {acl}, on {subnet}, lacks the operator's {missing}")
                elif [r for r in have if r in operator[first[subnet]]] != operator[first[subnet]]:
                    found.append(f"{where}: {acl}, on {subnet}, has the operator's in another order")
        return {"violations": found, "states": len(states), "switches": switches}


def _rules(acl_id, state):
    """What an ACL says, without the numbers of its rules, in their order."""
    return [
        (e["egress"], e["action"], e["protocol"], e["cidr"], e["ports"], e["icmp"])
        for e in state["acls"][acl_id]["entries"]
    ]
