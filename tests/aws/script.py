# SPDX-License-Identifier: BSD-2-Clause
"""What is to go wrong, and when: the script that a test sets.

A script is a JSON object; each key is optional.

    quota            rules per direction and family of an ACL, the default deny among them (20)
    acl_quota        network ACLs per VPC (200)
    stale_reads      the next N DescribeNetworkAcls after a change show what was before it (0)
    stale_seconds    DescribeNetworkAcls show the state of so many seconds ago (0)
    page_size        at most so many items in a page, asked for or not (0: no limit)
    buckets          true: EC2's token buckets, per operation: Describe* 100, 20 a second; the
                     others 50, 5 a second. Or {"describe": [100, 20], "write": [50, 5]}
    deny             operations that the caller may not do: ["CreateNetworkAclEntry", "sns:*"]
    clock_offset     seconds that the service's clock is ahead of ours (0): for Date, for the check
                     of signatures, for expiries
    sts_lifetime     seconds that keys of AssumeRole* live, whatever is asked (null)
    delay            seconds that every call takes longer (0)
    faults           a list of faults, below

A fault names calls and what happens to them:

    operation        "CreateNetworkAclEntry", "ec2:*", "*", "writes" (what changes anything),
                     "ec2:writes", or a list of these; "*" if it is left out
    call             the how manieth of the calls named, from 1, counted since the script was set;
                     a number, a list of numbers, or ["from", 3]. Left out: all of them
    after_s, until_s only in this span after the script was set
    do               error      "error": code or alias, "message", "status"
                     html       an HTML page, "status" (503)
                     empty      no body, "status" (500)
                     malformed  the right answer with its end missing, as if it were whole
                     cut        the connection ends: "where": "before" any answer, in the "middle"
                                of it, or by "reset" (RST)
                     delay      "seconds", then the right answer
                     hold       no answer until POST /_standin/release, or until the caller goes
                     kill       "pid" gets "signal" (9); then as hold
    effect           is the call carried out all the same? false for error, html, empty, cut before
                     and reset, hold and kill; true for the others. "after the effect" is true

Aliases of error codes are @throttled, @expired, @denied, @internal, @unavailable, @skew,
@signature and @key: each service has its own word for them.
"""

import threading
import time

import calls

DEFAULTS = {
    "quota": 20,
    "acl_quota": 200,
    "stale_reads": 0,
    "stale_seconds": 0,
    "page_size": 0,
    "buckets": None,
    "deny": [],
    "clock_offset": 0,
    "sts_lifetime": None,
    "delay": 0,
    "faults": [],
}
BUCKETS = {"describe": [100, 20], "write": [50, 5]}
FAULT_KEYS = {
    "operation", "call", "after_s", "until_s", "do", "error", "message", "status", "where",
    "seconds", "pid", "signal", "effect",
}  # fmt: skip
WITH_EFFECT = {"malformed", "delay"}
KINDS = {"error", "html", "empty", "malformed", "cut", "delay", "hold", "kill"}


class BadScript(ValueError):
    """The script says something that is not understood."""


def names(pattern, call):
    """Does a pattern like "ec2:writes" name this call?"""
    service, colon, operation = pattern.rpartition(":")
    if colon and service != call.service:
        return False
    return operation == "*" or operation == call.operation or (operation == "writes" and call.writes)


class Fault:
    """One of them, with its count."""

    def __init__(self, text):
        unknown = set(text) - FAULT_KEYS
        if unknown or text.get("do") not in KINDS:
            raise BadScript(f"fault {text}: 'do' is none of {sorted(KINDS)}, or unknown: {unknown}")
        self.text = text
        self.kind = text["do"]
        operation = text.get("operation", "*")
        self.patterns = [operation] if isinstance(operation, str) else operation
        self.where = text.get("where", "before")
        middle = self.kind == "cut" and self.where == "middle"
        self.effect = text.get("effect", middle or self.kind in WITH_EFFECT)
        self.seen = 0
        self.fired = 0

    def takes(self, call, age_s):
        """Count the call if it is one of those named. Does it happen to this one?"""
        if not any(names(p, call) for p in self.patterns):
            return False
        if not self.text.get("after_s", 0) <= age_s < self.text.get("until_s", float("inf")):
            return False
        self.seen += 1
        which = self.text.get("call")
        if which is None:
            return True
        if isinstance(which, list) and which and which[0] == "from":
            return self.seen >= which[1]
        return self.seen in (which if isinstance(which, list) else [which])


class Buckets:
    """Token buckets, one for each operation of EC2."""

    def __init__(self, sizes):
        self.sizes = sizes
        self.levels = {}  # operation -> (tokens, when)

    def take(self, call, now_s):
        """Is there a token left?"""
        size, refill = self.sizes["describe" if call.operation.startswith("Describe") else "write"]
        tokens, then_s = self.levels.get(call.operation, (size, now_s))
        tokens = min(size, tokens + (now_s - then_s) * refill)
        enough = tokens >= 1
        self.levels[call.operation] = (tokens - 1 if enough else tokens, now_s)
        return enough


class Script:
    """The script in force."""

    def __init__(self):
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.set({})

    def set(self, text):
        """Replace it; all counts begin anew. BadScript changes nothing."""
        unknown = set(text) - set(DEFAULTS)
        if unknown:
            raise BadScript(f"unknown: {sorted(unknown)}; known: {sorted(DEFAULTS)}")
        faults = [Fault(f) for f in text.get("faults", [])]
        with self.lock:
            self.settings = {**DEFAULTS, **text}
            self.faults = faults
            sizes = self.settings["buckets"]
            self.buckets = Buckets({**BUCKETS, **(sizes if isinstance(sizes, dict) else {})})
            self.since = time.monotonic()
            self.released.set()  # who is held goes on
            self.released = threading.Event()

    def change(self, text):
        """Replace the keys that are named. Faults that stay begin to count anew."""
        self.set({**{k: v for k, v in self.settings.items() if v != DEFAULTS[k]}, **text})

    def fault(self, call):
        """The fault that happens to this call, or None. Every fault counts it."""
        with self.lock:
            age_s = time.monotonic() - self.since
            taken = [f for f in self.faults if f.takes(call, age_s)]
            if taken:
                taken[0].fired += 1
            return taken[0] if taken else None

    def is_throttled(self, call):
        """Is the bucket of the operation empty?"""
        if not self.settings["buckets"] or call.service != "ec2":
            return False
        with self.lock:
            return not self.buckets.take(call, time.monotonic())

    def is_denied(self, call):
        """Is the operation one that the caller has no permission for?"""
        return any(names(p, call) for p in self.settings["deny"])

    def counts(self):
        """How often each fault has seen a call that it names, and struck."""
        with self.lock:
            return [{"fault": f.text, "seen": f.seen, "fired": f.fired} for f in self.faults]


def fault_answer(fault, call, right):
    """What is sent for the kinds that send something. `right` is None without effect."""
    text = fault.text
    if fault.kind == "error":
        code = calls.error_code(call, text.get("error", "@internal"))
        message = text.get("message", "This error is from the test's script")
        return calls.error(call, code, message, text.get("status"))
    if fault.kind == "html":
        body = b"<html><head><title>Error</title></head><body><h1>Service down<br></h1></body></html>\n"
        return calls.Answer(text.get("status", 503), body, [("Content-Type", "text/html")], "html")
    if fault.kind == "empty":
        return calls.Answer(text.get("status", 500), b"", [], "empty")
    if fault.kind == "malformed":
        return calls.Answer(right.status, right.body[: len(right.body) * 2 // 3], right.headers, "malformed")
    return right
