"""Requests hidden in requests: two readings of where one ends. The application tells what reached it."""

from __future__ import annotations

import re

from attacks.table import Field, Seen, Try, add
from attacks.wire import Site

GOOD = "refused, or read as one request; nothing reaches the application that nginx did not send it"
SERVERS = ("mirror", "tornado", "alone")
# What only a hidden request says.
FORGED = "6.6.6.6"

# Lines of the head, then the body. {L} is the length of the body, {S} a whole hidden request, {D} its length as a chunk
# has it.
CL, TE = "Content-Length: {L}", "Transfer-Encoding: chunked"
HIDDEN = "0\r\n\r\n{S}"
CHUNK = "{D}\r\n{S}\r\n0\r\n\r\n"
FRAMES: dict[str, tuple[list[str], str]] = {
    "CL.TE": ([CL, TE], HIDDEN),
    "TE.CL": ([TE, "Content-Length: 4"], CHUNK),
    "CL.TE, the end of the chunks alone": (["Content-Length: 6", TE], "0\r\n\r\nG"),
    "TE.TE, xchunked": ([CL, "Transfer-Encoding: xchunked"], HIDDEN),
    "TE.TE, a second coding that nobody knows": ([CL, TE, "Transfer-Encoding: x"], HIDDEN),
    "TE.TE, identity first": ([CL, "Transfer-Encoding: identity", TE], HIDDEN),
    "TE.TE, identity, chunked": ([CL, "Transfer-Encoding: identity, chunked"], HIDDEN),
    "TE.TE, chunked, identity": ([CL, "Transfer-Encoding: chunked, identity"], HIDDEN),
    "TE.TE, chunked twice": ([TE, TE], HIDDEN),
    "TE.TE, blank before the colon": ([CL, "Transfer-Encoding : chunked"], HIDDEN),
    "TE.TE, tab before the value": ([CL, "Transfer-Encoding:\tchunked"], HIDDEN),
    "TE.TE, vertical tab before the value": ([CL, "Transfer-Encoding: \x0bchunked"], HIDDEN),
    "TE.TE, no blank": ([CL, "Transfer-Encoding:chunked"], HIDDEN),
    "TE.TE, quoted": ([CL, 'Transfer-Encoding: "chunked"'], HIDDEN),
    "TE.TE, with a parameter": ([CL, "Transfer-Encoding: chunked;q=1"], HIDDEN),
    "TE.TE, capitals": ([CL, "TRANSFER-ENCODING: CHUNKED"], HIDDEN),
    "TE.TE, underscore": ([CL, "Transfer_Encoding: chunked"], HIDDEN),
    "TE.TE, folded name": ([CL, "X: y", " Transfer-Encoding: chunked"], HIDDEN),
    "TE.TE, folded value": ([CL, "Transfer-Encoding:", " chunked"], HIDDEN),
    "TE.TE, folded by a tab": ([CL, "Transfer-Encoding:", "\tchunked"], HIDDEN),
    "TE.TE, behind a bare LF": ([CL, "X: y\nTransfer-Encoding: chunked"], HIDDEN),
    "TE.TE, behind a bare CR": ([CL, "X: y\rTransfer-Encoding: chunked"], HIDDEN),
    "TE.TE, with a NUL": ([CL, "Transfer-Encoding: chunked\0"], HIDDEN),
    "TE.TE, high byte in the name": ([CL, "Transfer-Encod\xefng: chunked"], HIDDEN),
    "TE in a header named by Connection": ([CL, "Connection: close, Content-Length", "X: y"], HIDDEN),
    "CL.CL, two lengths": (["Content-Length: 0", CL], "{S}"),
    "CL.CL, the longer first": ([CL, "Content-Length: 0"], "{S}"),
    "CL.CL, twice the same": ([CL, CL], "{S}"),
    "CL.CL, a list": (["Content-Length: {L}, {L}"], "{S}"),
    "CL with a plus": (["Content-Length: +{L}"], "{S}"),
    "CL with a minus": (["Content-Length: -{L}"], "{S}"),
    "CL in hexadecimal": (["Content-Length: 0x10"], "{S}"),
    "CL with a blank in it": (["Content-Length: 1 0"], "{S}"),
    "CL with letters behind it": (["Content-Length: 10abc"], "{S}"),
    "CL empty": (["Content-Length:"], "{S}"),
    "CL with a comma": (["Content-Length: 0,"], "{S}"),
    "CL beyond 64 bits": (["Content-Length: 18446744073709551617"], "{S}"),
    "CL with an underscore": (["Content_Length: {L}"], "{S}"),
    "CL, blank before the colon": (["Content-Length : {L}"], "{S}"),
    "CL folded": (["Content-Length:", " {L}"], "{S}"),
    "CL behind a bare CR": (["X: y\rContent-Length: {L}"], "{S}"),
    "chunk size beyond 64 bits": ([TE], "10000000000000001\r\nx\r\n0\r\n\r\n{S}"),
    "chunk size negative": ([TE], "-1\r\n{S}\r\n0\r\n\r\n"),
    "chunk size with 0x": ([TE], "0x5\r\nhello\r\n0\r\n\r\n{S}"),
    "chunk size with a plus": ([TE], "+5\r\nhello\r\n0\r\n\r\n{S}"),
    "chunk size with an underscore": ([TE], "1_0\r\nhello\r\n0\r\n\r\n{S}"),
    "chunk size empty": ([TE], "\r\nhello\r\n0\r\n\r\n{S}"),
    "chunk extension that ends at a bare LF": ([TE], "5;\nhello\r\n{D}\r\n{S}\r\n0\r\n\r\n"),
    "chunk extension with quotes and a line": ([TE], '5;a="\n"\r\nhello\r\n{D}\r\n{S}\r\n0\r\n\r\n'),
    "chunk extension of 60,000 bytes": ([TE], "5;" + "a" * 60000 + "\r\nhello\r\n0\r\n\r\n{B}"),
    "chunk longer than it says": ([TE], "5\r\nhello{S}\r\n0\r\n\r\n"),
    "chunk without its end of line": ([TE], "5\r\nhello0\r\n\r\n{S}"),
    "chunk size, blank behind it": ([TE], "5 \r\nhello\r\n0\r\n\r\n{B}"),
    "trailers that look like a head": ([TE], "0\r\nContent-Length: 5\r\nX-Real-IP: 6.6.6.6\r\n\r\n{B}"),
    "upgrade to h2c": (["Upgrade: h2c", "HTTP2-Settings: AAMAAABk", "Connection: Upgrade, HTTP2-Settings"], "{S}"),
    "upgrade to a websocket, then a request": (["Upgrade: websocket", "Connection: Upgrade"], "{S}"),
    "Expect, obfuscated": ([CL, "Expect: y 100-continue"], "{S}"),
    "Expect twice": ([CL, "Expect: 100-continue", "Expect: x"], "{S}"),
}  # fmt: skip
# Here the second part is a request of its own by every reading: nginx may pass it on, as one it has read itself.
PIPELINED = ("upgrade to", "CL empty", "CL with an underscore", "CL in hex", "chunk size, blank", "chunk size with 0x")


def hidden(mark: str, host: str) -> str:
    """The request that must not be taken for one."""
    lines = [f"GET /smuggled-{mark} HTTP/1.1", f"Host: {host}", f"X-Real-IP: {FORGED}", "X-Request-ID: 0"]
    return "\r\n".join([*lines, "", ""])


def framed(name: str, mark: str, host: str, path: str) -> bytes:
    """The bytes of one attack."""
    lines, form = FRAMES[name]
    inner = hidden(mark, host)
    # Twice, because the length stands in the body as well.
    body = form.replace("{S}", inner).replace("{D}", f"{len(inner):x}").replace("{B}", "")
    head = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: text/plain", *lines, "", ""]
    text = "\r\n".join(head).replace("{L}", str(len(body))) + body
    return text.encode("latin-1")


def judged(site: Site, mark: str, sent: bytes, *, pipelined: bool) -> Seen:
    """Send it with an ordinary request behind it, ask again on new connections, and see what the application saw."""
    after = f"GET /after-{mark} HTTP/1.1\r\nHost: {site.host}\r\nConnection: close\r\n\r\n".encode()
    got = site.send(sent, more=after, seconds=1.5)
    faults = left_behind(site, mark, pipelined=pipelined)
    return Seen("; ".join([", ".join(map(str, got)) or "no answer", *faults]), not faults)


def left_behind(site: Site, mark: str, *, pipelined: bool = False) -> list[str]:
    """What is wrong afterwards: with the answers to the next visitors, and with what the application saw."""
    faults = []
    for number in range(3):
        answer = site.get(f"/next-{mark}-{number}")
        if answer.json().get("uri") != f"/next-{mark}-{number}":
            faults.append(f"the answer to the next visitor is that to {answer.json().get('uri', answer)}")
    for seen in site.get(f"/seen?mark={mark}").json()["seen"]:
        identity = seen["headers"].get("X-Request-Id", "")
        if seen["headers"].get("X-Real-Ip") == FORGED or not re.fullmatch("[0-9a-f]{32}", identity):
            faults.append(f"the application saw {seen['method']} {seen['uri']}, which nginx did not send")
        elif f"smuggled-{mark}" in seen["uri"] and not pipelined:
            faults.append("the hidden request was answered")
    return faults


def _try(server: str, name: str, path: str) -> Try:
    def try_it(field: Field) -> Seen:
        site = field[server]
        pipelined = name.startswith(PIPELINED)
        return judged(
            site, field.mark, framed(name, field.mark, site.host, path.format(field.mark)), pipelined=pipelined
        )

    return try_it


for _server in SERVERS:
    for _name in FRAMES:
        add(f"smuggling ({_server})", _name, GOOD, _try(_server, _name, "/first-{}"))
for _name in FRAMES:
    _form = "/unbuffered/first-{}"
    add("smuggling (mirror)", f"{_name}, passed on unbuffered", GOOD, _try("mirror", _name, _form))
for _name in ("CL.TE", "TE.CL", "upgrade to h2c", "upgrade to a websocket, then a request", "Expect, obfuscated"):
    add("smuggling (mirror)", f"{_name}, where websockets are let through", GOOD, _try("mirror", _name, "/ws/first-{}"))
    add("smuggling (mirror)", f"{_name}, where nothing is buffered", GOOD, _try("mirror", _name, "/events/first-{}"))
