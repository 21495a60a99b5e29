# SPDX-License-Identifier: BSD-2-Clause
"""/_standin/...: how a test sets the stand-in and asks what happened. JSON in, JSON out.

    GET    ready                  ports, region, keys in environment variables' form (for tests)
    POST   reset                  an empty account, an empty script, an empty log
    POST   world       {...}      make an account (world.py): its ids. Implies reset
    GET    world                  the ids again
    POST   pair                   another empty pair, the subnets back on the operators' ACLs: the ids
    POST   script      {...}      replace the script (script.py);  PATCH changes single keys
    GET    script                 settings, and how often each fault struck
    POST   release                let those go on that a fault holds
    GET    log?service=ec2&operation=...&writes=1&verified=0&since=12     the calls, as they came;
                                  `effect` is false, or the how manieth was carried out
    GET    count?...              how many these are
    DELETE log
    GET    state                  ACLs and associations now;  GET journal: at every instant
    GET    check                  violations of "at no moment": a subnet without an ACL, an ACL in
                                  force without the operator's rules
    GET    rules?acl=ID           the ACL's entries, one per line of text: "in 10 deny -1 1.2.3.4/32"
    POST   keys        {"lifetime": 900}     new keys for the environment: with a token if they have
                                             a lifetime.  POST revoke {"access_key": null}: all die
    GET    secrets                every secret that was given out, one per line of text
    POST   metadata    {...}      settings of the metadata service (metadata.py)
    GET    messages               what the SQS subscriber of the topic received since the last time
    GET    metrics | log_events?group= | dashboards
    PUT    allow_list             the body becomes the S3 object;  DELETE: there is none
"""

import json
import traceback
import urllib.parse

import acl
import world as worlds
from script import BadScript


class Control:
    """The endpoint."""

    def __init__(self, proxy, metadata, ready):
        self.proxy = proxy
        self.metadata = metadata
        self.ready = ready
        self.world = None

    def answer(self, handler, body):
        """For server.Server."""
        url = urllib.parse.urlsplit(handler.path)
        name = url.path.removeprefix("/_standin/").strip("/")
        query = dict(urllib.parse.parse_qsl(url.query))
        do = getattr(self, f"_{handler.command.lower()}_{name}", None)
        try:
            if not do:
                raise LookupError(f"there is no {handler.command} {name}; see tests/aws/control.py")
            status, value = 200, do(query, body)
        except (ValueError, LookupError, BadScript, TypeError) as e:
            status, value = 400, {"error": f"{type(e).__name__}: {e}"}
        except Exception as e:  # of boto3, mostly: the test should read it
            traceback.print_exc()
            status, value = 500, {"error": f"{type(e).__name__}: {e}"}
        kind = "application/json"
        if isinstance(value, str):
            text, kind = value, "text/plain"
        else:
            text = json.dumps(value) + "\n"
        handler.send(status, text.encode(), [("Content-Type", kind)])

    @staticmethod
    def _object(body):
        value = json.loads(body or b"{}")
        if not isinstance(value, dict):
            raise ValueError("a JSON object is wanted")
        return value

    def _made(self):
        if not self.world:
            raise LookupError("there is no world yet: POST /_standin/world")
        return self.world

    def _get_ready(self, _query, _body):
        return self.ready

    def _post_reset(self, _query, _body):
        self.world = None
        self.proxy.script.set({})
        with self.proxy.journal.lock:
            self.proxy.backend.reset()
            self.proxy.acls.reset()
            self.proxy.journal.reset()
        self.proxy.log.clear()
        self.metadata.world = {}
        self.metadata.reset()
        return {}

    def _post_world(self, query, body):
        wishes = self._object(body)
        self._post_reset(query, body)
        self.world = worlds.make(self.proxy.backend, wishes)
        self.proxy.journal.reset()
        self.metadata.world = self.world
        return self.world

    def _post_pair(self, _query, _body):
        worlds.new_pair(self.proxy.backend, self._made())
        self.proxy.journal.reset()
        return self.world

    def _get_world(self, _query, _body):
        return self._made()

    def _post_script(self, _query, body):
        self.proxy.script.set(self._object(body))
        return self.proxy.script.settings

    def _patch_script(self, _query, body):
        self.proxy.script.change(self._object(body))
        return self.proxy.script.settings

    def _get_script(self, _query, _body):
        return {"settings": self.proxy.script.settings, "faults": self.proxy.script.counts()}

    def _post_release(self, _query, _body):
        self.proxy.script.released.set()
        return {}

    def _get_log(self, query, _body):
        return self.proxy.log.select(query)

    def _get_count(self, query, _body):
        return len(self.proxy.log.select(query))

    def _delete_log(self, _query, _body):
        self.proxy.log.clear()
        return {}

    def _get_state(self, _query, _body):
        return acl.snapshot(self.proxy.backend.ec2())

    def _get_journal(self, _query, _body):
        return self.proxy.journal.states

    def _get_check(self, _query, _body):
        return self.proxy.journal.check(self._made())

    def _get_rules(self, query, _body):
        lines = []
        for e in acl.snapshot(self.proxy.backend.ec2())["acls"][query["acl"]]["entries"]:
            line = f"{'out' if e['egress'] else 'in'} {e['number']} {e['action']} {e['protocol']} {e['cidr']}"
            if e["ports"]:
                line += f" ports {e['ports'][0]}-{e['ports'][1]}"
            if e["icmp"]:
                line += f" icmp {e['icmp'][0]}/{e['icmp'][1]}"
            lines.append(line + "\n")
        return "".join(lines)

    def _post_keys(self, _query, body):
        wishes = self._object(body)
        return self.proxy.identity.issue(wishes.get("lifetime")).as_environment()

    def _post_revoke(self, _query, body):
        self.proxy.identity.revoke(self._object(body).get("access_key"))
        return {}

    def _get_secrets(self, _query, _body):
        return "".join(s + "\n" for s in self.proxy.identity.given)

    def _post_metadata(self, _query, body):
        self.metadata.change(self._object(body))
        return self.metadata.settings

    def _get_messages(self, _query, _body):
        return worlds.messages(self.proxy.backend.client("sqs"), self._made())

    def _get_metrics(self, _query, _body):
        return self.proxy.backend.metrics()

    def _get_log_events(self, query, _body):
        logs = self.proxy.backend.client("logs")
        return worlds.log_events(logs, self._made(), query.get("group"))

    def _get_dashboards(self, _query, _body):
        return worlds.dashboards(self.proxy.backend.client("cloudwatch"))

    def _put_allow_list(self, _query, body):
        worlds.put_allow_list(self.proxy.backend.client("s3"), self._made(), body)
        return {}

    def _delete_allow_list(self, _query, _body):
        worlds.put_allow_list(self.proxy.backend.client("s3"), self._made(), None)
        return {}
