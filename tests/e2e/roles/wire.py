"""Requests as a hostile client writes them, byte by byte, and what the echo upstream says about them."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from e2e.support import Site


@dataclass(frozen=True)
class Answer:
    """An answer: the code of its status, its headers as text, its body, and seconds to the body's first piece."""

    status: int
    head: str
    body: bytes
    first_piece: float

    @property
    def seen(self) -> dict[str, str]:
        """The headers that reached the application, by lower-case name; several of one name are joined."""
        seen: dict[str, str] = {}
        for name, value in json.loads(self.body)["headers"]:
            seen[name.lower()] = f"{seen[name.lower()]}, {value}" if name.lower() in seen else value
        return seen


def exchange(site: Site, request: bytes) -> tuple[bytes, list[float]]:
    """All that comes back until the other side closes or resets, and when each piece came, in seconds."""
    address = urlsplit(site.base)
    pieces: list[bytes] = []
    times: list[float] = []
    started = time.monotonic()
    with socket.create_connection((address.hostname, address.port), timeout=15) as connection:
        connection.sendall(request)
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                pieces.append(piece)
                times.append(time.monotonic() - started)
    return b"".join(pieces), times


def ask(
    site: Site,
    target: str = "/",
    headers: Mapping[str, str] | None = None,
    *,
    host: str | None = None,
    body: bytes = b"",
) -> Answer:
    """Sends the request with exactly that target, which no library tidies up, and Host header."""
    fields: dict[str, Any] = {"Host": host or site.name, "Connection": "close", **(headers or {})}
    if body:
        fields["Content-Length"] = len(body)
    head = f"{'POST' if body else 'GET'} {target} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    answer, times = exchange(site, head.encode() + body)
    top, dummy, rest = answer.partition(b"\r\n\r\n")
    text = top.decode()
    if "transfer-encoding: chunked" in text.lower():
        rest = unchunk(rest)
    return Answer(int(text.split()[1]), text, rest, times[0])


def unchunk(data: bytes) -> bytes:
    """A body without the lengths of its chunks (RFC 9112, 7.1)."""
    whole = b""
    while data:
        length, dummy, data = data.partition(b"\r\n")
        size = int(length, 16)
        whole, data = whole + data[:size], data[size + 2 :]
        if not size:
            break
    return whole
