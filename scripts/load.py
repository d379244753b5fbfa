"""A small load generator in a process of its own: one request over many connections, counted for a bounded time.

Reads `{host, port, requests, expect, connections, seconds, first, count}` as JSON from standard input. `requests` are
texts of HTTP/1.1 requests that the connections share out among them; `{n}` in one stands for a number of nine digits
that no two share, counted from `first`. Writes `{requests, seconds, p50, p99, errors}`, latencies in seconds.
"""

import asyncio
import itertools
import json
import statistics
import sys
import time
from typing import Any

import uvloop


async def main() -> None:
    """Open the connections, run them side by side, print what was measured."""
    plan = json.load(sys.stdin)
    numbers = itertools.count(plan["first"])
    deadline = time.perf_counter() + plan["seconds"]
    texts = plan["requests"]
    begun = time.perf_counter()
    results = await asyncio.gather(
        *(connection(plan, texts[i % len(texts)], numbers, deadline) for i in range(plan["connections"]))
    )
    seconds = time.perf_counter() - begun
    latencies = [latency for found, _ in results for latency in found]
    errors = [error for _, found in results for error in found]
    print(json.dumps({"seconds": seconds, "requests": len(latencies), "errors": errors[:3], **quantiles(latencies)}))


def quantiles(latencies: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    if len(latencies) < 2:
        return {"p50": 0.0, "p99": 0.0}
    cuts = statistics.quantiles(latencies, n=100)
    return {"p50": cuts[49], "p99": cuts[98]}


async def connection(
    plan: dict[str, Any], text: str, numbers: "itertools.count[int]", deadline: float
) -> tuple[list[float], list[str]]:
    """One request after the other until time or count is up; (latencies, what was answered unexpectedly)."""
    latencies: list[float] = []
    errors: list[str] = []
    reader, writer = await asyncio.open_connection(plan["host"], plan["port"])
    expect = f"HTTP/1.1 {plan['expect']}".encode()
    try:
        while time.perf_counter() < deadline and (n := next(numbers)) < plan["first"] + plan["count"] and not errors:
            begun = time.perf_counter()
            writer.write(text.replace("{n}", f"{n:09d}").encode())
            head, body = await answer(reader)
            latencies.append(time.perf_counter() - begun)
            if not head.startswith(expect):
                errors.append((head.splitlines()[0] + b" " + body).decode(errors="replace")[:500])
    finally:
        writer.close()
    return latencies, errors


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """(head, body) of one response, which must tell its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return head, await reader.readexactly(int(value))
    raise ValueError(f"no content-length in {head!r}")


uvloop.run(main())
