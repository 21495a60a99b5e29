# SPDX-License-Identifier: BSD-2-Clause
"""api_load.py SOCKET SECONDS POLLERS FOLLOWERS: clients of the API, all at once.

Each poller asks for something else once a second, over one connection; each follower reads the
stream of events. Prints one JSON object: how many answers, how slow, and what followers saw."""
import asyncio
import json
import random
import sys
import time

PATHS = ["status", "blocks?limit=100", "sources?limit=100", "bins", "account", "events?limit=100"]


async def read_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = next(int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length:"))
    await reader.readexactly(length)
    return status


async def poll(path, end, times, errors):
    await asyncio.sleep(random.random())
    reader, writer = await asyncio.open_unix_connection(path)
    while time.monotonic() < end:
        begun = time.monotonic()
        writer.write(b"GET /api/v1/%s HTTP/1.1\r\nHost: levee\r\n\r\n" % random.choice(PATHS).encode())
        status = await read_answer(reader)
        times.append(time.monotonic() - begun)
        if status != 200:
            errors.append(status)
        await asyncio.sleep(max(0, 1 - (time.monotonic() - begun)))
    writer.close()


async def follow(path, end, seen):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /api/v1/events?follow=true HTTP/1.1\r\nHost: levee\r\nAccept: text/event-stream\r\n\r\n")
    bins = 0
    try:
        while (left := end - time.monotonic()) > 0:
            line = await asyncio.wait_for(reader.readline(), left)
            bins += line.strip() == b"event: bin"
    except asyncio.TimeoutError:
        pass
    seen.append(bins)
    writer.close()


async def main(path, seconds, pollers, followers):
    times, errors, seen = [], [], []
    end = time.monotonic() + seconds
    await asyncio.gather(*(poll(path, end, times, errors) for _ in range(pollers)),
                         *(follow(path, end, seen) for _ in range(followers)))
    times.sort()
    at = lambda q: round(1000 * times[min(len(times) - 1, int(q * len(times)))], 2)
    print(json.dumps({"answers": len(times), "errors": errors, "p50_ms": at(0.5), "p99_ms": at(0.99),
                      "max_ms": at(1), "bins_seen": seen}))


random.seed(7)
asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
