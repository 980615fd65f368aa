"""tests/articles/nginx_site.yml: what nginx in front of the site promises happens, and its faults do not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from e2e.articles.articles import ask, read, site_of
from e2e.support import Site, output, wait_until

SOCKET = "/srv/front/current/gunicorn.sock"
# Ten for each worker.
CLIENTS = 20


@pytest.fixture
def site(host: Any) -> Site:
    return site_of(host, "front")


@pytest.fixture
def upload(host: Any) -> str:
    """The name of a file that the site has taken in."""
    output(host, "runuser -u front -- sh -c %s", "umask 027; echo picture > /srv/front/shared/media/picture.txt")
    return "picture.txt"


def test_it_answers_on_its_port_and_no_other(host: Any, site: Site) -> None:
    assert site.get("/").json()["visit"] >= 1
    other = Site(site_of(host, "unit").base, "front.test")
    with pytest.raises(requests.ConnectionError):
        other.get("/")


def test_files_never_reach_python_and_have_the_urls_of_the_site(host: Any, site: Site, upload: str) -> None:
    for path, text in (("/static/style.css", "body"), (f"/media/{upload}", "picture")):
        answer = site.get(path)
        assert (answer.status_code, text in answer.text) == (200, True)
        assert "X-Served-By" not in answer.headers
        assert path not in read(host, "/var/log/front/access.log")
        # The same URL is the site's own as well, where no nginx is.
        status, server, same = ask(host, SOCKET, site.name, path)
        assert (status, server, same.strip()) == (200, "Python", answer.text.strip())
    assert site.get("/").headers["X-Served-By"] == "Python"


@pytest.mark.parametrize("path", ["/static../visits.py", "/media../visits.py", "/static../requirements.txt"])
def test_nothing_beside_the_aliases_is_shown(host: Any, site: Site, path: str) -> None:
    assert ask(host, "81", site.name, path)[0] == 404
    assert "import" not in ask(host, "81", site.name, path)[2]


def test_nobody_forges_what_the_site_believes(site: Site) -> None:
    forged = {
        **{"X-Forwarded-For": "10.9.8.7", "X-Real-IP": "10.9.8.7", "X-Forwarded-Proto": "https"},
        **{"X-Forwarded-Host": "evil.test", "X-Forwarded-Prefix": "/evil", "Forwarded": "for=10.9.8.7"},
    }
    seen = site.get("/request", headers=forged).json()
    assert "10.9.8.7" not in json.dumps(seen)
    assert "evil" not in json.dumps(seen)
    assert (seen["HTTP_X_FORWARDED_PROTO"], seen["wsgi.url_scheme"]) == ("http", "http")
    assert seen["HTTP_X_REAL_IP"] == seen["HTTP_X_FORWARDED_FOR"] != ""
    assert seen["HTTP_HOST"].startswith("front.test")


def test_nginx_tells_no_version_and_has_no_welcome_page(host: Any, site: Site) -> None:
    assert site.get("/").headers["Server"] == "nginx"
    assert site.get("/static/none").headers["Server"] == "nginx"
    assert not host.file("/etc/nginx/sites-enabled/default").exists
    assert output(host, "readlink -f /etc/nginx/sites-enabled/front.conf") == "/etc/nginx/sites-available/front.conf"
    # Who asks for none of the sites gets no answer at all.
    with pytest.raises(requests.ConnectionError):
        Site(site_of(host, "unit").base, "localhost").get("/")


def test_each_site_has_its_logs(host: Any, site: Site) -> None:
    site.get("/seen-by-nginx")
    wait_until(lambda: "/seen-by-nginx" in read(host, "/var/log/nginx/front.access.log"), 5, "the line is written")
    assert host.file("/var/log/nginx/front.error.log").exists
    assert "/var/log/nginx/*.log" in read(host, "/etc/logrotate.d/nginx")


@pytest.mark.parametrize("kind", ["headers", "body", "answer"])
def test_slow_clients_hold_no_worker(host: Any, site: Site, slow_clients: str, kind: str) -> None:
    attached = f"python3 {slow_clients} {kind} {CLIENTS}"
    assert float(output(host, f"{attached} 81 front.test")) < 1
    # Without nginx two of them are enough that nobody is answered.
    assert output(host, f"{attached} {SOCKET} front.test") == "no answer"
    wait_until(lambda: site.get("/health").status_code == 200, 10, "the workers are free again")
