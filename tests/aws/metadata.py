# SPDX-License-Identifier: BSD-2-Clause
"""The instance metadata service, version 2 alone, and the endpoint for credentials of containers.

What a test can set, by POST /_standin/metadata:

    up             false: nobody answers (the connection is closed) (true)
    role           null: the instance has no role ("levee-instance")
    lifetime       seconds that the role's keys live (3600)
    renew          seconds before their end when new keys are given (300)
    status         null, or the status of every answer but those to PUT (null)
    delay          seconds that each answer takes longer (0)
    missing        paths below latest/meta-data/ that are answered with 404 ([])
"""

import json
import secrets
import threading
import time

from identity import ACCOUNT, iso8601

MAC = "02:42:ac:11:00:02"
DEFAULTS = {
    "up": True,
    "role": "levee-instance",
    "lifetime": 3600,
    "renew": 300,
    "status": None,
    "delay": 0,
    "missing": [],
}


class Metadata:
    """Both endpoints; `note` writes into the log of calls."""

    def __init__(self, identity, region, note):
        self.identity = identity
        self.region = region
        self.note = note
        self.lock = threading.Lock()
        self.world = {}
        self.container_token = "Bearer " + secrets.token_urlsafe(40)
        identity.remember(self.container_token)
        self.reset()

    def reset(self):
        """As if new; tokens given out are forgotten."""
        self.settings = dict(DEFAULTS)
        self.tokens = {}  # token -> when it ends, by the machine's clock
        self.keys = {}  # (role, session) -> Key

    def change(self, text):
        """Set some of the settings. New keys of the role at the next request."""
        unknown = set(text) - set(DEFAULTS)
        if unknown:
            raise ValueError(f"unknown: {sorted(unknown)}; known: {sorted(DEFAULTS)}")
        self.settings = {**self.settings, **text}
        self.keys = {}

    # ---- metadata --------------------------------------------------------------------------

    def answer(self, handler, _body):
        """For server.Server."""
        time.sleep(self.settings["delay"])
        if not self.settings["up"]:
            status = None
            handler.drop()
        else:
            status, body = self._answer(handler)
            handler.send(status, body.encode(), [("Content-Type", "text/plain")] + self._ttl(handler))
        self.note("imds", f"{handler.command} {handler.path}", status)

    def _ttl(self, handler):
        ttl = handler.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        return [("X-aws-ec2-metadata-token-ttl-seconds", ttl)] if ttl else []

    def _answer(self, handler):
        if handler.path == "/latest/api/token":
            return self._token(handler)
        if self.settings["status"]:
            return self.settings["status"], ""
        ends_s = self.tokens.get(handler.headers.get("X-aws-ec2-metadata-token"), 0)
        if ends_s < time.monotonic():
            return 401, "Unauthorized"
        if handler.command != "GET":
            return 405, ""
        path = handler.path.rstrip("/")
        if path.removeprefix("/latest/meta-data/") in self.settings["missing"]:
            return 404, ""
        body = self._items().get(path)
        if body is None and path.startswith("/latest/meta-data/iam/security-credentials"):
            body = self._role(path.split("/")[5:])
        return (404, "") if body is None else (200, body)

    def _token(self, handler):
        if handler.command != "PUT":
            return 405, ""
        if handler.headers.get("X-Forwarded-For"):
            return 403, ""
        ttl = handler.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
            return 400, ""
        token = "AQAE" + secrets.token_urlsafe(38) + "=="
        self.identity.remember(token)
        with self.lock:
            self.tokens[token] = time.monotonic() + int(ttl)
        return 200, token

    def _items(self):
        world = self.world
        vpc = f"/latest/meta-data/network/interfaces/macs/{MAC}/"
        subnet = (world.get("subnets") or ["subnet-00000000000000000"])[0]
        identity = {
            "accountId": ACCOUNT,
            "availabilityZone": self.region + "a",
            "instanceId": world.get("instance_id", "i-00000000000000000"),
            "privateIp": "10.0.0.10",
            "region": self.region,
        }
        return {
            "/latest/meta-data/placement/region": self.region,
            "/latest/meta-data/placement/availability-zone": self.region + "a",
            "/latest/meta-data/instance-id": identity["instanceId"],
            "/latest/meta-data/mac": MAC,
            "/latest/meta-data/local-ipv4": identity["privateIp"],
            "/latest/meta-data/services/partition": "aws",
            "/latest/meta-data/services/domain": "amazonaws.com",
            "/latest/meta-data/network/interfaces/macs": MAC + "/",
            vpc + "vpc-id": world.get("vpc", "vpc-00000000000000000"),
            vpc + "subnet-id": subnet,
            vpc + "vpc-ipv4-cidr-block": "10.0.0.0/16",
            vpc + "vpc-ipv4-cidr-blocks": "\n".join(world.get("vpc_cidrs", ["10.0.0.0/16"])),
            vpc + "subnet-ipv4-cidr-block": "10.0.0.0/24",
            vpc + "interface-id": "eni-0123456789abcdef0",
            **(
                {vpc + "vpc-ipv6-cidr-blocks": "\n".join(world["vpc_ipv6_cidrs"])}
                if world.get("vpc_ipv6_cidrs")
                else {}
            ),
            "/latest/dynamic/instance-identity/document": json.dumps(identity, indent=2),
        }

    def _role(self, rest):
        role = self.settings["role"]
        if not role or rest not in ([], [role]):
            return None
        if not rest:
            return role
        key = self._key(role, self.world.get("instance_id", "i-00000000000000000"))
        return json.dumps(
            {
                "Code": "Success",
                "LastUpdated": iso8601(self.identity.now()),
                "Type": "AWS-HMAC",
                "AccessKeyId": key.access_key,
                "SecretAccessKey": key.secret_key,
                "Token": key.token,
                "Expiration": iso8601(key.expires_s),
            },
            indent=2,
        )

    def _key(self, role, session):
        with self.lock:
            key = self.keys.get((role, session))
            if not key or key.expires_s - self.identity.now() < self.settings["renew"]:
                key = self.identity.session(role, session, self.settings["lifetime"])
                self.keys[role, session] = key
            return key

    # ---- containers ------------------------------------------------------------------------

    def answer_container(self, handler, _body):
        """For server.Server: GET of any path, with the right Authorization."""
        time.sleep(self.settings["delay"])
        status, body = self.settings["status"] or 200, {}
        if not self.settings["up"]:
            handler.drop()
            status = None
        elif status == 200 and handler.headers.get("Authorization") != self.container_token:
            status, body = 401, {"code": "Unauthorized", "message": "wrong authorization token"}
        elif status == 200:
            key = self._key("levee-task", "0123456789abcdef")
            body = {
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/levee-task",
                "AccessKeyId": key.access_key,
                "SecretAccessKey": key.secret_key,
                "Token": key.token,
                "Expiration": iso8601(key.expires_s),
            }
        if status:
            text = json.dumps(body).encode()
            handler.send(status, text, [("Content-Type", "application/json")])
        self.note("container", f"{handler.command} {handler.path}", status)
