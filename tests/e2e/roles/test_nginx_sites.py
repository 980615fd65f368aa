"""The role nginx_sites, alone: what a visitor gets."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from e2e.roles.wire import ask, exchange
from e2e.support import Site, output, published_site


@pytest.fixture
def over_tcp(host: Any) -> Site:
    return published_site(host, "tcp.test")


@pytest.fixture
def over_socket(host: Any) -> Site:
    return published_site(host, "socket.test")


def main_pid(host: Any, unit: str) -> int:
    return int(output(host, "systemctl show --property=MainPID --value %s", unit))


def test_each_site_leads_to_its_own_upstream(host: Any, over_tcp: Site, over_socket: Site) -> None:
    behind_port, behind_socket = main_pid(host, "echo-tcp.service"), main_pid(host, "echo-unix.service")
    assert over_tcp.get("/").json()["pid"] == behind_port
    assert Site(over_tcp.base, "any.tcp.test").get("/").json()["pid"] == behind_port
    assert over_socket.get("/").json()["pid"] == behind_socket
    assert published_site(host, "socket.test", 8081).get("/").json()["pid"] == behind_socket


def test_the_default_server_answers_for_any_name(host: Any) -> None:
    for name in ("whatever.test", "tcp.test", "192.0.2.1"):
        assert published_site(host, name, 8081).get("/").json()["pid"] == main_pid(host, "echo-tcp.service")


@pytest.mark.parametrize("name", ["unknown.test", "_", "192.0.2.1"])
def test_an_unknown_host_gets_no_answer(host: Any, name: str) -> None:
    site = published_site(host, name)
    assert exchange(site, f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()) == (b"", [])


def test_the_sites_listen_on_ipv6(host: Any) -> None:
    for port, name in (("80", "tcp.test"), ("8081", "socket.test")):
        said = output(
            host, "curl --silent --fail --noproxy '*' --header %s %s", f"Host: {name}", f"http://[::1]:{port}/"
        )
        assert json.loads(said)["path"] == "/"


def test_the_target_reaches_the_application_as_it_was_sent(over_tcp: Site, over_socket: Site) -> None:
    target = "/a%2Fb//c%20d/?q=%22&r=a+b"
    for site in (over_tcp, over_socket):
        assert json.loads(ask(site, target).body)["path"] == target


def test_no_version_is_told(over_tcp: Site) -> None:
    for target in ("/", "/static/none"):
        assert "\r\nserver: nginx\r\n" in ask(over_tcp, target).head.lower() + "\r\n"


def test_lines_by_hand_are_part_of_the_site(over_tcp: Site, over_socket: Site) -> None:
    assert over_tcp.get("/robots.txt").text == "by hand"
    assert over_socket.get("/robots.txt").json()["path"] == "/robots.txt"


@pytest.mark.parametrize("target", ["/static/site.css", "/docs/", "/docs/index.html"])
def test_what_is_listed_is_served_by_nginx(over_tcp: Site, target: str) -> None:
    name = target.strip("/") if "." in target else "docs/index.html"
    answer = ask(over_tcp, target)
    assert (answer.status, answer.body.decode()) == (200, f"{name}\n")
    assert "x-content-type-options: nosniff" in answer.head.lower()


@pytest.mark.parametrize(
    "target",
    [
        "/static../secret.txt",
        "/static/../secret.txt",
        "/static/..%2fsecret.txt",
        "/static/%2e%2e/secret.txt",
        "/static//../../secret.txt",
        "/static-private/secret.txt",
        "/docs../secret.txt",
        "/docs/..%2Fsecret.txt",
        "/secret.txt",
    ],
)
def test_nothing_beside_it_is_served(over_tcp: Site, target: str) -> None:
    answer = ask(over_tcp, target)
    assert b"secret.txt\n" not in answer.body
    # What nginx doesn't serve itself is the application's, which answers everything.
    assert answer.status in (400, 404) or "path" in json.loads(answer.body)


def test_a_directory_is_not_listed(over_tcp: Site) -> None:
    assert ask(over_tcp, "/static/").status == 403


def test_the_limit_of_a_body_is_the_sites_or_its_parts(over_tcp: Site) -> None:
    body = b"x" * 2 * 1024 * 1024
    assert ask(over_tcp, "/upload", body=body).status == 200
    assert ask(over_tcp, "/upload", body=body * 2).status == 413
    with over_tcp.session() as visitor:
        assert visitor.post(over_tcp.base + "/", data=body[: 1024 * 1000], timeout=15).json()["body_size"] == 1024000
    assert ask(over_tcp, "/", {"Expect": "100-continue"}, body=body).status == 413


def test_only_a_websocket_part_upgrades(over_tcp: Site) -> None:
    # Without "close" nginx would keep the connection of an answer that didn't upgrade.
    connection = {"Connection": "Upgrade, close"}
    seen = ask(over_tcp, "/live", {"Upgrade": "websocket", **connection}).seen
    assert (seen["upgrade"], seen["connection"]) == ("websocket", "upgrade")
    for target, protocol in (("/", "websocket"), ("/live", "h2c")):
        seen = ask(over_tcp, target, {"Upgrade": protocol, **connection}).seen
        assert "upgrade" not in seen
        assert seen["connection"] == "close"


def test_a_stream_is_passed_on_as_it_comes(over_tcp: Site) -> None:
    stream, page = ask(over_tcp, "/events"), ask(over_tcp, "/pages")
    assert stream.body == page.body == b"first\nsecond\n"
    assert stream.first_piece < 1
    assert page.first_piece > 1


def test_each_site_has_its_own_logs(host: Any, over_tcp: Site, over_socket: Site) -> None:
    mark = uuid.uuid4().hex
    over_tcp.get(f"/tcp-{mark}")
    over_socket.get(f"/socket-{mark}")
    output(host, "sleep 0.2")
    found = output(host, "grep --recursive --only-matching --extended-regexp %s /var/log/nginx", f"[a-z]+-{mark}")
    assert sorted(found.splitlines()) == [
        f"/var/log/nginx/over_socket.access.log:socket-{mark}",
        f"/var/log/nginx/over_tcp.access.log:tcp-{mark}",
    ]


def test_debians_welcome_is_gone(host: Any, over_tcp: Site) -> None:
    assert not host.file("/etc/nginx/sites-enabled/default").exists
    assert exchange(over_tcp, b"GET / HTTP/1.0\r\n\r\n") == (b"", [])
