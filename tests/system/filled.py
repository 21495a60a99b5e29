# SPDX-License-Identifier: BSD-2-Clause
"""A bin with many sources, without a network: frames go through the pinned XDP program itself
(BPF_PROG_TEST_RUN). Each command prints one JSON object.

filled.py fill PROGRAM SOURCES            until it is killed: each source again and again
filled.py unblock PROGRAM SOURCES SOCKET BINS
    Right after the end of each of BINS bins a source is unblocked through the API, and the program is
    asked with packets of it until it passes one [ms].
filled.py path PROGRAM SOURCES COMMAND...
    What a packet costs the program [ns] while COMMAND runs and while it does not, in turns."""
import ctypes
import http.client
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import time

BPF_OBJ_GET, BPF_PROG_TEST_RUN, SYS_BPF = 7, 10, {"x86_64": 321, "aarch64": 280}[os.uname().machine]
XDP_DROP, XDP_PASS = 1, 2
libc = ctypes.CDLL(None, use_errno=True)


class ObjGet(ctypes.Structure):
    _fields_ = [("path", ctypes.c_uint64), ("fd", ctypes.c_uint32), ("flags", ctypes.c_uint32)]


class TestRun(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_uint32), ("retval", ctypes.c_uint32), ("size_in", ctypes.c_uint32),
                ("size_out", ctypes.c_uint32), ("data_in", ctypes.c_uint64), ("data_out", ctypes.c_uint64),
                ("repeat", ctypes.c_uint32), ("duration", ctypes.c_uint32), ("ctx", ctypes.c_uint64 * 3)]


class Program:
    """The program, and one frame whose source address can be set."""

    def __init__(self, path):
        name = ctypes.create_string_buffer(path.encode())
        get = ObjGet(path=ctypes.addressof(name))
        self.fd = libc.syscall(SYS_BPF, BPF_OBJ_GET, ctypes.byref(get), ctypes.sizeof(get))
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), path)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 46, 0, 0, 64, 17, 0, bytes(4), bytes([192, 0, 2, 1]))
        self.frame = ctypes.create_string_buffer(bytes(12) + b"\x08\0" + ip + struct.pack("!HHHH", 1, 2, 26, 0) + bytes(18), 60)
        self.run = TestRun(fd=self.fd, size_in=60, data_in=ctypes.addressof(self.frame), repeat=1)

    def verdict(self, source):
        struct.pack_into("!I", self.frame, 26, source)
        if libc.syscall(SYS_BPF, BPF_PROG_TEST_RUN, ctypes.byref(self.run), ctypes.sizeof(self.run)) < 0:
            raise OSError(ctypes.get_errno(), "BPF_PROG_TEST_RUN")
        return self.run.retval


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("levee", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def ask(self, method, what, body=None):
        self.request(method, "/api/v1/" + what, json.dumps(body) if body else None,
                     {"Content-Type": "application/json"} if body else {})
        answer = self.getresponse()
        return answer.status, json.loads(answer.read())


def fill(path, n):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    program = Program(path)
    while True:
        for i in range(n):
            program.verdict(0x0a000000 + i)


def unblock(path, n, sock, bins):
    program, api, victim = Program(path), Unix(sock), 0xcb007109
    filler = os.fork()
    if not filler:
        fill(path, n)
    effect, answers, sources = [], [], []
    try:
        random.seed(7)
        while len(effect) < bins:
            status, answer = api.ask("POST", "blocks", {"prefix": "203.0.113.9"})
            assert status in (200, 201), answer
            while program.verdict(victim) != XDP_DROP:
                pass
            before = api.ask("GET", "status")[1]["bin"]
            # Every other time while the epoch is switched, else somewhere in what comes after it.
            time.sleep(before["ends_in_s"] + random.random() * (0.36 if len(effect) % 2 else 0.015))
            begun = time.monotonic()
            api.request("DELETE", "/api/v1/blocks/203.0.113.9")
            while program.verdict(victim) != XDP_PASS:
                time.sleep(0.0001)  # who asks without a pause takes the CPU that the answer needs
            effect.append(round((time.monotonic() - begun) * 1000, 2))
            answer = api.getresponse()
            answer.read()
            answers.append(round((time.monotonic() - begun) * 1000, 2))
            assert answer.status == 200, answer.status
            sources.append(api.ask("GET", "status")[1]["sources"])
        late = api.ask("GET", "status")[1]["bin"]["late"]
    finally:
        os.kill(filler, 9)
        os.waitpid(filler, 0)
    print(json.dumps({"effect_ms": effect, "answer_ms": answers, "sources": sources, "late": late}))



def cost(program, seconds):
    """Of one packet, by the kernel's own clock; of runs that the CPU was taken from the middle one counts."""
    end, runs = time.monotonic() + seconds, []
    program.run.repeat = 20000
    while time.monotonic() < end or len(runs) < 3:
        program.verdict(0x0a000001)
        runs.append(program.run.duration)
        time.sleep(0.005)
    return statistics.median(runs)


def path(name, n, *command):
    program, off, on = Program(name), [], []
    for _ in range(4):
        off.append(cost(program, 2))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as other:
            time.sleep(1)
            on.append(cost(program, 2))
            other.terminate()
    print(json.dumps({"alone_ns": off, "beside_ns": on, "ratio": round(statistics.median(on) / statistics.median(off), 3)}))


name, program, n, *rest = sys.argv[1:]
if name == "fill":
    fill(program, int(n))
elif name == "unblock":
    unblock(program, int(n), rest[0], int(rest[1]))
else:
    path(program, int(n), *rest)
