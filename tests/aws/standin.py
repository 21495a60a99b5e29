#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""AWS for the end-to-end tests: moto, and in front of it a proxy that is as strict as AWS.

Prints one line of JSON with its ports when it is ready; SIGTERM, or the end of the process that
started it, ends it. `standin.sh` starts it from a shell script; control.py says how it is set and
asked, script.py what can be made to go wrong, world.py which account can be made.

    python tests/aws/standin.py [--region eu-west-1] [--bind 127.0.0.1] [--imds 127.0.0.1:0]
                                [--socket PATH] [--folder PATH] [--ready PATH]
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
import threading

sys.dont_write_bytecode = True  # the tree stays as it is

import acl  # noqa: E402
import certs  # noqa: E402
import server  # noqa: E402
from backend import Backend  # noqa: E402
from control import Control  # noqa: E402
from metadata import Metadata  # noqa: E402
from proxy import Proxy  # noqa: E402

PR_SET_PDEATHSIG = 1


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--region", default="eu-west-1", help="the only one that there is")
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--imds", default=None, help="ADDRESS:PORT of the metadata service (a free port of --bind)"
    )
    parser.add_argument("--socket", help="unix socket for /_standin/ besides the HTTP port")
    parser.add_argument("--folder", help="where certificates go (a temporary folder)")
    parser.add_argument("--ready", help="file that gets the line of JSON as well")
    return parser.parse_args()


class StandIn:
    """All servers together."""

    def __init__(self, args, folder):
        self.bind = args.bind
        self.backend = Backend(args.region)
        self.proxy = Proxy(self.backend, args.region)
        self.metadata = Metadata(self.proxy.identity, args.region, self._note)
        self.ready = {"region": args.region, "pid": os.getpid()}
        self.control = Control(self.proxy, self.metadata, self.ready)
        self.servers = []
        self._start_proxy(folder)
        self._start_metadata(args.imds)
        if args.socket:
            self._serve(server.UnixServer(args.socket, self.control.answer))
            self.ready["socket"] = args.socket

    def _note(self, service, operation, status):
        self.proxy.log.begin(
            service=service, operation=operation, writes=False, verified=True, status=status
        )

    def _serve(self, one):
        self.servers.append(one)
        threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True).start()
        return one.port if not isinstance(one, server.UnixServer) else None

    def _dispatch(self, handler, body):
        if handler.path.startswith("/_standin/"):
            self.control.answer(handler, body)
        else:
            self.proxy.answer(handler, body)

    def _tls_error(self, text):
        self.proxy.log.begin(service="tls", operation="handshake", writes=False, error=text)

    def _start_proxy(self, folder):
        offset = self.proxy.clock_offset
        http = self._serve(server.Server((self.bind, 0), self._dispatch, offset))
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        contexts, ca = certs.contexts(folder, self.bind)
        self.ready.update(
            http=http,
            endpoint=f"http://{host}:{http}",
            moto=self.backend.port,
            ca=ca,
            keys=self.proxy.identity.user.as_environment(),
            web_identity_token=self.proxy.identity.web_identity_token,
        )
        for kind, context in contexts.items():
            one = server.Server((self.bind, 0), self._dispatch, offset, context, self._tls_error)
            self.ready[kind] = self._serve(one)
        self._silent, self.ready["silent"] = server.silent(self.bind)

    def _start_metadata(self, where):
        address, port = (self.bind, 0)
        if where:
            address, _, port = where.rpartition(":")
        offset = self.proxy.clock_offset
        answer = self.metadata.answer
        self.ready["imds"] = self._serve(
            server.Server((address.strip("[]"), int(port)), answer, offset)
        )
        answer = self.metadata.answer_container
        self.ready["container"] = self._serve(server.Server((self.bind, 0), answer, offset))
        self.ready["container_token"] = self.metadata.container_token


def wait_for_the_end(parent):
    """Until a signal, or until the parent is another one."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    while not over.wait(0.3) and os.getppid() == parent:
        pass


def main():
    """Start, say so, wait."""
    parent = os.getppid()
    args = arguments()
    folder = args.folder or tempfile.mkdtemp(prefix="levee-standin-")
    try:
        os.makedirs(folder, exist_ok=True)
        stand_in = StandIn(args, folder)
        acl.snapshot(stand_in.backend.ec2())
        line = json.dumps(stand_in.ready)
        if args.ready:
            with open(args.ready + ".new", "w", encoding="utf-8") as file:
                file.write(line + "\n")
            os.rename(args.ready + ".new", args.ready)
        print(line, flush=True)
        wait_for_the_end(parent)
    finally:
        if not args.folder:
            shutil.rmtree(folder, ignore_errors=True)
        if args.socket and os.path.exists(args.socket):
            os.unlink(args.socket)
    os._exit(0)  # threads that hold a call would keep the interpreter


if __name__ == "__main__":
    main()
