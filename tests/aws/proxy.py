# SPDX-License-Identifier: BSD-2-Clause
"""What stands between Levee and moto: it sees every call, and makes moto as strict as AWS.

The way of a call: take apart, verify the signature, log, script's faults, permission, dry run,
buckets, then the effect (network ACLs and STS here, all else by moto), journal, answer.
"""

import os
import threading
import time
import xml.etree.ElementTree as ElementTree

import acl
import calls
import identity
import script
import signature

UNSIGNED = {"AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}


class CallLog:
    """Every call, in the order in which they came."""

    def __init__(self):
        self.lock = threading.Lock()
        self.entries = []
        self.next = 1
        self.effects = 0

    def begin(self, **entry):
        """A new entry, to be completed by whoever began it."""
        with self.lock:
            entry = {"call": self.next, "time": time.time(), **entry}
            self.next += 1
            self.entries.append(entry)
            return entry

    def clear(self):
        """Forget; the numbers go on."""
        with self.lock:
            self.entries = []

    def take_effect(self, entry):
        """It is carried out now: `effect` is the how manieth of all that were. Calls are logged when
        they are read, and threads overtake each other afterwards."""
        with self.lock:
            self.effects += 1
            entry["effect"] = self.effects

    def select(self, wanted):
        """Entries that have what a query asks for: service, operation, verified, writes, since."""
        with self.lock:
            found = list(self.entries)
        for name, value in wanted.items():
            if name == "since":
                found = [e for e in found if e["call"] > int(value)]
            elif name in ("verified", "writes", "dry_run", "effect"):
                flag = value in ("1", "true")
                found = [e for e in found if bool(e.get(name)) == flag]
            else:
                found = [e for e in found if str(e.get(name)) == value]
        return found


class Proxy:
    """The stand-in for AWS."""

    def __init__(self, backend, region):
        self.backend = backend
        self.region = region
        self.script = script.Script()
        self.identity = identity.Identity(self.now)
        self.log = CallLog()
        self.journal = acl.Journal(backend)
        self.acls = acl.NetworkAcls(backend, self.journal)

    def clock_offset(self):
        """How far the service's clock is ahead [s]."""
        return self.script.settings["clock_offset"]

    def now(self):
        """The service's clock [s since the epoch]."""
        return time.time() + self.clock_offset()

    # ---- one call --------------------------------------------------------------------------

    def answer(self, handler, body):
        """For server.Server."""
        call = calls.parse(handler.command, handler.path, handler.headers.items(), body)
        entry = self.log.begin(
            service=call.service,
            operation=call.operation,
            params=call.parameters_for_log(),
            writes=call.writes,
            dry_run=call.dry_run,
            verified=False,
            effect=False,
            held=False,
            tls=bool(handler.server.tls),
            status=None,
            error=None,
        )
        try:
            key = self._verify(call)
            entry["verified"] = True
            entry["access_key"] = key.access_key if key else None
        except signature.Refused as refused:
            entry["refused"] = str(refused)
            self._send(handler, entry, calls.error(call, refused.code, str(refused)))
            return
        fault = self.script.fault(call)
        if fault:
            entry["fault"] = fault.text
        time.sleep(self.script.settings["delay"])
        self._carry_out(handler, call, key, entry, fault)

    def _verify(self, call):
        if call.operation in UNSIGNED and not call.header("Authorization"):
            return None
        return signature.verify(call, self.identity.find, self.region, self.now())

    def _carry_out(self, handler, call, key, entry, fault):
        if fault and fault.kind == "delay" and not fault.text.get("effect"):
            time.sleep(fault.text.get("seconds", 1))
        right = None
        if not fault or fault.effect or fault.kind == "delay":
            right = self._effect(call, key, entry)
        if not fault:
            self._send(handler, entry, right)
        elif fault.kind == "cut":
            self._cut(handler, entry, fault, right)
        elif fault.kind in ("hold", "kill"):
            self._hold(handler, call, key, entry, fault, right)
        else:
            if fault.kind == "delay" and fault.text.get("effect"):
                time.sleep(fault.text.get("seconds", 1))
            if fault.kind == "malformed" and right is None:
                right = calls.xml(call, "<return>true</return>")
            self._send(handler, entry, script.fault_answer(fault, call, right))

    def _send(self, handler, entry, answer, cut=None):
        entry["status"], entry["error"] = answer.status, answer.error
        entry["seconds"] = round(time.time() - entry["time"], 4)
        if not any(name.lower().endswith("requestid") for name, _ in answer.headers):
            answer.headers.append(("x-amzn-RequestId", f"stand-in-{entry['call']}"))
        handler.send(answer.status, answer.body, answer.headers, cut)

    def _cut(self, handler, entry, fault, right):
        entry["error"] = f"cut: {fault.where}"
        if fault.where == "middle":
            self._send(handler, entry, right, cut="middle")
        else:
            handler.drop(reset=fault.where == "reset")

    def _hold(self, handler, call, key, entry, fault, right):
        released = self.script.released
        entry["held"] = True
        if fault.kind == "kill":
            os.kill(int(fault.text["pid"]), fault.text.get("signal", 9))
        while not released.wait(0.02):
            if handler.is_peer_gone():
                entry["error"] = "the caller went"
                entry["held"] = False
                handler.close_connection = True
                return
        entry["held"] = False
        self._send(handler, entry, right or self._effect(call, key, entry))

    # ---- the effect ------------------------------------------------------------------------

    def _effect(self, call, key, entry):
        settings = self.script.settings
        if self.script.is_throttled(call):
            return calls.error(call, "@throttled", "Request limit exceeded.")
        if self.script.is_denied(call):
            return calls.error(
                call, "@denied", f"You are not authorized to perform: {call.service}:{call.operation}"
            )
        if call.dry_run:
            return calls.error(
                call, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."
            )
        if call.service == "sts":
            self.identity.lifetime_s = settings["sts_lifetime"]
            return self.identity.answer(call, key) or self.backend.forward(call)
        with self.journal.lock:
            answer = self._ask(call, settings)
            if call.operation in acl.CHANGES_ACLS:
                self.journal.note(entry["call"], call.operation, settings["stale_reads"])
            if answer.status < 300:
                self.log.take_effect(entry)
        return answer

    def _ask(self, call, settings):
        if call.service == "ec2" and call.operation in acl.OPERATIONS:
            return self.acls.answer(call, settings)
        answer = self.backend.forward(call)
        if answer.status >= 400:
            answer.error = _error_of(answer)
        elif call.service == "ec2" and call.operation.startswith("Describe"):
            return _paged(call, answer, settings)
        return answer


def _error_of(answer):
    try:
        root = ElementTree.fromstring(answer.body)
        return next((e.text for e in root.iter() if e.tag.rpartition("}")[2] == "Code"), None)
    except ElementTree.ParseError:
        return dict(answer.headers).get("x-amzn-ErrorType") or str(answer.status)


def _paged(call, answer, settings):
    """Cut moto's list, which is always whole, into pages."""
    if not settings["page_size"] and not {"MaxResults", "NextToken"} & set(call.params):
        return answer
    root = ElementTree.fromstring(answer.body)
    lists = [e for e in root if e.tag.endswith("Set")]
    if len(lists) != 1:
        return answer
    namespace = root.tag[1:].partition("}")[0]
    ElementTree.register_namespace("", namespace)
    try:
        page, token = acl.cut_page(call, list(lists[0]), settings)
    except acl.Wrong as e:
        return calls.error(call, e.code, str(e))
    for item in list(lists[0]):
        if item not in page:
            lists[0].remove(item)
    if token:
        ElementTree.SubElement(root, f"{{{namespace}}}nextToken").text = token
    answer.body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return answer
