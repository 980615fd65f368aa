"""What comes back: header lines that a visitor writes into answers, redirects that lead away, ranges, versions."""

from __future__ import annotations

import re

from attacks.table import Field, Seen, Try, add, attack
from attacks.wire import Site

SPLIT = (
    "%0d%0aX-Injected:%20yes",
    "%0aX-Injected:%20yes",
    "%0d%0a%0d%0a<html>",
    "%E5%98%8D%E5%98%8AX-Injected:%20yes",
    "%u000aX-Injected:%20yes",
)
NONE = "no header of the visitor's making; what redirects leads to the site itself"
# Each is asked with each of the forms above at its end.
PLACES = ("/go?to=/next", "/cookie?value=x", "/static/deep", "/")


def injected(site: Site, path: str) -> Seen:
    """Ask for a path, and look for a header of ours in the answer, or for a second answer."""
    data = f"GET {path} HTTP/1.1\r\nHost: {site.host}\r\nConnection: close\r\n\r\n".encode()
    got = site.send(data)
    faults = []
    for answer in got:
        faults += [f"{name}: {value}" for name, value in answer.headers if name.lower() == "x-injected"]
        head = answer.raw.partition(b"\r\n\r\n")[0]
        if re.search(rb"\n(?i:x-injected)", head) or b"\r" in head.replace(b"\r\n", b""):
            faults.append("a line in the head")
    if len(got) > 1:
        faults.append(f"{len(got)} answers")
    words = f"{', '.join(map(str, got)) or 'no answer'}"
    return Seen("; ".join([words, *faults]), not faults)


def _inject(place: str, form: str) -> Try:
    return lambda field: injected(field["mirror"], place + form)


for _place in PLACES:
    for _form in SPLIT:
        add("header injection", _place + _form, NONE, _inject(_place, _form))


def leads_away(site: Site, target: str, host: str = "") -> Seen:
    """Whether a redirect that nginx makes by itself leads to another host."""
    data = f"GET {target} HTTP/1.1\r\nHost: {host or site.host}\r\nConnection: close\r\n\r\n".encode()
    answer = site.one(data)
    where = answer.header("Location")
    away = bool(re.match(r"(?i)(https?:)?[/\\]{2,}(?!" + re.escape(site.host) + r"(?::80)?(/|$))", where))
    return Seen(f"{answer}{', to ' + where if where else ''}", not away)


def _away(target: str, host: str) -> Try:
    return lambda field: leads_away(field["mirror"], target, host)


for _target, _host in (
    ("//evil.example.org/", ""),
    ("//evil.example.org/..;/static/deep", ""),
    ("//evil.example.org/../static/deep", ""),
    ("/%2fevil.example.org/%2e%2e/static/deep", ""),
    ("/static//evil.example.org/../deep", ""),
    ("/\\evil.example.org/../static/deep", ""),
    ("/static/deep", ""),
    ("/static/deep", "mirror.test:80@evil.example.org"),
    ("/static/deep", "mirror.test:8443"),
    ("http://mirror.test/static/deep", "evil.example.org"),
):
    add("redirects", f"{_target}{' as ' + _host if _host else ''}", NONE, _away(_target, _host))


def _range(value: str) -> Try:
    def try_it(field: Field) -> Seen:
        site = field["mirror"]
        whole = site.get("/static/large.txt")
        got = site.get("/static/large.txt", f"Range: {value}")
        limit = len(whole.body) * 1.2 + 20000
        good = got.status in (200, 206, 400, 416) and len(got.raw) < limit
        return Seen(f"{got}, {len(got.raw)} bytes for a file of {len(whole.body)}", good)

    return try_it


for _name, _value in {
    "1,300 ranges over each other": "bytes=" + ",".join(f"{n}-" for n in range(1300)),
    "750 ranges of one byte": "bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(750)),
    "1,000 times the first byte": "bytes=" + ",".join(["0-0"] * 1000),
    "beyond 64 bits": "bytes=-9223372036854775809, -9223372036854775608",
    "from the end to the beginning": "bytes=500-100",
    "another unit": "lines=0-1000000000",
}.items():
    add("ranges", _name, "no answer much larger than the file", _range(_value))


@attack("answers", "the version of nginx and of the application's server", "no version in headers and error pages")
def versions(field: Field) -> Seen:
    site = field["mirror"]
    got = [site.get("/"), site.get("/static/none"), site.one(b"GET / HTTP/1.1\r\n\r\n"), site.get("/raise")]
    text = b"\n".join(answer.raw for answer in got)
    found = re.findall(rb"(?i)(?:nginx|gunicorn|werkzeug|python|tornado|gevent)/[0-9.]+", text)
    powered = [answer.header("X-Powered-By") for answer in got if answer.header("X-Powered-By")]
    servers = {answer.header("Server") for answer in got}
    return Seen(f"Server: {', '.join(sorted(servers))}; {found or 'no version'}", not found and not powered)


@attack("answers", "a page that raises an error", "500 without a traceback, and no debugger")
def traceback(field: Field) -> Seen:
    answer = field["mirror"].get("/raise")
    told = [word for word in (b"Traceback", b"MARK-OF-THE-SOURCE", b"__debugger__", b"File ") if word in answer.raw]
    return Seen(f"{answer}, {told or 'nothing told'}", answer.status == 500 and not told)


@attack("answers", "/console and ?__debugger__=yes", "no debugger")
def debugger(field: Field) -> Seen:
    got = [field["mirror"].get(path) for path in ("/console", "/?__debugger__=yes&cmd=resource&f=debugger.js")]
    return Seen(
        ", ".join(map(str, got)),
        not any(
            b"EVALEX" in answer.raw or (b"debugger.js" in answer.raw.lower() and not answer.json()) for answer in got
        ),
    )
