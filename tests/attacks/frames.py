"""HTTP/2 as bytes (RFC 9113, and RFC 7541 for headers). Nothing is corrected, so that a client's faults can be sent."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from attacks.wire import Site, seen

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 0x1, 0x4, 0x8, 0x1
# RFC 7541, appendix A: the statuses of the static table. nginx writes others as three digits behind index 8.
_STATUSES = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}

Lines = Iterable[tuple[bytes | str, bytes | str]]


@dataclass
class Reply:
    """What came back on a stream. `reset` and `ended` are error codes: of the stream, of the connection."""

    status: int = 0
    body: bytes = b""
    reset: int | None = None
    ended: int | None = None

    def json(self) -> dict[str, Any]:
        return seen(self.body)

    def __str__(self) -> str:
        if self.status:
            return str(self.status)
        if self.reset is not None:
            return f"stream refused ({self.reset})"
        return f"connection ended ({self.ended})" if self.ended is not None else "no answer"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def number(value: int, bits: int, first: int = 0) -> bytes:
    """An integer with a prefix of some bits: RFC 7541, section 5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    found, value = [first | most], value - most
    while value >= 128:
        found.append(value % 128 + 128)
        value //= 128
    return bytes([*found, value])


def text(value: bytes | str) -> bytes:
    """A string as it is, without Huffman's code."""
    data = value.encode("latin-1") if isinstance(value, str) else value
    return number(len(data), 7) + data


def block(lines: Lines) -> bytes:
    """Header lines, each as a literal that is not indexed."""
    return b"".join(b"\x00" + text(name) + text(value) for name, value in lines)


def pseudo(site: Site, path: str, method: str = "GET") -> list[tuple[bytes | str, bytes | str]]:
    """The lines that each request begins with."""
    return [(":method", method), (":scheme", "https"), (":authority", site.host), (":path", path)]


def request(lines: Lines, body: bytes | None = None, stream: int = 1, trailers: Lines = ()) -> bytes:
    """The frames of one request."""
    last = list(trailers)
    flags = END_HEADERS | (END_STREAM if body is None and not last else 0)
    made = frame(HEADERS, flags, stream, block(lines))
    if body is not None or last:
        made += frame(DATA, 0 if last else END_STREAM, stream, body or b"")
    return made + (frame(HEADERS, END_HEADERS | END_STREAM, stream, block(last)) if last else b"")


def exchange(site: Site, sent: bytes, streams: Iterable[int] = (1,), seconds: float = 3.0) -> dict[int, Reply]:
    """Send frames on a connection of its own; return what came back until each of the streams has ended."""
    found = {stream: Reply() for stream in streams}
    open_ones = set(found)
    with contextlib.suppress(OSError), site.connect(seconds, ("h2",)) as client:
        with contextlib.suppress(OSError):
            client.sendall(PREFACE + frame(SETTINGS, 0, 0) + sent)
        got, until = b"", time.monotonic() + seconds
        while open_ones and time.monotonic() < until:
            client.settimeout(max(0.05, until - time.monotonic()))
            piece = client.recv(65536)
            if not piece:
                break
            got += piece
            for kind, flags, stream, payload in parts(got):
                take(found, open_ones, (kind, flags, stream, payload))
            got = got[len(got) - left(got) :]
    return found


def take(found: dict[int, Reply], open_ones: set[int], part: tuple[int, int, int, bytes]) -> None:
    """Note what one frame says."""
    kind, flags, stream, payload = part
    if kind == GOAWAY:
        for each in open_ones:
            found[each].ended = struct.unpack(">I", payload[4:8])[0]
        return
    if stream not in found:
        return
    if kind == HEADERS:
        found[stream].status = found[stream].status or status_of(payload)
    elif kind == DATA:
        found[stream].body += payload
    elif kind == RST_STREAM:
        found[stream].reset = struct.unpack(">I", payload)[0]
    if kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM):
        open_ones.discard(stream)


def parts(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The whole frames in some bytes."""
    while len(data) >= 9 and len(data) >= 9 + (size := int.from_bytes(data[:3], "big")):
        kind, flags, stream = struct.unpack(">BBI", data[3:9])
        yield kind, flags, stream & 0x7FFFFFFF, data[9 : 9 + size]
        data = data[9 + size :]


def left(data: bytes) -> int:
    """How many bytes of a frame that is not whole yet stand at the end."""
    return len(data) - sum(9 + len(payload) for dummy, dummy, dummy, payload in parts(data))


def status_of(payload: bytes) -> int:
    """The status of an answer, which stands first; a new size of the table may stand before it."""
    while payload and payload[0] & 0xE0 == 0x20:
        payload = payload[1:]
    if payload[:1] and payload[0] in _STATUSES:
        return _STATUSES[payload[0]]
    return int(payload[2:5]) if payload[:2] in (b"\x48\x03", b"\x08\x03") else 0
