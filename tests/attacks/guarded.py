"""Ways around what a site asks first: a password, an address, patience. And what its redirects make of a path."""

from __future__ import annotations

import posixpath
import re

from attacks.answers import NONE, SPLIT, injected, leads_away
from attacks.forging import FAKE
from attacks.table import Field, Seen, Try, add, attack
from attacks.wire import Site

# {P} is the part that is guarded, {F} one that is free.
AROUND = (
    "{P}",
    "/{P}",
    "//{P}",
    "/.{P}",
    "/x/..{P}",
    "{P}/",
    "{P}//",
    "{P}/.",
    "{P}?x={F}",
    "{P}#{F}",
    "{P};x=1",
    "{P}%20",
    "{P}%09",
    "{P}%00",
    "{P}%2f",
    "%2f{P}",
    "{F}..{P}",
    "{F}%2e%2e{P}",
    "{F}..%2f{p}",
    "{F}%2e%2e%2f{p}",
    "{F}..%252f{p}",
    "{F}%252e%252e{P}",
    "{F}..;{P}",
    "{F}.;/..{P}",
    "{F}..\\{p}",
    "{F}..%5c{p}",
    "{F}x/../..{P}",
    "{P}/..{F}",
    "{P}/%2e%2e{F}",
    "{P}/x/../..{F}",
    "http://{H}{P}",
    "http://{H}/{P}",
)
LINES = (
    "X-Original-URL: {F}",
    "X-Rewrite-URL: {F}",
    "X-Forwarded-Uri: {F}",
    "X-Forwarded-User: ada",
    "Remote-User: ada",
)
ADDRESSES = ("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Client-IP: 127.0.0.1")
CLOSED = "401 or 403, another page, or no answer; never the guarded one"


def reached(site: Site, target: str, guarded: str, *lines: str, method: str = "GET") -> Seen:
    """Ask, and see whether the application answered for the guarded part, whether it resolves dots in paths or not."""
    words = {"P": guarded, "p": guarded[1:], "F": "/open/", "H": site.host}
    head = [f"{method} {target.format(**words)} HTTP/1.1", f"Host: {site.host}", "Connection: close"]
    data = "\r\n".join([*head, *(line.format(**words) for line in lines), "", ""])
    answer = site.one(data.encode("latin-1"))
    path = re.sub("/+", "/", str(answer.json().get("path", "/-")))
    inside = any(each == guarded or each.startswith(f"{guarded}/") for each in (path, posixpath.normpath(path)))
    return Seen(f"{answer}{', for ' + path if answer.json() else ''}", not inside)


def _around(name: str, target: str, guarded: str, *lines: str, method: str = "GET") -> Try:
    return lambda field: reached(field[name], target, guarded, *lines, method=method)


for _target in AROUND:
    add("passwords", _target.replace("{F}", "/open/").replace("{P}", "/private").replace("{p}", "private"), CLOSED,
        _around("locked", _target, "/private"))  # fmt: skip
    add("addresses", _target.replace("{F}", "/open/").replace("{P}", "/inner").replace("{p}", "inner"), CLOSED,
        _around("mirror", _target, "/inner"))  # fmt: skip
for _line in (
    *LINES,
    "Authorization: Basic",
    "Authorization: Basic Og==",
    "Authorization: Basic YWRhOg==",
    "Cookie: auth=1",
):
    add("passwords", f"/private with {_line.format(F='/open/')}", CLOSED, _around("locked", "{P}", "/private", _line))
# "ada" and a line of somebody's making, which nginx would write into its error log as it is.
add("passwords", "/private as a user with a line in the name", CLOSED,
    _around("locked", "{P}", "/private", "Authorization: Basic YWRhClttYWRlIHVwXSBhIGxpbmUbWzMxbTp4"))  # fmt: skip
for _line in ADDRESSES:
    add("addresses", f"/inner with {_line}", CLOSED, _around("mirror", "{P}", "/inner", _line))
for _method in ("HEAD", "POST", "PUT", "OPTIONS", "PROPFIND", "BREW"):
    add("passwords", f"{_method} /private", CLOSED, _around("locked", "{P}", "/private", method=_method))


@attack("passwords", "/open/ without, and /private with the password", "both 200: the rows above mean it")
def unlocked(field: Field) -> Seen:
    site = field["locked"]
    got = [site.get("/open/x").status, site.get("/private", "Authorization: Basic YWRhOmxvdmVsYWNl").status]
    return Seen(str(got), got == [200, 200])


@attack("passwords", "what the application sees of the password, and files without it", "files ask for it as well")
def files(field: Field) -> Seen:
    got = [field["locked"].get(path).status for path in ("/static/style.css", "/static../mirror.py", "/static/.env")]
    return Seen(str(got), not set(got) & {200, 206})


@attack(
    "patience",
    "60 requests at once to a limit of 1 a second and 5 more, each for another address",
    "all but a few are 429",
)
def impatient(field: Field) -> Seen:
    site = field["mirror"]
    got = [
        site.get("/limited", f"X-Forwarded-For: 10.0.0.{number}", f"X-Real-IP: 10.0.0.{number}") for number in range(60)
    ]
    answered = sum(answer.status == 200 for answer in got)
    refused = sum(answer.status == 429 for answer in got)
    return Seen(f"{answered} answered, {refused} refused", answered <= 15 and answered + refused == 60)


@attack("patience", "paths that mean the same to the application", "the limit counts them together")
def paths(field: Field) -> Seen:
    forms = ("/limited", "//limited", "/./limited", "/%6cimited", "/x/../limited")
    got = [field["mirror"].get(forms[number % len(forms)]) for number in range(60)]
    answered = sum(answer.status == 200 for answer in got)
    return Seen(f"{answered} of 60 answered", 0 < answered <= 15)


@attack(
    "patience",
    "a visitor behind a trusted proxy claims another address each time",
    "one limit for the address that the proxy names",
)
def behind(field: Field) -> Seen:
    site = field["proxied by a trusted one"]
    lines = [f"X-Forwarded-For: 6.6.6.{number}, {FAKE}" for number in range(60)]
    answered = sum(site.get("/limited", line).status == 200 for line in lines)
    return Seen(f"{answered} of 60 answered", 0 < answered <= 15)


def _split(path: str) -> Try:
    return lambda field: injected(field["mirror"], path)


def _away(path: str) -> Try:
    return lambda field: leads_away(field["mirror"], path)


for _place in ("/was/", "/before?", "/sent/x", "/quiet/x"):
    for _form in SPLIT:
        add("header injection", _place + _form, NONE, _split(_place + _form))
for _path in (
    "/was//evil.example.org",
    "/was/%2f%2fevil.example.org",
    "/was/@evil.example.org",
    "/sent//evil.example.org",
    "/sent/\\evil.example.org",
    "/sent/.evil.example.org",
    "//was/..//evil.example.org/",
):
    add("redirects", _path, NONE, _away(_path))
