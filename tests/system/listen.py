# SPDX-License-Identifier: BSD-2-Clause
"""listen.py SOCKET FILE: a service manager that writes down, line by line, what it is told."""
import os
import socket
import sys

path, log = sys.argv[1:3]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(path)
os.chmod(path, 0o666)
with open(log, "a", buffering=1, encoding="utf-8") as out:
    out.write("listening\n")
    while True:
        out.write(listener.recv(4096).decode() + "\n")
