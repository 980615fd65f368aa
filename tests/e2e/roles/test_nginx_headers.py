"""The role nginx_sites: a client can't choose what the application believes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2e.roles.wire import ask
from e2e.support import Site, output, published_site

EVIL = "evil.example"
# What frameworks, their middlewares and the proxies before them read as the truth about the visitor or the address.
SPOOFED = (
    "Forwarded",
    "Front-End-Https",
    "Proxy",
    "True-Client-IP",
    "X-Client-IP",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Original-URL",
    "X-Real-IP",
    "X-Rewrite-URL",
    "X-Scheme",
    "X-Script-Name",
)


@pytest.fixture(params=[("tcp.test", "/"), ("tcp.test", "/live"), ("socket.test", "/")], ids="".join)
def place(host: Any, request: pytest.FixtureRequest) -> tuple[Site, str]:
    """Each way through nginx: a plain part, one with its own headers, a socket."""
    name, target = request.param
    return published_site(host, name), target


@pytest.mark.parametrize("spelling", [str, str.lower, str.upper], ids=["usual", "lower", "upper"])
def test_spoofed_headers_do_not_arrive(place: tuple[Site, str], spelling: Any) -> None:
    site, target = place
    headers = {spelling(name): EVIL for name in SPOOFED}
    seen = ask(site, target, headers).seen
    assert {name: value for name, value in seen.items() if EVIL in value} == {}
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == seen["host"] == site.name
    assert seen["x-forwarded-for"] == seen["x-real-ip"]
    assert "," not in seen["x-forwarded-for"]
    assert not {"forwarded", "x-forwarded-prefix", "x-forwarded-port", "x-script-name", "proxy"} & set(seen)


def test_spoofed_twins_with_underscores_do_not_arrive(place: tuple[Site, str]) -> None:
    site, target = place
    seen = ask(site, target, {name.replace("-", "_"): EVIL for name in SPOOFED}).seen
    assert {name: value for name, value in seen.items() if EVIL in value} == {}


def test_the_host_is_the_one_that_chose_the_site(place: tuple[Site, str]) -> None:
    site, target = place
    # A request line with an address in it chooses the site; its Host header may say anything.
    answer = ask(site, f"http://{site.name}{target}", host=EVIL)
    assert answer.status in (200, 400)
    assert EVIL.encode() not in answer.body
    if answer.status == 200:
        assert answer.seen["host"] == site.name


def test_the_port_of_the_host_is_kept(place: tuple[Site, str]) -> None:
    site, target = place
    assert ask(site, target, host=f"{site.name}:12345").seen["host"] == f"{site.name}:12345"


def from_the_host_itself(host: Any, name: str) -> dict[str, str]:
    said = output(
        host,
        "curl --silent --fail --noproxy '*' --header %s --header %s --header %s http://127.0.0.1/",
        f"Host: {name}",
        "X-Forwarded-For: 198.51.100.7, 203.0.113.9",
        "X-Forwarded-Proto: https",
    )
    return {header.lower(): value for header, value in json.loads(said)["headers"]}


def test_a_trusted_proxy_is_believed(host: Any) -> None:
    seen = from_the_host_itself(host, "proxied.test")
    # The last address is the one that the trusted proxy saw; what stands before it came from the client.
    assert (seen["x-forwarded-for"], seen["x-real-ip"]) == ("203.0.113.9", "203.0.113.9")
    assert seen["x-forwarded-proto"] == "https"
    assert from_the_host_itself(host, "tcp.test")["x-forwarded-for"] == "127.0.0.1"


def test_nobody_else_is_believed(host: Any) -> None:
    spoofed = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Real-IP": "203.0.113.9"}
    seen = ask(published_site(host, "proxied.test"), "/", spoofed).seen
    assert "203.0.113.9" not in (seen["x-forwarded-for"], seen["x-real-ip"])
    assert seen["x-forwarded-proto"] == "http"
