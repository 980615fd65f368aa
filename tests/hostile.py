"""Requests that no browser sends, to see what logs make of them: `hostile.py [--count N] [--seed S] ADDRESS`.

ADDRESS is a port (host:port) or a socket's path. One file without dependencies, so that it runs on a host of the tests.
Each request has a connection and a number of its own; the number stands in the path as /n<number>. Prints one JSON list
with [number, status] for each request that was sent; the status is 0 when there was no answer.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
from collections.abc import Iterator

PIECES = [
    *(
        b'"',
        b"'",
        b"\\",
        b"\\\\",
        b'\\"',
        b"\\u0022",
        b"\\n",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"%s",
        b"%(h)s",
    ),
    *(b"%0a", b"%0d%0a", b"%22", b"%5c", b"%09", b"%ff", b"%ed%a0%80", b"%E2%98%83", b"%2f%2e%2e%2f", b"//", b"$x"),
    *(b"\x85", b"\xa0", b"\xff", b"\xfe\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x98"),
    *(
        "\u2603".encode(),
        "\u00fc".encode(),
        "\U0001f600".encode(),
        "\u2028".encode(),
        "\ufeff".encode(),
        "\uffff".encode(),
    ),
    *(b"a", b"Mozilla/5.0 ", b"https://example.org/?q=1", b" ", b"127.0.0.1", b"x" * 700, b"\xff" * 500, b'"' * 600),
]
# What many servers refuse.
REFUSED = [b"\t", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b[31m", b"\x1f", b"\x7f", b"%00", b"%", b"\x01" * 500]
# What ends a line or a request, for one parser or another.
BREAKS = [b"\r", b"\n", b"\r\n ", b"\r\n\t", b"\n ", b"\0", b"\r\n"]
FIELDS = [
    b"User-Agent",
    b"Referer",
    b"X-Tracking-Id",
    b"X-Request-ID",
    b"X-Forwarded-For",
    b"X-Real-IP",
    b"Host",
    b"Authorization",
]
ODD_LINES = [
    b"GET /n%d",
    b"GET /n%d HTTP/1.2",
    b"GET /n%d HTTP/9.9",
    b"GET /n%d  HTTP/1.1",
    b"get /n%d HTTP/1.1",
    b"G\xcbT /n%d HTTP/1.1",
    b"GET http://elsewhere.test/n%d HTTP/1.1",
    b"GET n%d HTTP/1.1",
    b"/n%d",
    b"\x16\x03\x01\x02/n%d",
    b"GET /n%d HTTP/1.1\0",
    b"OPTIONS /n%d HTTP/1.0",
    b"CONNECT /n%d:443 HTTP/1.1",
    b'GET /n%d" HTTP/1.1',
    b"GET /n%d\tHTTP/1.1",
    b"\r\nGET /n%d HTTP/1.1",
]


def requests(count: int, seed: int) -> Iterator[bytes]:
    """The same requests for the same seed. No request holds an empty line before its end: that would make two of it."""
    chance = random.Random(seed)
    for number in range(count):
        if chance.random() < 0.1:
            line = chance.choice(ODD_LINES) % number
        else:
            path = (
                b"/n%d-" % number
                + text(chance, 0.03).replace(b" ", b"")
                + chance.choice([b"", b"?token=secret&" + text(chance, 0)])
            )
            line = chance.choice([b"GET", b"GET", b"GET", b"HEAD", b"BREW"]) + b" " + path + b" HTTP/1.1"
        names = chance.sample(FIELDS, chance.randint(0, 5))
        lines = [line, b"Connection: close"]
        lines += [] if b"Host" in names and chance.random() < 0.5 else [b"Host: example.org"]
        lines += [name + b": " + text(chance, 0.05) for name in names]
        whole = b"\r\n".join(lines)
        while b"\n\n" in whole or b"\r\n\r\n" in whole or b"\n\r\n" in whole:
            whole = whole.replace(b"\n\n", b"\n").replace(b"\r\n\r\n", b"\r\n").replace(b"\n\r\n", b"\n")
        # Some never end.
        yield whole + (b"" if chance.random() < 0.02 else b"\r\n\r\n")


def text(chance: random.Random, breaks: float) -> bytes:
    """A value of up to eight pieces, or a very long one."""
    pieces = chance.choices(PIECES + REFUSED if chance.random() < 0.1 else PIECES, k=chance.choice([0, 1, 2, 4, 8]))
    if chance.random() < breaks:
        pieces.append(chance.choice(BREAKS) + b"X-More: 1")
    if chance.random() < 0.03:
        pieces.append(chance.choice([b"y", b"\xff", b"\x01", b'"']) * chance.choice([3000, 7000, 9000, 40000]))
    return b"".join(pieces).strip(b"\r\n")


def ask(address: str, request: bytes) -> int:
    """The status of the answer; 0 without one."""
    place = address if address.startswith("/") else (address.rpartition(":")[0], int(address.rpartition(":")[2]))
    got = b""
    with socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET) as client:
        client.settimeout(20)
        client.connect(place)
        try:
            client.sendall(request)
            if not request.endswith(b"\r\n\r\n"):
                client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                got += piece
        except ConnectionError:
            pass
    words = got.split(None, 2)
    return int(words[1]) if len(words) > 1 and got.startswith(b"HTTP/") and words[1].isdigit() else 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sent = [(number, ask(given.address, data)) for number, data in enumerate(requests(given.count, given.seed))]
    print(json.dumps(sent))


if __name__ == "__main__":
    main()
