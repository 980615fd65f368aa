"""HTTP/2's own ways: its headers can say what no line of HTTP/1.1, which is what the application gets, can hold."""

from __future__ import annotations

from dataclasses import dataclass

from attacks.forging import FAKE, FORGERIES, TRUTH, believed
from attacks.frames import PREFACE, SETTINGS, Lines, exchange, frame, pseudo, request
from attacks.paths import SECRETS, TARGETS
from attacks.smuggling import hidden, left_behind
from attacks.table import Field, Seen, Try, add, attack
from attacks.wire import Site

ONE = "refused, or one request that says to the application what was meant; no other reaches it"
GROUP = "HTTP/2"
CRLF = "\r\n"


def asked(site: Site, mark: str, sent: bytes) -> Seen:
    """Send frames; look at the answer, at the next visitors' and at what the application saw."""
    reply = exchange(site, sent, seconds=1.5)[1]
    faults = left_behind(site, mark)
    saw = reply.json()
    if saw:
        truth = {"host": site.host, "scheme": "https", "remote": site.marks["own"], "prefix": ""}
        faults += [f"{key} is {saw[key]!r}" for key, right in truth.items() if saw[key] != right]
        faults += [f"{name!r} in a header" for name, value in saw["headers"].items() if mark in name + value]
    return Seen("; ".join([str(reply), *faults]), not faults)


@dataclass(frozen=True)
class Head:
    """How the lines of an ordinary request become those of an attack: what goes, and what comes. {M} is the mark."""

    without: str
    lines: tuple[tuple[str, str], ...]


def _instead(name: str, *values: str) -> Head:
    return Head(name, tuple((name, value) for value in values))


def _beside(*lines: tuple[str, str]) -> Head:
    return Head("", lines)


SMUGGLED = "GET /smuggled-{M} HTTP/1.1\r\nHost: secure.test\r\n\r\n"
HEADS: dict[str, Head] = {
    "two :path": _instead(":path", "/first-{M}", "/smuggled-{M}"),
    "two :authority": _instead(":authority", "secure.test", "evil.example.org"),
    "two :method": _instead(":method", "GET", "POST"),
    "two :scheme": _instead(":scheme", "https", "http"),
    "no :path": _instead(":path"),
    "no :method": _instead(":method"),
    "no :scheme": _instead(":scheme"),
    ":path empty": _instead(":path", ""),
    ":path without a slash": _instead(":path", "first-{M}"),
    ":path with a host": _instead(":path", "http://evil.example.org/first-{M}"),
    ":path *": _instead(":path", "*"),
    ":path with a blank and a version": _instead(":path", "/first-{M} HTTP/1.1"),
    ":path with a line": _instead(":path", "/first-{M} HTTP/1.1\r\nX-Evil: {M}\r\n\r\n" + SMUGGLED),
    ":path with a bare LF": _instead(":path", "/first-{M}\nX-Evil: {M}"),
    ":path with a NUL": _instead(":path", "/first-{M}\0/x"),
    ":path with a tab": _instead(":path", "/first-{M}\tHTTP/1.0"),
    ":path with a fragment": _instead(":path", "/first-{M}#/x"),
    ":path with bytes above 127": _instead(":path", "/first-{M}\xff\xfe"),
    ":method with a line": _instead(":method", "GET /smuggled-{M} HTTP/1.1\r\nHost: secure.test\r\n\r\nGET"),
    ":method with a blank": _instead(":method", "GET /smuggled-{M}"),
    ":method with a byte above 127": _instead(":method", "G\xc9T"),
    ":method in small letters": _instead(":method", "get"),
    ":method empty": _instead(":method", ""),
    ":method CONNECT": _instead(":method", "CONNECT"),
    ":scheme with a line": _instead(":scheme", "https\r\nX-Evil: {M}"),
    ":scheme with a host": _instead(":scheme", "https://evil.example.org/?"),
    ":scheme javascript": _instead(":scheme", "javascript"),
    ":authority with a line": _instead(":authority", "secure.test\r\nX-Evil: {M}"),
    ":authority with a user": _instead(":authority", "secure.test:x@evil.example.org"),
    ":authority with a path": _instead(":authority", "secure.test/evil"),
    ":authority of another site": _instead(":authority", "evil.example.org"),
    ":authority empty": _instead(":authority", ""),
    "host beside :authority": _beside(("host", "evil.example.org")),
    "two host beside :authority": _beside(("host", "secure.test"), ("host", "evil.example.org")),
    "a pseudo header behind others": _beside(("x-first", "y"), (":path", "/smuggled-{M}")),
    "an unknown pseudo header": _beside((":evil", "{M}")),
    ":status in a request": _beside((":status", "200")),
    ":protocol websocket": _beside((":protocol", "websocket")),
    "a name in capitals": _beside(("X-Evil", "{M}")),
    "a name with a line": _beside(("x-a: y\r\nx-evil", "{M}")),
    "a name with a colon": _beside(("x-real-ip:", FAKE), ("x-evil:", "{M}")),
    "a name with a blank": _beside(("x-evil ", "{M}")),
    "a name with an underscore": _beside(("x_evil", "{M}")),
    "a name with a NUL": _beside(("x-evil\0", "{M}")),
    "an empty name": _beside(("", "{M}")),
    "a value with a line": _beside(("x-other", "y\r\nX-Evil: {M}")),
    "a value with a hidden request": _beside(("x-other", "y\r\n\r\n" + SMUGGLED)),
    "a value with a bare LF": _beside(("x-other", "y\nX-Evil: {M}")),
    "a value with a bare CR": _beside(("x-other", "y\rX-Evil: {M}")),
    "a value with a NUL": _beside(("x-other", "y\0{M}")),
    "transfer-encoding: chunked": _beside(("transfer-encoding", "chunked")),
    "connection: keep-alive": _beside(("connection", "keep-alive, x-real-ip, x-forwarded-for, host")),
    "upgrade: websocket": _beside(("connection", "upgrade"), ("upgrade", "websocket")),
    "proxy-connection, keep-alive": _beside(("proxy-connection", "keep-alive"), ("keep-alive", "timeout=100")),
    "te: gzip": _beside(("te", "gzip")),
    "expect: 100-continue": _beside(("expect", "100-continue")),
    "http2-settings": _beside(("http2-settings", "AAMAAABk")),
}  # fmt: skip
BODIES: dict[str, list[tuple[str, str]]] = {
    "content-length 0 and a body": [("content-length", "0")],
    "content-length shorter than the body": [("content-length", "5")],
    "content-length longer than the body": [("content-length", "1000000")],
    "two content-lengths": [("content-length", "0"), ("content-length", "5")],
    "content-length with a plus": [("content-length", "+0")],
    "content-length a list": [("content-length", "0, 0")],
    "content-length with a line": [("content-length", "0\r\n\r\n" + SMUGGLED)],
    "content-length with an underscore": [("content_length", "0")],
    "no content-length": [],
    "transfer-encoding: chunked": [("transfer-encoding", "chunked")],
    "transfer-encoding: chunked, and a length": [("transfer-encoding", "chunked"), ("content-length", "0")],
    "transfer-encoding in a value's second line": [("x-other", "y\r\nTransfer-Encoding: chunked")],
    "transfer-encoding in capitals": [("Transfer-Encoding", "chunked")],
}


def _head(name: str) -> Try:
    def try_it(field: Field) -> Seen:
        site, head = field["secure"], HEADS[name]
        kept = [line for line in pseudo(site, f"/first-{field.mark}") if line[0] != head.without]
        lines = [(key.replace("{M}", field.mark), value.replace("{M}", field.mark)) for key, value in head.lines]
        return asked(site, field.mark, request([*kept, *lines]))

    return try_it


def _body(name: str, path: str) -> Try:
    def try_it(field: Field) -> Seen:
        site = field["secure"]
        inner = hidden(field.mark, site.host)
        body = f"0{CRLF}{CRLF}{inner}" if "chunked" in name else inner
        given = [(key, value.replace("{M}", field.mark)) for key, value in BODIES[name]]
        lines = [*pseudo(site, path.format(field.mark), "POST"), ("content-type", "text/plain"), *given]
        return asked(site, field.mark, request(lines, body.encode()))

    return try_it


for _name in HEADS:
    add(GROUP, _name, ONE, _head(_name))
for _name in BODIES:
    add(GROUP, f"a hidden request as a body, {_name}", ONE, _body(_name, "/first-{}"))
    add(GROUP, f"a hidden request as a body passed on unbuffered, {_name}", ONE, _body(_name, "/unbuffered/first-{}"))


@attack(GROUP, "an ordinary request, and one with a body", "both are answered: the rows beside mean it")
def ordinary(field: Field) -> Seen:
    site = field["secure"]
    asking = request(pseudo(site, "/told"))
    posting = request([*pseudo(site, "/told", "POST"), ("content-length", "5")], b"hello", stream=3)
    got = exchange(site, asking + posting, (1, 3))
    right = [(each.status, each.json().get("host"), each.json().get("body")) for each in got.values()]
    return Seen(f"{got[1]}, {got[3]}", right == [(200, site.host, 0), (200, site.host, 5)])


def _claim(name: str, value: str, *, trailing: bool = False) -> Try:
    def try_it(field: Field) -> Seen:
        site = field["secure"]
        line = [(name.lower(), value)]
        lines: Lines = pseudo(site, "/told", "POST" if trailing else "GET")
        sent = request(lines, b"x", trailers=line) if trailing else request([*lines, *line])
        return believed(site, exchange(site, sent)[1], name, value, site.marks["own"])

    return try_it


# The scheme is told as it is not: "https" is the truth here.
FORGED = {**FORGERIES, "X-Forwarded-Proto": "ws"}
for _name, _value in FORGED.items():
    add(f"{GROUP}, forged headers", f"{_name.lower()}: {_value}", TRUTH, _claim(_name, _value))
for _name in ("X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto", "Host", "Content-Length"):
    add(f"{GROUP}, forged headers", f"{_name.lower()} behind the body", TRUTH,
        _claim(_name, FORGED.get(_name, "6.6.6.6"), trailing=True))  # fmt: skip


def _traversal(path: str) -> Try:
    def try_it(field: Field) -> Seen:
        site = field["secure"]
        reply = exchange(site, request(pseudo(site, path.format(host=site.host))))[1]
        return Seen(str(reply), not any(secret in reply.body for secret in SECRETS))

    return try_it


for _path in TARGETS:
    add(f"{GROUP}, path traversal", _path, "no file", _traversal(_path))


def _another(host: str) -> Try:
    """Shake hands for one site and ask for another on the same connection."""

    def try_it(field: Field) -> Seen:
        site, target = field["secure"], field["vault"]
        wanted = target.host if host == "vault" else host
        lines = [*pseudo(site, "/private")[:2], (":authority", wanted), (":path", "/private")]
        first = request(pseudo(site, "/told"))
        got = exchange(site, first + request(lines, stream=3), (1, 3))
        return Seen(f"{got[1]}, then {got[3]}", got[1].status == 200 and not got[3].json())

    return try_it


for _name, _host in {
    "another site of this host, which asks for a password": "vault",
    "a host that is not here": "evil.example.org",
    "the address": "127.0.0.1",
}.items():
    add(GROUP, f"a connection for one site, a request for {_name}", "421, or what that one asks for itself",
        _another(_host))  # fmt: skip


@attack(
    GROUP, "upgrade: websocket where websockets are let through", "the application is not asked to leave the protocol"
)
def upgraded(field: Field) -> Seen:
    """Bytes of a websocket would stand between the frames, and could be an answer to another visitor."""
    site = field["secure"]
    lines = [*pseudo(site, "/ws/told"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
    reply = exchange(site, request(lines))[1]
    got = reply.json().get("headers", {}).get("Upgrade")
    return Seen(f"{reply}, {got or 'no upgrade'}", reply.status == 200 and not got)


@attack(GROUP, "in the clear: the preface, and an upgrade, on port 80", "HTTP/1.1 or nothing")
def in_the_clear(field: Field) -> Seen:
    site = field["mirror"]
    head = f"GET /told HTTP/1.1\r\nHost: {site.host}\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    got = [site.send(PREFACE + frame(SETTINGS, 0, 0), seconds=1.0),
           site.send((head + "Connection: Upgrade, HTTP2-Settings, close\r\n\r\n").encode(), seconds=2.0)]  # fmt: skip
    statuses = [[answer.status for answer in answers] for answers in got]
    return Seen(str(statuses), 101 not in statuses[1] and statuses[0] in ([], [400], [505]))
