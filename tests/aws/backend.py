# SPDX-License-Identifier: BSD-2-Clause
"""moto's server mode, on a free loopback port of this process, and ways to reach into it."""

import http.client
import logging
import os

os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")  # boto3 looks nowhere for keys
for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"):
    os.environ.pop(name, None)

import boto3  # noqa: E402
from botocore.config import Config  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

from calls import Answer  # noqa: E402
from identity import ACCOUNT  # noqa: E402

# What belongs to one connection, and what the proxy says itself.
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Backend:
    """moto. One region and one account are enough here."""

    def __init__(self, region):
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self.region = region
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self._clients = {}

    def forward(self, call):
        """Let moto answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(call.method, call.target, skip_host=True, skip_accept_encoding=True)
            for name, value in call.headers:
                if name.lower() not in HOP | {"expect"}:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(call.body)))
            connection.endheaders(call.body)
            reply = connection.getresponse()
            headers = [(k, v) for k, v in reply.getheaders() if k.lower() not in HOP]
            return Answer(reply.status, reply.read(), headers)
        finally:
            connection.close()

    def client(self, service):
        """A boto3 client that talks to moto itself: nothing of it is in the log of calls."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=self.region,
                endpoint_url=f"http://127.0.0.1:{self.port}",
                aws_access_key_id="set-up",
                aws_secret_access_key="set-up",
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
            )
        return self._clients[service]

    def ec2(self):
        """moto's own objects of EC2."""
        from moto.ec2.models import ec2_backends  # moto is imported by its server, on first use

        return ec2_backends[ACCOUNT][self.region]

    def metrics(self):
        """Every value that PutMetricData brought."""
        from moto.cloudwatch.models import cloudwatch_backends

        found = []
        for datum in cloudwatch_backends[ACCOUNT][self.region].metric_data:
            found.append(
                {
                    "namespace": datum.namespace,
                    "name": datum.name,
                    "value": datum.value,
                    "unit": datum.unit,
                    "time": datum.timestamp.isoformat() if datum.timestamp else None,
                    "dimensions": {d.name: d.value for d in datum.dimensions},
                }
            )
        return found

    def reset(self):
        """An account with nothing but the default VPC."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
        connection.close()
