# SPDX-License-Identifier: BSD-2-Clause
"""A request to AWS taken apart, and answers in the form that its protocol has.

EC2, the other Query services, JSON, CBOR and S3 each name the operation elsewhere in the request
and write errors differently; the rest of the stand-in sees only Call and Answer.
"""

import json
import urllib.parse
import uuid
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

# Query services are told apart by the Version parameter: version -> (service, XML namespace)
QUERY_SERVICES = {
    "2016-11-15": ("ec2", "http://ec2.amazonaws.com/doc/2016-11-15/"),
    "2010-03-31": ("sns", "http://sns.amazonaws.com/doc/2010-03-31/"),
    "2010-05-08": ("iam", "https://iam.amazonaws.com/doc/2010-05-08/"),
    "2010-08-01": ("monitoring", "http://monitoring.amazonaws.com/doc/2010-08-01/"),
    "2011-06-15": ("sts", "https://sts.amazonaws.com/doc/2011-06-15/"),
    "2015-12-01": (
        "elasticloadbalancing",
        "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
    ),
    "2012-11-05": ("sqs", "http://queue.amazonaws.com/doc/2012-11-05/"),
}

# X-Amz-Target up to the dot -> service, as its credential scope names it
JSON_SERVICES = {
    "Logs_20140328": "logs",
    "GraniteServiceVersion20100801": "monitoring",
    "AmazonSQS": "sqs",
}

S3_OPERATIONS = {
    ("GET", True): "GetObject",
    ("HEAD", True): "HeadObject",
    ("PUT", True): "PutObject",
    ("DELETE", True): "DeleteObject",
    ("GET", False): "ListObjects",
    ("HEAD", False): "HeadBucket",
    ("PUT", False): "CreateBucket",
    ("DELETE", False): "DeleteBucket",
}

# Parameters whose value must not be found in the log of calls.
SECRET_PARAMETERS = {"WebIdentityToken", "SAMLAssertion", "TokenCode"}

# Status codes of errors, where it is not 400.
STATUS = {
    "AccessDenied": 403,
    "AuthFailure": 401,
    "AuthorizationError": 403,
    "DryRunOperation": 412,
    "ExpiredToken": 403,
    "InternalError": 500,
    "InternalFailure": 500,
    "InvalidAccessKeyId": 403,
    "InvalidClientTokenId": 403,
    "MissingAuthenticationToken": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "RequestLimitExceeded": 503,
    "RequestTimeTooSkewed": 403,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
}

# What one and the same failure is called by EC2, by the other Query services, JSON and S3.
ALIASES = {
    "@expired": ("RequestExpired", "ExpiredToken", "ExpiredTokenException", "ExpiredToken"),
    "@throttled": ("RequestLimitExceeded", "Throttling", "ThrottlingException", "SlowDown"),
    "@denied": (
        "UnauthorizedOperation",
        "AccessDenied",
        "AccessDeniedException",
        "AccessDenied",
    ),
    "@internal": ("InternalError", "InternalFailure", "InternalFailure", "InternalError"),
    "@unavailable": (
        "Unavailable",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ServiceUnavailable",
    ),
    "@skew": (
        "RequestExpired",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "RequestTimeTooSkewed",
    ),
    "@signature": (
        "AuthFailure",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
    ),
    "@key": (
        "AuthFailure",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
    ),
    "@unsigned": (
        "AuthFailure",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AccessDenied",
    ),
}
PROTOCOLS = ("ec2", "query", "json", "s3")


@dataclass
class Answer:
    """Body and status; the handler adds Date and Content-Length."""

    status: int
    body: bytes
    headers: list = field(default_factory=list)
    error: str = None  # its code, for the log


@dataclass
class Call:
    """One request, as it arrived."""

    method: str
    target: str  # the request line's: path and query, not decoded
    headers: list  # (name, value), in the order in which they came
    body: bytes
    path: str = ""
    query: str = ""
    protocol: str = "s3"
    service: str = "s3"
    operation: str = ""
    params: dict = field(default_factory=dict)
    xmlns: str = ""
    request_id: str = ""

    def header(self, name):
        """The first header of that name, or None."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    @property
    def dry_run(self):
        """Only EC2 has such a thing."""
        return self.service == "ec2" and self.params.get("DryRun", "false").lower() == "true"

    @property
    def writes(self):
        """Does it change anything? A dry run does not."""
        return not self.dry_run and not self.operation.startswith(
            ("Describe", "Get", "List", "Head", "AssumeRole", "Filter")
        )

    def parameters_for_log(self):
        """The parameters, without those that are secrets."""
        return {k: "***" if k in SECRET_PARAMETERS else v for k, v in self.params.items()}


def parse(method, target, headers, body):
    """Find out which operation of which service a request is."""
    call = Call(method, target, headers, body, request_id=str(uuid.uuid4()))
    call.path, _, call.query = target.partition("?")
    json_target = call.header("X-Amz-Target")
    kind = (call.header("Content-Type") or "").split(";")[0].strip()
    parts = call.path.strip("/").split("/")
    if json_target and "." in json_target:
        prefix, call.operation = json_target.split(".", 1)
        call.protocol, call.service = "json", JSON_SERVICES.get(prefix, prefix)
        call.params = _parse_json(body)
    elif len(parts) == 4 and parts[0] == "service" and parts[2] == "operation":
        # Smithy RPC, as the current botocore talks to CloudWatch: errors are like JSON's.
        call.protocol, call.service = "json", JSON_SERVICES.get(parts[1], parts[1])
        call.operation = parts[3]
    elif kind == "application/x-www-form-urlencoded" or "Action=" in call.query:
        form = body.decode("utf-8", "replace") if method == "POST" else call.query
        call.params = dict(urllib.parse.parse_qsl(form, keep_blank_values=True))
        version = call.params.get("Version", "")
        call.service, call.xmlns = QUERY_SERVICES.get(version, ("unknown", ""))
        call.operation = call.params.get("Action", "unknown")
        call.protocol = "ec2" if call.service == "ec2" else "query"
    else:
        key = len(parts) > 1
        call.operation = S3_OPERATIONS.get((method, key), method)
        call.params = {"Bucket": parts[0], "Key": urllib.parse.unquote("/".join(parts[1:]))}
        for name in ("If-None-Match", "If-Modified-Since"):
            if call.header(name):
                call.params[name] = call.header(name)
    return call


def _parse_json(body):
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def listed(call, name):
    """The values of Name.1, Name.2, ..., in order."""
    found = []
    for key, value in call.params.items():
        prefix, _, number = key.rpartition(".")
        if prefix == name and number.isdigit():
            found.append((int(number), value))
    return [value for _, value in sorted(found)]


def filters(call):
    """Filter.N.Name and Filter.N.Value.M as [(name, [values])]."""
    found = {}
    for key, value in call.params.items():
        part = key.split(".")
        if part[0] == "Filter" and len(part) >= 3 and part[1].isdigit():
            name, values = found.setdefault(int(part[1]), ([], []))
            (name if part[2] == "Name" else values).append(value)
    return [(name[0] if name else "", values) for _, (name, values) in sorted(found.items())]


def error_code(call, code):
    """An alias (@expired, @throttled, ...) in the words of the call's protocol."""
    if code in ALIASES:
        return ALIASES[code][PROTOCOLS.index(call.protocol)]
    return code


def error(call, code, message, status=None):
    """An error as the call's service would write it."""
    code = error_code(call, code)
    if call.protocol == "json":
        status = status or (500 if code == "InternalFailure" else 400)
    status = status or STATUS.get(code, 400)
    text = (
        f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    )
    rid = call.request_id
    kind = "text/xml;charset=UTF-8"
    if call.protocol == "ec2":
        body = f"<Response><Errors><Error>{text}</Error></Errors><RequestID>{rid}</RequestID></Response>"
    elif call.protocol == "query":
        side = "Sender" if status < 500 else "Receiver"
        body = (
            f'<ErrorResponse xmlns="{call.xmlns}"><Error><Type>{side}</Type>{text}</Error>'
            f"<RequestId>{rid}</RequestId></ErrorResponse>"
        )
    elif call.protocol == "json":
        kind = "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message})
        headers = [("Content-Type", kind), ("x-amzn-RequestId", rid), ("x-amzn-ErrorType", code)]
        return Answer(status, body.encode(), headers, code)
    else:
        body = f"<Error>{text}<RequestId>{rid}</RequestId></Error>"
        kind = "application/xml"
    body = '<?xml version="1.0" encoding="UTF-8"?>\n' + body
    return Answer(status, body.encode(), [("Content-Type", kind), ("x-amz-request-id", rid)], code)


def xml(call, inner):
    """A good answer of a Query service; `inner` is XML already."""
    name = call.operation + "Response"
    if call.protocol == "ec2":
        text = f"<requestId>{call.request_id}</requestId>{inner}"
    else:
        text = (
            f"<{call.operation}Result>{inner}</{call.operation}Result><ResponseMetadata>"
            f"<RequestId>{call.request_id}</RequestId></ResponseMetadata>"
        )
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{call.xmlns}">{text}</{name}>'
    return Answer(200, body.encode(), [("Content-Type", "text/xml;charset=UTF-8")])
