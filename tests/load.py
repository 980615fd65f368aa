"""Steady load for a site behind nginx, and a record of every request: `python3 load.py --host NAME --records FILE ...`.

One file, nothing but the standard library: tests and benchmarks copy it to a test host and run it there (visitors.py).
The load is open: request n starts n/rate seconds after the first, whatever became of those before, on a connection of
its own. It goes to the loopback only. A record has

    at, mono   start: wall clock and monotonic clock, in seconds
    lag        by how much the start was late, which is this program's own fault
    seconds    from the start until the answer was complete, or was given up
    kind       page, slow, post or static
    status     of the answer, 0 when there was none
    version    what answered, as its header or its body says; "" when neither does
    lost       "" for a complete answer with a wanted status; else one word that says why
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import ipaddress
import json
import math
import os
import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TextIO, cast

KINDS = ("page", "slow", "post", "static")
# Kinds that an application answers at once: the ones whose latency tells about a cut-over.
FAST = ("page", "post")
# How often the file that ends the load is looked for.
STOP_POLL = 0.1
POST_BODY = b"message=hello"


@dataclass(frozen=True, slots=True)
class Record:
    """One request; the module's text says what the fields mean."""

    at: float
    mono: float
    lag: float
    seconds: float
    kind: str
    status: int
    version: str
    lost: str

    @property
    def end(self) -> float:
        """When it was over, on the monotonic clock."""
        return self.mono + self.seconds


@dataclass(frozen=True)
class Answer:
    """What a server sent until it closed the connection."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool


def kind_of(number: int, slow_every: int, post_share: float, static_share: float) -> str:
    """The kind of request `number`: every slow_every-th is slow, the shares are of the others, evenly spread."""
    if slow_every and number % slow_every == slow_every - 1:
        return "slow"
    others = number - (number // slow_every if slow_every else 0)

    def due(share: float) -> bool:
        return math.floor((others + 1) * share) > math.floor(others * share)

    if due(post_share + static_share):
        whole = math.floor((others + 1) * (post_share + static_share))
        part = static_share / (post_share + static_share)
        return "static" if math.floor(whole * part) > math.floor((whole - 1) * part) else "post"
    return "page"


def parse_answer(data: bytes) -> Answer | None:
    """The answer in what was received, None when not even its headers are whole."""
    head, found, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = re.match(r"HTTP/1\.[01] (\d{3})", first)
    if not found or not status:
        return None
    headers = {name.strip().lower(): value.strip() for name, dummy, value in (line.partition(":") for line in lines)}
    complete = True
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body, complete = unchunked(body)
    elif "content-length" in headers:
        complete = len(body) == int(headers["content-length"])
    return Answer(int(status[1]), headers, body, complete)


def unchunked(data: bytes) -> tuple[bytes, bool]:
    """The body of a chunked answer, and whether its end is there."""
    body = b""
    while True:
        size, found, rest = data.partition(b"\r\n")
        try:
            length = int(size.split(b";")[0], 16)
        except ValueError:
            return body, False
        if not found or len(rest) < length + 2:
            return body + rest[:length], False
        if length == 0:
            return body, True
        body, data = body + rest[:length], rest[length + 2 :]


def version_of(answer: Answer, header: str, pattern: re.Pattern[str]) -> str:
    """What answered: the header's value, or what the pattern finds in the body (its first group if it has one)."""
    if value := answer.headers.get(header.lower()):
        return value
    found = pattern.search(answer.body[:4096].decode("utf-8", "replace").strip())
    return (found[1] if pattern.groups else found[0]) if found else ""


def judge(answer: Answer | None, trouble: str, wanted: Sequence[int]) -> str:
    """Why an answer doesn't count, in one word; "" when it does. `trouble` is how the connection ended, if badly."""
    if answer is None:
        return trouble or "closed"
    if answer.status not in wanted:
        return f"status-{answer.status}"
    return "" if answer.complete else trouble or "incomplete"


def percentile(values: Iterable[float], share: float) -> float:
    """The nearest-rank percentile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def latencies(records: Iterable[Record]) -> dict[str, float]:
    """Number, p50, p99 and slowest of the answered requests, in seconds."""
    seconds = [record.seconds for record in records if not record.lost]
    shown = {"p50": percentile(seconds, 0.5), "p99": percentile(seconds, 0.99), "slowest": max(seconds, default=0.0)}
    return {"answered": len(seconds), **{name: round(value, 4) for name, value in shown.items()}}


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Everything in a few numbers: what was lost and why, who answered, how long it took by kind, and the own lag."""
    lags = [record.lag for record in records]
    return {
        "total": len(records),
        "lost": sum(bool(record.lost) for record in records),
        "reasons": dict(Counter(record.lost for record in records if record.lost)),
        "versions": dict(Counter(record.version for record in records if record.version)),
        "kinds": {
            kind: latencies([record for record in records if record.kind == kind])
            for kind in KINDS
            if any(record.kind == kind for record in records)
        },
        "lag": {"p99": round(percentile(lags, 0.99), 4), "slowest": round(max(lags, default=0.0), 4)},
    }


def read_records(text: str) -> list[Record]:
    """The records in JSON lines, by their start. A last line that was cut off is left out."""
    lines = text.splitlines()
    if lines and not text.endswith("\n"):
        lines.pop()
    return sorted((Record(**json.loads(line)) for line in lines), key=lambda record: record.mono)


class Exchange(asyncio.Protocol):
    """One connection: sends the request, collects until the server closes, and reports once."""

    def __init__(self, request: bytes, done: Callable[[bytes, str], None]) -> None:
        self.request = request
        self.done = done
        self.data = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.done(bytes(self.data), "reset" if exc else "")


class Load:
    """The running load."""

    def __init__(self, options: argparse.Namespace, records: TextIO) -> None:
        self.options = options
        self.records = records
        self.pattern = re.compile(options.version_body)
        self.open = 0
        self.stopping = asyncio.Event()
        self.idle = asyncio.Event()
        self.all: list[Record] = []
        paths = {"page": options.path, "slow": options.slow_path, "post": options.post_path or options.path}
        paths["static"] = options.static_path
        self.requests = {kind: self.request(kind, path) for kind, path in paths.items()}

    def request(self, kind: str, path: str) -> bytes:
        method, body = ("POST", POST_BODY) if kind == "post" else ("GET", b"")
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.options.host}", "Connection: close", "User-Agent: load"]
        if body:
            lines += [f"Content-Length: {len(body)}", "Content-Type: application/x-www-form-urlencoded"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def run(self) -> None:
        """Start requests on time until the end, and wait for the last answer."""
        options = self.options
        first = time.monotonic() + 0.1
        number = 0
        while not self.stopping.is_set() and (not options.seconds or number < options.seconds * options.rate):
            due = first + number / options.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.start(kind_of(number, options.slow_every, options.post_share, options.static_share), due)
            number += 1
        while self.open:
            self.idle.clear()
            await self.idle.wait()

    def start(self, kind: str, due: float) -> None:
        """Begin one request; its record is written when it is over."""
        at, mono = time.time(), time.monotonic()
        over = False

        def done(data: bytes, trouble: str) -> None:
            nonlocal over
            if over:
                return
            over = True
            timer.cancel()
            self.open -= 1
            if not self.open:
                self.idle.set()
            answer = parse_answer(data)
            why = judge(answer, trouble, self.options.status)
            version = version_of(answer, self.options.version_header, self.pattern) if answer else ""
            self.write(at, mono, due, kind, answer.status if answer else 0, version, why)

        if self.open >= self.options.max_open:
            self.write(at, mono, due, kind, 0, "", "too-many-open")
            return
        self.open += 1
        exchange = Exchange(self.requests[kind], done)
        task = asyncio.ensure_future(self.exchange(exchange, done))
        timer = asyncio.get_running_loop().call_later(self.options.timeout, self.give_up, exchange, task, done)

    async def exchange(self, exchange: Exchange, done: Callable[[bytes, str], None]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: exchange, self.options.address, self.options.port)
        except ConnectionRefusedError:
            done(b"", "refused")
        except OSError:
            done(b"", "unconnected")

    def give_up(self, exchange: Exchange, task: asyncio.Future[None], done: Callable[[bytes, str], None]) -> None:
        done(bytes(exchange.data), "timeout")
        task.cancel()
        if exchange.transport:
            exchange.transport.abort()

    def write(self, at: float, mono: float, due: float, kind: str, status: int, version: str, lost: str) -> None:
        at, mono, lag, seconds = (round(value, 6) for value in (at, mono, mono - due, time.monotonic() - mono))
        record = Record(at, mono, lag, seconds, kind, status, version, lost)
        self.all.append(record)
        self.records.write(json.dumps(asdict(record)) + "\n")

    async def watch(self, stop_file: str) -> None:
        """Keep the records' file up to date, and end the load when the other file is there."""
        while not (stop_file and os.path.exists(stop_file)):
            self.records.flush()
            await asyncio.sleep(STOP_POLL)
        self.stopping.set()


async def main_load(load: Load) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, load.stopping.set)
    watcher = asyncio.ensure_future(load.watch(load.options.stop_file))
    # Looking for garbage stops everything for a moment, and there is next to none.
    gc.freeze()
    gc.set_threshold(100_000)
    await load.run()
    watcher.cancel()


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--host", required=True, help="the Host header")
    add("--records", required=True, metavar="FILE", help="where the JSON lines go")
    add("--address", default="127.0.0.1", help="an address of the loopback (default: 127.0.0.1)")
    add("--port", type=int, default=80)
    add("--rate", type=float, default=200, help="requests a second (default: 200)")
    add("--seconds", type=float, default=0, help="for how long; 0 (default): until the stop file or SIGTERM")
    add("--stop-file", default="", metavar="FILE", help="the load ends when this file appears")
    add("--path", default="/", help="of an ordinary page (default: /)")
    add("--slow-path", default="/slow")
    add("--slow-every", type=int, default=10, metavar="N", help="one request in N is slow (default: 10; 0: none)")
    add("--post-path", default="", help="default: that of the page")
    add("--post-share", type=float, default=0, metavar="SHARE", help="of the requests that aren't slow (default: 0)")
    add("--static-path", default="/static/site.css")
    add("--static-share", type=float, default=0, metavar="SHARE", help="of the requests that aren't slow (default: 0)")
    add("--status", type=int, nargs="+", default=[200], help="wanted statuses (default: 200)")
    add("--version-header", default="X-Release", help="the header that names what answered (default: X-Release)")
    add("--version-body", default=r"^[\w.-]{1,40}$", help="without the header: this in the body (default: one word)")
    add("--timeout", type=float, default=20, help="seconds for one request (default: 20)")
    add("--max-open", type=int, default=2000, help="open connections (default: 2000)")
    options = parser.parse_args(argv)
    if not ipaddress.ip_address(options.address).is_loopback:
        parser.error("--address: only the loopback is asked")
    if not 0 < options.rate <= 2000 or options.post_share + options.static_share > 1:
        parser.error("--rate goes to 2000, and the two shares are at most 1 together")
    return options


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(options.max_open + 50, hard)), hard))
    with open(options.records, "w", encoding="utf-8") as records:
        load = Load(options, records)
        asyncio.run(main_load(load))
    print(json.dumps(summarise(load.all), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
