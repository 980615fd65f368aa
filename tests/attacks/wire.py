"""Requests as bytes, and what comes back. Nothing is corrected on the way, so that a client's faults can be sent."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

SECONDS = 5.0
MOST = 4 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """One answer: `status` is 0 when there was none."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    raw: bytes = b""

    def header(self, name: str) -> str:
        """The first header of that name, or an empty text."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def json(self) -> dict[str, Any]:
        return seen(self.body)

    def __str__(self) -> str:
        return str(self.status) if self.status else "no answer"


def seen(body: bytes) -> dict[str, Any]:
    """What the application saw, if it answered with that."""
    with contextlib.suppress(ValueError):
        found = json.loads(body)
        return found if isinstance(found, dict) else {}
    return {}


@dataclass(frozen=True)
class Site:
    """A site as an attacker reaches it, with `tls` or without. `source` is the address that connections come from."""

    address: str
    port: int
    host: str
    source: str = ""
    tls: bool = False
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    def connect(self, seconds: float = SECONDS, protocols: tuple[str, ...] = (), name: str = "") -> socket.socket:
        """A connection; over TLS with these protocols (ALPN), and to that name instead of the host. Raises OSError."""
        source = (self.source, 0) if self.source else None
        client = socket.create_connection((self.address, self.port), seconds, source_address=source)
        if not self.tls:
            return client
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context.wrap_socket(client, server_hostname=name or self.host)

    def send(self, data: bytes, *, more: bytes = b"", seconds: float = SECONDS, close: bool = False) -> list[Answer]:
        """Send bytes on one connection, and `more` when the first answer is there; return all answers.

        With `close` the end of what is sent is told to the server.
        """
        got = b""
        with contextlib.suppress(OSError), self.connect(seconds) as client:
            with contextlib.suppress(OSError):
                client.sendall(data)
                if close:
                    client.shutdown(socket.SHUT_WR)
            got += receive(client, seconds, b"" if not more else None)
            if more:
                with contextlib.suppress(OSError):
                    client.sendall(more)
                got += receive(client, seconds)
        return answers(got)

    def one(self, data: bytes, **options: Any) -> Answer:
        """The first answer."""
        return next(iter(self.send(data, **options)), Answer())

    def get(self, path: str, *lines: str) -> Answer:
        """An ordinary request with some more header lines."""
        head = [f"GET {path} HTTP/1.1", f"Host: {self.host}", "Connection: close", *lines]
        return self.one("\r\n".join([*head, "", ""]).encode("latin-1"))


def receive(client: socket.socket, seconds: float, stop: bytes | None = b"") -> bytes:
    """All bytes until the end; with `stop` None until one whole answer is there."""
    got = b""
    until = time.monotonic() + seconds
    with contextlib.suppress(OSError):
        while len(got) < MOST:
            client.settimeout(max(0.05, until - time.monotonic()))
            piece = client.recv(65536)
            if not piece:
                break
            got += piece
            if stop is None and (found := answers(got)) and _complete(found[0]):
                break
    return got


def _complete(answer: Answer) -> bool:
    length = answer.header("Content-Length")
    if answer.header("Transfer-Encoding"):
        return answer.raw.endswith(b"0\r\n\r\n")
    return answer.status >= 200 and length.isdigit() and len(answer.body) >= int(length)


def answers(data: bytes) -> list[Answer]:
    """The answers in what came back on one connection."""
    found: list[Answer] = []
    while data.startswith(b"HTTP/") and b"\r\n\r\n" in data:
        head, dummy, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = tuple((name, value.strip()) for name, colon, value in (line.partition(":") for line in lines))
        answer = Answer(int(first.split()[1]), headers)
        length = answer.header("Content-Length")
        if answer.header("Transfer-Encoding").lower() == "chunked":
            body, used = unchunked(rest)
        elif answer.status < 200 or answer.status in (204, 304):
            body, used = b"", 0
        else:
            used = min(len(rest), int(length)) if length.isdigit() else len(rest)
            body = rest[:used]
        found.append(Answer(answer.status, headers, body, head + dummy + rest[:used]))
        data = rest[used:]
    return found


def unchunked(data: bytes) -> tuple[bytes, int]:
    """A body without its chunks, and how many bytes it took."""
    body, place = b"", 0
    while (end := data.find(b"\r\n", place)) >= 0:
        try:
            size = int(data[place:end].split(b";")[0], 16)
        except ValueError:
            break
        start = end + 2
        body += data[start : start + size]
        place = start + size + 2
        if size == 0:
            break
    return body, min(place, len(data))
