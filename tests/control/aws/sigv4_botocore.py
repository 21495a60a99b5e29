# SPDX-License-Identifier: BSD-2-Clause
"""Random requests, signed by botocore and by the program named as argument. Speaks TAP."""

import datetime
import os
import random
import string
import subprocess
import sys
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SEED = int(os.environ.get("LEVEE_SEED", "20150830"))
REQUESTS = int(os.environ.get("LEVEE_REQUESTS", "5000"))
UNRESERVED = string.ascii_letters + string.digits + "-._~"
chance = random.Random(SEED)


def text(alphabet, least, most):
    return "".join(chance.choice(alphabet) for _ in range(chance.randint(least, most)))


def any_text(least, most):
    """Characters of one to four bytes, but for control characters."""
    return "".join(
        chr(chance.choice((chance.randint(0x20, 0x7E), chance.randint(0xA0, 0xD7FF),
                           chance.randint(0x10000, 0x10FFFF))))
        for _ in range(chance.randint(least, most)))


def segment():
    """Not "." or "..": what a path ends in after those is where normalisers differ."""
    if chance.random() < 0.1:
        return ""
    raw = text(UNRESERVED + "!$&'()*+,;=:@", 0, 6) if chance.random() < 0.5 else any_text(0, 4)
    return "x" + quote(raw, safe=UNRESERVED + "!$&'()*+,;=:@")


def path(s3):
    segments = [segment() for _ in range(chance.randint(0, 4))]
    if segments and not s3:
        for _ in range(chance.randint(0, 2)):
            segments.insert(chance.randrange(len(segments)), chance.choice((".", "..")))
    return "/" + "/".join(segments)


def query():
    names = [any_text(1, 5) for _ in range(chance.randint(0, 6))]
    names += [n for n in names if chance.random() < 0.2]  # twice, with other values
    names += [n + chance.choice("-.0A~%") for n in names if chance.random() < 0.2]
    chance.shuffle(names)
    return "&".join(quote(n, safe="-_.~") + "=" + quote(any_text(0, 6), safe="-_.~")
                    for n in names)


def headers():
    """Names and values; a name may come again."""
    found = [("Content-Type", chance.choice(("text/plain", "application/x-amz-json-1.1")))]
    for _ in range(chance.randint(0, 4)):
        name = "X-" + text(string.ascii_letters + string.digits + "-", 1, 8)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            found.append((name, text(string.ascii_letters + " \t\"=;,", 0, 20) + "v  "))
    return found if chance.random() < 0.9 else []


def request():
    s3 = chance.random() < 0.3
    port = chance.choice((None, None, 443, 8443))
    return {
        "method": chance.choice(("GET", "POST", "PUT", "DELETE", "HEAD")),
        "host": text(string.ascii_lowercase, 1, 10) + ".example.com",
        "port": port,
        "path": path(s3),
        "query": query(),
        "headers": headers(),
        "body": any_text(0, 40),
        "region": chance.choice(("us-east-1", "eu-west-1", "cn-north-1")),
        "service": "s3" if s3 else chance.choice(("ec2", "sts", "logs", "monitoring")),
        "s3": s3,
        "access": "AKID" + text(string.ascii_uppercase, 1, 12),
        "secret": text(string.ascii_letters + string.digits + "/+", 1, 80),
        "token": text(string.ascii_letters + "/+=", 1, 300) if chance.random() < 0.5 else "",
        "time": chance.randint(0, 4102444800),
    }


def authority(r):
    return r["host"] if r["port"] in (None, 443) else f"{r['host']}:{r['port']}"


def line(r):
    pairs = "".join(f"{n}:{v}\n" for n, v in r["headers"])
    fields = (r["method"], authority(r), r["path"], r["query"], pairs, r["body"], r["region"],
              r["service"], "1" if r["s3"] else "0", r["access"], r["secret"], r["token"],
              str(r["time"]))
    return "\t".join(quote(f, safe="") for f in fields)


def by_botocore(r):
    now = datetime.datetime.fromtimestamp(r["time"], datetime.timezone.utc)
    botocore.auth.get_current_datetime = lambda *_a, **_k: now.replace(tzinfo=None)
    port = f":{r['port']}" if r["port"] else ""
    url = f"https://{r['host']}{port}{r['path']}" + (f"?{r['query']}" if r["query"] else "")
    made = AWSRequest(method=r["method"], url=url, data=r["body"].encode())
    for name, value in r["headers"]:
        made.headers.add_header(name, value)
    kind = botocore.auth.S3SigV4Auth if r["s3"] else botocore.auth.SigV4Auth
    kind(Credentials(r["access"], r["secret"], r["token"] or None), r["service"],
         r["region"]).add_auth(made)
    return made.headers["Authorization"]


def main():
    print(f"# seed {SEED}, {REQUESTS} requests, botocore {botocore.__version__}")
    requests = [request() for _ in range(REQUESTS)]
    ours = subprocess.run([sys.argv[1], "--sign"], input="\n".join(map(line, requests)) + "\n",
                          capture_output=True, text=True, check=False)
    signed = ours.stdout.splitlines()
    wrong = [i for i, r in enumerate(requests)
             if i >= len(signed) or signed[i] != by_botocore(r)]
    for i in wrong[:3]:
        print(f"# request {i}: {requests[i]}")
        print(f"#   ours     {signed[i] if i < len(signed) else 'none'}")
        print(f"#   botocore {by_botocore(requests[i])}")
    good = not wrong and len(signed) == REQUESTS and ours.returncode == 0
    print(f"{'ok' if good else 'not ok'} 1 - botocore signs {REQUESTS} random requests as we do"
          + ("" if good else f": {len(wrong)} differ"))
    print("1..1")
    return 0 if good else 1


sys.exit(main())
