"""Promise: both sites answer, nginx serves their files by alias, and nothing beside them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import requests
from e2e.support import PIXEL, Site, current_release, output


def test_pages_answer(guestbook: Site, hello: Site) -> None:
    page = guestbook.get("/")
    assert (page.status_code, "The flaskworks guest book" in page.text) == (200, True)
    assert guestbook.get("/about").status_code == 200
    answer = hello.get("/")
    assert (answer.status_code, answer.text) == (200, "Hello from a port of my own\n")


def test_health_asks_the_database(guestbook: Site) -> None:
    answer = guestbook.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok", "schema": 2})


def test_a_site_answers_under_its_names_only(guestbook: Site, hello: Site) -> None:
    assert replace(guestbook, name="hello.test").get("/").text == hello.get("/").text
    assert guestbook.get("/pid").status_code == 404
    for stranger in (replace(hello, name="guestbook.test"), replace(guestbook, name="elsewhere.test")):
        with pytest.raises(requests.ConnectionError):
            stranger.get("/")


def test_css_comes_from_the_release_by_alias(host: Any, guestbook: Site) -> None:
    answer = guestbook.get("/static/style.css")
    release = current_release(host, "guestbook")
    on_disk = host.file(f"/srv/guestbook/releases/{release}/src/guestbook/static/style.css").content_string
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/css")
    assert answer.text.strip() == on_disk.strip()


def test_files_are_served_without_python(host: Any, guestbook: Site) -> None:
    unit = f"guestbook@{current_release(host, 'guestbook')}"
    try:
        output(host, "systemctl stop %s %s", f"{unit}.socket", f"{unit}.service")
        assert guestbook.get("/").status_code == 502
        assert guestbook.get("/static/style.css").status_code == 200
    finally:
        output(host, "systemctl start %s %s", f"{unit}.socket", f"{unit}.service")
    assert guestbook.get("/").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/static../__init__.py", "/static/../__init__.py", "/static/%2e%2e/__init__.py", "/media../instance/guestbook.db"],
)
def test_nothing_beside_the_alias_is_served(guestbook: Site, path: str) -> None:
    answer = guestbook.get(path)
    assert answer.status_code in (400, 404), answer.text[:200]


def test_folders_are_not_listed(guestbook: Site) -> None:
    assert guestbook.get("/static/").status_code == 403
    assert guestbook.get("/media/").status_code == 403


def test_an_upload_is_kept_and_served(host: Any, guestbook: Site) -> None:
    page = guestbook.sign("Ada", "with a picture", PIXEL)
    picture = re.search(r'src="(/media/[0-9a-f]+\.png)"', page.text)
    assert picture, page.text
    served = guestbook.get(picture[1])
    assert (served.status_code, served.content, served.headers["Content-Type"]) == (200, PIXEL, "image/png")
    kept = host.file(f"/srv/guestbook/shared{picture[1]}")
    assert (kept.user, kept.group, kept.mode) == ("guestbook", "www-data", 0o640)


def test_a_body_over_the_limit_is_refused_by_nginx(guestbook: Site) -> None:
    refused = guestbook.sign("Ada", "too much", b"\x89PNG\r\n\x1a\n" + bytes(11 * 1024 * 1024))
    assert refused.status_code == 413
    assert "nginx" in refused.text


def test_the_server_does_not_tell_its_version(guestbook: Site) -> None:
    assert guestbook.get("/").headers["Server"] == "nginx"


def test_a_visitor_can_not_forge_what_the_site_believes(hello: Site) -> None:
    forged = {
        "X-Forwarded-For": "10.9.8.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=10.9.8.7;proto=https",
    }
    seen = hello.get("/request", headers=forged).json()
    assert "10.9.8.7" not in str(seen)
    assert "evil" not in str(seen)
    assert seen["wsgi.url_scheme"] == "http"
    assert seen["HTTP_X_FORWARDED_PROTO"] == "http"
