# SPDX-License-Identifier: BSD-2-Clause
"""Who may sign: keys with and without a token, and STS, which gives out more of them."""

import secrets
import string
import threading
import time
from dataclasses import dataclass

import calls

ACCOUNT = "123456789012"  # moto's
LETTERS = string.ascii_uppercase + "234567"


@dataclass
class Key:
    """Secrets; __repr__ is suppressed so that no traceback shows them."""

    access_key: str
    secret_key: str
    token: str = None
    expires_s: float = None
    arn: str = f"arn:aws:iam::{ACCOUNT}:user/levee-test"
    user_id: str = "AIDALEVEETESTUSER0000"

    def __repr__(self):
        return "Key(***)"

    def as_environment(self):
        """As the tools' environment variables have it."""
        env = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        if self.token:
            env["AWS_SESSION_TOKEN"] = self.token
        return env


def iso8601(when_s):
    """As STS and the metadata service write times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when_s))


class Identity:
    """All keys ever given out. Those that were revoked are unknown to verification."""

    def __init__(self, now):
        self.lock = threading.Lock()
        self.now = now  # the service's clock, which scripts can set wrong
        self.keys = {}
        self.given = []  # every secret that was ever handed out, for tests that look for leaks
        self.web_identity_token = "eyJ" + secrets.token_urlsafe(90)
        self.lifetime_s = None  # overrides what AssumeRole asks for
        self.remember(self.web_identity_token)
        self.user = self.issue()

    def remember(self, *texts):
        """Note secrets that a test will look for."""
        with self.lock:
            self.given.extend(texts)

    def issue(self, lifetime_s=None, arn=None, user_id=None):
        """A new key: with a token if it has a lifetime."""
        temporary = lifetime_s is not None
        name = "".join(secrets.choice(LETTERS) for _ in range(16))
        # Slashes and pluses are in real ones, too, and tempt those who do not encode.
        key = Key(
            ("ASIA" if temporary else "AKIA") + name,
            secrets.token_hex(9) + "/" + secrets.token_urlsafe(14)[:18] + "+k",
        )
        if temporary:
            key.token = "IQoJ" + secrets.token_urlsafe(300) + "//" + secrets.token_hex(4) + "=="
            key.expires_s = self.now() + lifetime_s
        if arn:
            key.arn, key.user_id = arn, user_id
        with self.lock:
            self.keys[key.access_key] = key
        self.remember(*(s for s in (key.access_key, key.secret_key, key.token) if s))
        return key

    def session(self, role, session, lifetime_s):
        """A key of an assumed role."""
        return self.issue(
            lifetime_s,
            f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}",
            f"AROALEVEETESTROLE0000:{session}",
        )

    def find(self, access_key):
        """The key, or None."""
        return self.keys.get(access_key)

    def revoke(self, access_key):
        """From now on it is unknown. None: all of them."""
        with self.lock:
            for name in [access_key] if access_key else list(self.keys):
                self.keys.pop(name, None)

    # ---- STS -------------------------------------------------------------------------------

    def answer(self, call, key):
        """An operation of STS, or None if it is not one of those that are made here."""
        if call.operation == "GetCallerIdentity":
            return calls.xml(
                call,
                f"<Arn>{key.arn}</Arn><UserId>{key.user_id}</UserId><Account>{ACCOUNT}</Account>",
            )
        if call.operation == "AssumeRole":
            return self._assume(call)
        if call.operation == "AssumeRoleWithWebIdentity":
            if call.params.get("WebIdentityToken") != self.web_identity_token:
                return calls.error(call, "InvalidIdentityToken", "No such token is known here")
            return self._assume(call)
        return None

    def _assume(self, call):
        role_arn = call.params.get("RoleArn", "")
        session = call.params.get("RoleSessionName", "")
        role = role_arn.partition(":role/")[2]
        if not role or not session:
            return calls.error(call, "ValidationError", "RoleArn or RoleSessionName is missing")
        if "external" in role and call.params.get("ExternalId") != "levee":
            return calls.error(
                call, "AccessDenied", f"not authorized to perform: sts:AssumeRole on {role_arn}"
            )
        lifetime_s = float(self.lifetime_s or call.params.get("DurationSeconds", 3600))
        key = self.session(role.rpartition("/")[2], session, lifetime_s)
        return calls.xml(
            call,
            f"<AssumedRoleUser><Arn>{key.arn}</Arn><AssumedRoleId>{key.user_id}</AssumedRoleId>"
            f"</AssumedRoleUser><Credentials><AccessKeyId>{key.access_key}</AccessKeyId>"
            f"<SecretAccessKey>{key.secret_key}</SecretAccessKey>"
            f"<SessionToken>{key.token}</SessionToken>"
            f"<Expiration>{iso8601(key.expires_s)}</Expiration></Credentials>",
        )
