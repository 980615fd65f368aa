"""HTTP/2: frames that cost a server more than their sender, and frames that no client would send."""

from __future__ import annotations

import time
from collections.abc import Callable

from attacks.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    exchange,
    frame,
    number,
    pseudo,
    request,
    text,
)
from attacks.table import Field, Seen, Try, add
from attacks.wire import Site

Make = Callable[[Site], bytes]
# A stream that no answer comes on.
NONE = 99999


# Floods: some thousand frames, in one write.
def _streams(made: range) -> list[int]:
    return [1 + 2 * each for each in made]


def reset_at_once(site: Site) -> bytes:
    return b"".join(
        request(pseudo(site, "/slow"), stream=stream) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
        for stream in _streams(range(3000))
    )


def endless_head(site: Site) -> bytes:
    first = frame(HEADERS, END_STREAM, 1, block(pseudo(site, "/slow")))
    return first + frame(CONTINUATION, 0, 1, block([("x-a", "b" * 100)] * 100)) * 300


def empty_continuations(site: Site) -> bytes:
    return frame(HEADERS, END_STREAM, 1, block(pseudo(site, "/slow"))) + frame(CONTINUATION, 0, 1) * 20000


def bomb(site: Site) -> bytes:
    """One line of 4,000 bytes in the table, named 12,000 times: RFC 7541, section 7.3."""
    stored = b"\x40" + text("x-a") + text("b" * 4000)
    return frame(
        HEADERS, END_HEADERS | END_STREAM, 1, block(pseudo(site, "/told")) + stored + number(62, 7, 0x80) * 12000
    )


def many_streams(site: Site) -> bytes:
    return b"".join(request(pseudo(site, "/slow"), stream=stream) for stream in _streams(range(2000)))


FLOODS: dict[str, Make] = {
    "3,000 requests, each taken back at once (rapid reset)": reset_at_once,
    "2,000 requests at once": many_streams,
    "a head of 3 MB in parts (CONTINUATION)": endless_head,
    "20,000 empty parts of a head": empty_continuations,
    "a head of 48 MB in 16 kB (HPACK)": bomb,
    "20,000 SETTINGS": lambda site: frame(SETTINGS, 0, 0) * 20000,
    "20,000 PING": lambda site: frame(PING, 0, 0, bytes(8)) * 20000,
    "20,000 empty DATA": lambda site: (
        frame(HEADERS, END_HEADERS, 1, block(pseudo(site, "/slow", "POST"))) + frame(DATA, 0, 1) * 20000
    ),
    "20,000 PRIORITY": lambda site: b"".join(
        frame(PRIORITY, 0, 1 + 2 * each, b"\0\0\0\0\x10") for each in range(20000)
    ),
}
BROKEN: dict[str, Make] = {
    "a stream with an even number": lambda site: request(pseudo(site, "/told"), stream=2),
    "stream 0": lambda site: frame(HEADERS, END_HEADERS | END_STREAM, 0, block(pseudo(site, "/told"))),
    "DATA without a head": lambda site: frame(DATA, END_STREAM, 1, b"x"),
    "another stream within a head": lambda site: (
        frame(HEADERS, END_STREAM, 1, block(pseudo(site, "/told"))) + request(pseudo(site, "/told"), stream=3)
    ),
    "more padding than there is": lambda site: frame(
        HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + block(pseudo(site, "/told"))
    ),
    "an index beyond the table": lambda site: frame(
        HEADERS, END_HEADERS | END_STREAM, 1, block(pseudo(site, "/told")) + number(4000, 7, 0x80)
    ),
    "an integer without an end": lambda site: frame(
        HEADERS, END_HEADERS | END_STREAM, 1, block(pseudo(site, "/told")) + b"\xff" * 30
    ),
    "a string longer than the head": lambda site: frame(
        HEADERS, END_HEADERS | END_STREAM, 1, block(pseudo(site, "/told")) + b"\x00" + number(100000, 7) + b"x"
    ),
    "PUSH_PROMISE from a client": lambda site: frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02"),
    "SETTINGS of five bytes": lambda site: frame(SETTINGS, 0, 0, b"12345"),
    "SETTINGS with an answer's flag and a value": lambda site: frame(SETTINGS, ACK, 0, b"\0\x03\0\0\0\0"),
    "a window beyond 31 bits": lambda site: frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2,
    "a window of nothing": lambda site: frame(WINDOW_UPDATE, 0, 0, bytes(4)),
    "a frame of 16 MB": lambda site: b"\xff\xff\xff" + bytes([HEADERS, END_HEADERS, 0, 0, 0, 1]) + b"x" * 100000,
}


def _beside_visitors(make: Make) -> Try:
    def try_it(field: Field) -> Seen:
        site = field["secure"]
        reply = exchange(site, make(site), (NONE,), seconds=4.0)[NONE]
        started = time.monotonic()
        after = site.get("/visit")
        took = time.monotonic() - started
        return Seen(f"{reply}; a visitor behind it {after} in {took * 1000:.0f} ms", after.status == 200 and took < 1.0)

    return try_it


def _broken(make: Make) -> Try:
    def try_it(field: Field) -> Seen:
        site = field["secure"]
        reply = exchange(site, make(site), seconds=1.5)[1]
        after = site.get("/visit")
        return Seen(
            f"{reply}; a visitor behind it {after}", reply.status not in range(200, 400) and after.status == 200
        )

    return try_it


for _name, _make in FLOODS.items():
    add("HTTP/2, floods", _name, "the next visitor is answered within a second", _beside_visitors(_make))
for _name, _make in BROKEN.items():
    add("HTTP/2, broken frames", _name, "nothing comes of it, and the next visitor is answered", _broken(_make))
