"""The role nginx_sites, alone: an alias with several directories, tried in their order."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from e2e.roles.wire import ask, exchange
from e2e.support import Site, output, published_site


@pytest.fixture
def site(host: Any) -> Site:
    return published_site(host, "tcp.test")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("site-2.css", "new/site-2.css"),
        ("both.css", "new/both.css"),
        ("site-1.css", "old/site-1.css"),
        ("docs/index.html", "old/docs/index.html"),
        ("site-0.css", "oldest/site-0.css"),
        ("site-1.css?v=3", "old/site-1.css"),
        ("site%2D1.css", "old/site-1.css"),
    ],
)
def test_the_first_directory_that_has_it_serves_it(site: Site, name: str, content: str) -> None:
    answer = ask(site, f"/assets/{name}")
    assert (answer.status, answer.body.decode()) == (200, f"{content}\n")
    assert "x-content-type-options: nosniff" in answer.head.lower()
    assert "content-type: text/" in answer.head.lower()


def test_what_none_of_them_has_is_not_found_and_not_asked_of_the_application(host: Any, site: Site) -> None:
    name = uuid.uuid4().hex
    for url in ("/assets", "/app/assets"):
        answer = ask(site, f"{url}/{name}.css")
        assert answer.status == 404
        assert b"<center>nginx</center>" in answer.body
    output(host, "sleep 0.2")
    told = output(host, "grep --recursive --files-with-matches %s /var/log/nginx", name)
    assert told.split() == ["/var/log/nginx/over_tcp.access.log"], "the error log has it too"


@pytest.mark.parametrize(
    "target",
    [
        "/assets../secret.txt",
        "/assets/../secret.txt",
        "/assets/..%2fsecret.txt",
        "/assets/%2e%2e/secret.txt",
        "/assets//../../secret.txt",
        "/assets/%3f/../../secret.txt",
        "/assets/..%00/secret.txt",
        "/assets/..%5csecret.txt",
        "//next/assets/../../secret.txt",
        "//next/assets../secret.txt",
        "//next/assets/site-1.css",
        "/%2fnext/assets/site-1.css",
        "//next//next/assets/site-1.css",
        "/next/assets/site-1.css",
        "/x/..//next/assets/site-1.css",
    ],
)
def test_nothing_beside_them_is_served(site: Site, target: str) -> None:
    answer = ask(site, target)
    assert b"secret.txt\n" not in answer.body
    assert b"site-1.css\n" not in answer.body
    assert answer.status in (400, 404) or b'"path"' in answer.body


@pytest.mark.parametrize("target", ["/assets/docs", "/assets/docs/"])
def test_a_directory_of_the_others_is_not_found(site: Site, target: str) -> None:
    """A redirect to it, with a slash at its end, would name the place where nginx looks."""
    answer = ask(site, target)
    assert answer.status == 404
    assert "/next" not in answer.head + answer.body.decode()


@pytest.mark.parametrize("name", ["site-2.css", "site-1.css", "site-0.css"])
def test_requests_for_a_part_the_head_or_a_newer_one_work_in_each(site: Site, name: str) -> None:
    whole = site.get(f"/assets/{name}")
    part = site.get(f"/assets/{name}", headers={"Range": "bytes=0-2"})
    assert (part.status_code, part.content) == (206, whole.content[:3])
    same = {"If-Modified-Since": whole.headers["Last-Modified"]}
    assert site.get(f"/assets/{name}", headers=same).status_code == 304
    assert site.get(f"/assets/{name}", headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    request = f"HEAD /assets/{name} HTTP/1.1\r\nHost: {site.name}\r\nConnection: close\r\n\r\n"
    head, dummy, body = exchange(site, request.encode())[0].decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 ")
    assert f"Content-Length: {len(whole.content)}" in head
    assert body == ""


def test_a_file_that_comes_is_served_at_once(host: Any, site: Site) -> None:
    """No file is remembered as open, or as missing."""
    assert site.get("/assets/both.css").text == "new/both.css\n"
    output(host, "mv /srv/parts/new/both.css /srv/parts/new/aside")
    try:
        assert site.get("/assets/both.css").text == "old/both.css\n"
    finally:
        output(host, "mv /srv/parts/new/aside /srv/parts/new/both.css")
    assert site.get("/assets/both.css").text == "new/both.css\n"
