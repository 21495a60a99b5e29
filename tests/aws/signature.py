# SPDX-License-Identifier: BSD-2-Clause
"""Is a request signed as AWS wants it? The signature is recomputed with botocore.

botocore's signer is an implementation that shares nothing with Levee's. What it signs here is
what arrived: only the headers that SignedHeaders names, the path and query as they were sent.
"""

import calendar
import hashlib
import hmac
import re
import time
import urllib.parse

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

SKEW_S = 300  # what most services bear
SKEW_S3_S = 900

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})$"
)


class Refused(Exception):
    """Why the request is not accepted: an alias of calls.ALIASES, and what AWS would say."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class _AsArrived:
    """Mixed into botocore's signers: sign the headers that the request says are signed."""

    def headers_to_sign(self, request):
        return request.context["signed"]


class _Query(_AsArrived, SigV4Auth):
    pass


class _S3(_AsArrived, S3SigV4Auth):
    pass


def _take_apart(call):
    text = call.header("Authorization")
    if not text:
        raise Refused("@unsigned", "Request is missing Authentication Token")
    match = AUTHORIZATION.match(text.strip())
    if not match:
        raise Refused("@signature", "The Authorization header cannot be parsed")
    scope = match[1].split("/")
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise Refused("@signature", "Credential must have 5 elements, the last 'aws4_request'")
    return scope, match[2].split(";"), match[3]


def _check_scope(call, scope, region):
    _, day, scope_region, scope_service, _ = scope
    if scope_region != region:
        raise Refused(
            "@signature",
            f"Credential should be scoped to a valid region, not '{scope_region}' (but '{region}')",
        )
    if scope_service != call.service:
        raise Refused(
            "@signature",
            f"Credential should be scoped to correct service: '{call.service}', "
            f"not '{scope_service}'",
        )
    stamp = call.header("X-Amz-Date") or ""
    if not re.fullmatch(r"\d{8}T\d{6}Z", stamp):
        raise Refused("@signature", "X-Amz-Date is missing or malformed")
    if stamp[:8] != day:
        raise Refused("@signature", "Date in Credential scope does not match YYYYMMDD from X-Amz-Date")
    return stamp


def _check_clock(call, stamp, now_s):
    signed_s = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    limit_s = SKEW_S3_S if call.service == "s3" else SKEW_S
    if abs(now_s - signed_s) > limit_s:
        here = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        word = "Signature expired" if signed_s < now_s else "Signature not yet current"
        raise Refused("@skew", f"{word}: {stamp} is not within {limit_s} s of {here}")


def _check_headers(call, names):
    if names != sorted(names) or len(set(names)) != len(names):
        raise Refused("@signature", "SignedHeaders is not sorted, or names a header twice")
    present = {name.lower() for name, _ in call.headers}
    must = {"host"} | {name for name in present if name.startswith("x-amz-")}
    for name in sorted(must - set(names)):
        raise Refused("@signature", f"Header '{name}' must be signed")
    for name in sorted(set(names) - present):
        raise Refused("@signature", f"Header '{name}' is signed but was not sent")


def _check_body(call):
    digest = hashlib.sha256(call.body).hexdigest()
    said = call.header("X-Amz-Content-SHA256")
    if said is None and call.service == "s3":
        raise Refused("@signature", "Missing required header for this request: x-amz-content-sha256")
    if said not in (None, digest):
        raise Refused("@signature", "The provided 'x-amz-content-sha256' does not match the body")
    return digest


def _check_token(call, key):
    token = call.header("X-Amz-Security-Token")
    if key.token and not token:
        raise Refused("@key", "The security token included in the request is invalid: there is none")
    if (key.token or None) != (token or None):
        raise Refused("@key", "The security token included in the request is invalid")


def _recompute(call, key, scope, names, stamp, digest):
    signer = (_S3 if call.service == "s3" else _Query)(
        Credentials(key.access_key, key.secret_key), scope[3], scope[2]
    )
    # AWS decodes the query and encodes it again: what botocore does with parameters.
    pairs = []
    for pair in call.query.split("&") if call.query else []:
        name, _, value = pair.partition("=")
        pairs.append((urllib.parse.unquote(name), urllib.parse.unquote(value)))
    request = AWSRequest(
        method=call.method, url="http://placeholder" + call.path, params=pairs, data=call.body
    )
    signed = HTTPHeaders()
    for name, value in call.headers:
        if name.lower() in names:
            signed[name.lower()] = value
    request.context.update(timestamp=stamp, signed=signed)
    # The payload's line: botocore takes it from this header if it is there.
    request.headers["X-Amz-Content-SHA256"] = digest
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request), canonical


def verify(call, keys, region, now_s):
    """The key that signed the request. Refused says what is wrong with it.

    keys(access_key) gives what signature.Refused is not: an object with secret_key, token and
    expires_s (None: never), or None for an unknown one.
    """
    scope, names, signature = _take_apart(call)
    key = keys(scope[0])
    if not key:
        raise Refused("@key", "The AWS access key ID provided does not exist in our records")
    stamp = _check_scope(call, scope, region)
    _check_clock(call, stamp, now_s)
    _check_headers(call, names)
    digest = _check_body(call)
    _check_token(call, key)
    right, canonical = _recompute(call, key, scope, names, stamp, digest)
    if not hmac.compare_digest(right, signature):
        shown = re.sub(r"(?m)^(x-amz-security-token:).*$", r"\1***", canonical)
        raise Refused(
            "@signature",
            "The request signature we calculated does not match the signature you provided. "
            f"The canonical request should have been\n'{shown}'",
        )
    if key.expires_s is not None and now_s >= key.expires_s:
        raise Refused("@expired", "The security token included in the request is expired")
    return key
