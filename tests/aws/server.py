# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/1.1 servers: threads, keep-alive, TLS, a unix socket, and answers that break off."""

import http.server
import os
import socket
import socketserver
import ssl
import struct
import sys
import time
import traceback
from email.utils import formatdate


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads a request whole and gives it to self.server.answer(handler, body)."""

    protocol_version = "HTTP/1.1"
    server_version = "stand-in"
    sys_version = ""
    timeout = 120
    disable_nagle_algorithm = True

    def _handle(self):
        body = self._body()
        if body is not None:
            self.server.answer(self, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _handle

    def _body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return self._chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit():
            self.close_connection = True
            return None
        return self.rfile.read(int(length))

    def _chunks(self):
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def log_message(self, *_):
        """The log of calls says more."""

    def send(self, status, body, headers=(), cut=None):
        """Answer. cut="middle": half of the body, and then the end of the connection."""
        shown = body[: len(body) // 2] if cut == "middle" else body
        self.send_response_only(status)
        self.send_header("Date", formatdate(time.time() + self.server.clock_offset(), usegmt=True))
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(shown)
        if cut:
            self.drop()

    def drop(self, reset=False):
        """End the connection, in good order or by RST."""
        self.close_connection = True
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def is_peer_gone(self):
        """Has the caller closed its end?"""
        try:
            if isinstance(self.connection, ssl.SSLSocket):
                raw = socket.socket(fileno=os.dup(self.connection.fileno()))
            else:
                raw = self.connection.dup()
            with raw:
                return raw.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """answer(handler, body) does the work; port 0 takes a free one."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    handler = Handler

    def __init__(self, address, answer, clock_offset=lambda: 0, tls=None, on_tls_error=None):
        if self.address_family != socket.AF_UNIX and ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.answer = answer
        self.clock_offset = clock_offset
        self.tls = tls
        self.on_tls_error = on_tls_error
        super().__init__(address, self.handler)

    @property
    def port(self):
        """Where it listens."""
        return self.server_address[1]

    def server_bind(self):
        """As TCPServer does: HTTPServer asks DNS for a name, which takes time and is of no use."""
        socketserver.TCPServer.server_bind(self)

    def finish_request(self, request, client_address):
        """The handshake is in the connection's own thread."""
        if not self.tls:
            self.RequestHandlerClass(request, client_address, self)
            return
        request.settimeout(30)
        try:
            wrapped = self.tls.wrap_socket(request, server_side=True)
        except OSError as e:
            self.on_tls_error(str(e))
            return
        try:
            self.RequestHandlerClass(wrapped, client_address, self)
        finally:
            wrapped.close()

    def handle_error(self, request, client_address):
        """Callers that go away in the middle of a request are what many tests are about."""
        if not isinstance(sys.exc_info()[1], (OSError, ValueError)):
            traceback.print_exc()


class UnixHandler(Handler):
    """There is no Nagle to be disabled."""

    disable_nagle_algorithm = False


class UnixServer(Server):
    """On a unix socket: reachable from every network namespace."""

    address_family = socket.AF_UNIX
    handler = UnixHandler

    def __init__(self, path, answer):
        super().__init__((path,), answer)

    def server_bind(self):
        """The address is a path."""
        path = self.server_address[0]
        if os.path.exists(path):
            os.unlink(path)
        self.socket.bind(path)

    def get_request(self):
        """BaseHTTPRequestHandler wants an address."""
        request, _ = super().get_request()
        return request, ("unix", 0)


def silent(address):
    """A socket whose connections are made by the kernel and answered by nobody."""
    listener = socket.create_server((address, 0), backlog=64)
    return listener, listener.getsockname()[1]
