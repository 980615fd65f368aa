"""Requests that are too large, too strange, or meant for somebody else."""

from __future__ import annotations

import contextlib
import socket

from attacks.table import Field, Seen, Try, add, attack
from attacks.wire import Answer, Site

REFUSED = "refused with 4xx, or no answer; the site serves on"


def alive(site: Site, words: str, good: bool) -> Seen:
    """The same, unless the site does not answer any more."""
    answer = site.get("/alive")
    fine = answer.json().get("uri") == "/alive"
    return Seen(words if fine else f"{words}; then {answer}", good and fine)


def _refused(answer: Answer) -> bool:
    return not answer.status or 400 <= answer.status < 500 or answer.status == 505


def _raw(data: bytes, server: str = "mirror") -> Try:
    def try_it(field: Field) -> Seen:
        site = field[server]
        answer = site.one(data.replace(b"{H}", site.host.encode()), seconds=2)
        return alive(site, f"{answer}", _refused(answer))

    return try_it


def _line(line: bytes, *headers: bytes, server: str = "mirror") -> Try:
    return _raw(b"\r\n".join([line, *(headers or (b"Host: {H}",)), b"Connection: close", b"", b""]), server)


BIG = b"x" * 9000
for _name, _try in {
    "a URI of 9,000 bytes": _line(b"GET /" + BIG + b" HTTP/1.1"),
    "a URI of 2 MB": _line(b"GET /" + b"x" * 2_000_000 + b" HTTP/1.1"),
    "a method of 9,000 letters": _line(b"G" * 9000 + b" / HTTP/1.1"),
    "a header of 9,000 bytes": _line(b"GET / HTTP/1.1", b"Host: {H}", b"X-Big: " + BIG),
    "a header of 2 MB": _line(b"GET / HTTP/1.1", b"Host: {H}", b"X-Big: " + b"x" * 2_000_000),
    "a header name of 9,000 bytes": _line(b"GET / HTTP/1.1", b"Host: {H}", BIG + b": x"),
    "1,000 headers of 100 bytes": _line(
        b"GET / HTTP/1.1", b"Host: {H}", *[b"X-%d: " % n + b"y" * 90 for n in range(1000)]
    ),
    "20,000 empty headers": _line(b"GET / HTTP/1.1", b"Host: {H}", *[b"X-%d:" % n for n in range(20000)]),
    "a cookie of 9,000 bytes": _line(b"GET / HTTP/1.1", b"Host: {H}", b"Cookie: a=" + BIG),
}.items():
    add("oversized", _name, REFUSED, _try)


@attack("oversized", "a body over max_body, with its length", "413 before it is sent")
def body(field: Field) -> Seen:
    site = field["mirror"]
    head = f"POST /big-{field.mark} HTTP/1.1\r\nHost: {site.host}\r\nContent-Length: 900000000\r\n\r\n"
    answer = site.one(head.encode())
    return alive(site, f"{answer}", answer.status == 413)


@attack("oversized", "a body over max_body, in chunks, without a length", "413; the application sees nothing of it")
def chunked(field: Field) -> Seen:
    site = field["mirror"]
    head = f"POST /big-{field.mark} HTTP/1.1\r\nHost: {site.host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = site.one(head.encode() + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 40 + b"0\r\n\r\n")
    seen = site.get(f"/seen?mark={field.mark}").json()["seen"]
    return alive(site, f"{answer}, seen {len(seen)} times", answer.status in (413, 0) and not seen)


for _method in (b"TRACE", b"CONNECT", b"GET\0", b"get", b"", b"\x16\x03\x01"):
    add("methods", f"{_method.decode('latin-1')!r} /", REFUSED, _line(_method + b" / HTTP/1.1"))
add("methods", "CONNECT evil.example.org:443", REFUSED, _line(b"CONNECT evil.example.org:443 HTTP/1.1"))


@attack("methods", "TRACE with a cookie and Max-Forwards", "405; the cookie does not come back")
def trace(field: Field) -> Seen:
    site = field["mirror"]
    data = f"TRACE /x HTTP/1.1\r\nHost: {site.host}\r\nCookie: secret-{field.mark}\r\nMax-Forwards: 0\r\n\r\n"
    answer = site.one(data.encode(), seconds=2)
    return Seen(f"{answer}", answer.status == 405 and field.mark.encode() not in answer.raw)


for _name, _data in {
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/0.9, a bare LF": b"GET /\n",
    "HTTP/1.1 without a host": b"GET / HTTP/1.1\r\n\r\n",
    "HTTP/1.0 without a host": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/2.0 in plain text": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": b"GET / HTTP/3.0\r\nHost: {H}\r\n\r\n",
    "HTTP/01.1": b"GET / HTTP/01.1\r\nHost: {H}\r\n\r\n",
    "FTP/1.1": b"GET / FTP/1.1\r\nHost: {H}\r\n\r\n",
    "no version, then headers": b"GET / \r\nHost: {H}\r\n\r\n",
    "a TLS hello on the plain port": bytes.fromhex("16030100c8010000c40303") + bytes(193),
    "an SSH banner": b"SSH-2.0-Go\r\n\r\n",
    "500 NUL bytes": bytes(500),
    "500 random bytes": bytes((n * 73 + 11) % 256 for n in range(500)) + b"\r\n\r\n",
    "a request line of blanks": b"     \r\n\r\n",
    "a NUL in the path": b"GET /a\0b HTTP/1.1\r\nHost: {H}\r\n\r\n",
    "a control character in a header's name": b"GET / HTTP/1.1\r\nHost: {H}\r\nX\x01Y: 1\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: {H}\r\nno colon here\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: {H}\r\nX-A: a\0b\r\n\r\n",
}.items():
    add("not HTTP", _name, REFUSED, _raw(_data))

for _name, _headers in {
    "a host that no site has": (b"Host: evil.example.org",),
    "the address instead of a name": (b"Host: 127.0.0.1",),
    "localhost": (b"Host: localhost",),
    "an empty host": (b"Host:",),
    "two hosts, the right one first": (b"Host: {H}", b"Host: evil.example.org"),
    "two hosts, the right one last": (b"Host: evil.example.org", b"Host: {H}"),
    "a blank before the colon": (b"Host : {H}",),
    "a folded host": (b"Host:", b" {H}"),
    "a host with a slash": (b"Host: {H}/evil",),
    "a host with a user": (b"Host: {H}@evil.example.org",),
    "a host with a blank": (b"Host: {H} evil.example.org",),
    "a host with a comma": (b"Host: {H},evil.example.org",),
    "a suffix behind the name": (b"Host: {H}.evil.example.org",),
    "a prefix before the name": (b"Host: evil{H}",),
    "a NUL in the host": (b"Host: {H}\0.evil.example.org",),
}.items():
    add("hosts", _name, REFUSED, _line(b"GET / HTTP/1.1", *_headers))


def _says(line: bytes, *headers: bytes) -> Try:
    def try_it(field: Field) -> Seen:
        site = field["mirror"]
        data = b"\r\n".join([line, *headers, b"Connection: close", b"", b""]).replace(b"{H}", site.host.encode())
        answer = site.one(data, seconds=2)
        host = answer.json().get("host", "")
        good = _refused(answer) or (answer.status == 200 and host in (site.host, f"{site.host}:80"))
        return Seen(f"{answer}, host {host or '-'}", good)

    return try_it


HOST = "refused, or the host that chose the site; nothing else reaches the application"
for _name, _try in {
    "an address in the request line, another host": _says(b"GET http://{H}/ HTTP/1.1", b"Host: evil.example.org"),
    "another address in the request line": _says(b"GET http://evil.example.org/ HTTP/1.1", b"Host: {H}"),
    "https in the request line": _says(b"GET https://{H}/ HTTP/1.1", b"Host: evil.example.org"),
    "a user in the request line": _says(b"GET http://evil.example.org@{H}/ HTTP/1.1", b"Host: {H}"),
    "text behind the port": _says(b"GET / HTTP/1.1", b"Host: {H}:80@evil.example.org"),
    "a path behind the port": _says(b"GET / HTTP/1.1", b"Host: {H}:80/evil"),
    "a port that is none": _says(b"GET / HTTP/1.1", b"Host: {H}:99999999"),
    "a script behind the port": _says(b"GET / HTTP/1.1", b'Host: {H}:"><script>'),
    "a dot behind the name": _says(b"GET / HTTP/1.1", b"Host: {H}."),
    "capitals": _says(b"GET / HTTP/1.1", b"Host: MIRROR.TEST"),
}.items():
    add("hosts", _name, HOST, _try)


@attack("hosts", "a thousand connections that say nothing and end", "the site serves on")
def hang_up(field: Field) -> Seen:
    site = field["mirror"]
    for number in range(1000):
        with contextlib.suppress(OSError), site.connect(2) as client:
            if number % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return alive(site, "1000 ended", True)
