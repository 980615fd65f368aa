"""Promise: a site is closed to visitors with a message, its operators still see it, and no deploy changes that."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
from e2e.maintenance.closing import APP, TOKEN, Closing, told_token
from e2e.roles.wire import ask
from e2e.support import Site, output

PAGE = f"/etc/nginx/flaskworks/{APP}/maintenance.conf"
OPERATORS = f"/etc/nginx/conf.d/flaskworks-maintenance-{APP}.conf"
MESSAGE = """We're "back" at <b>9</b> & cost $5: \\o/ {d}; 50%; grüße"""
COOKIE = f"flaskworks_maintenance_{APP.replace('-', '_')}"
CLOSE_OR_OPEN = "flaskworks.deploy.flask_apps : Close the site to visitors, or open it to all"
DEPLOY = "flaskworks.deploy.flask_apps : Build what changed, start it, ask it, and only then switch to it"
# Asks as the proxy in front of the site does.
ASK = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", timeout=15)
connection.request("GET", sys.argv[2], headers={"Host": "blog.test", "X-Forwarded-For": sys.argv[1]})
print(connection.getresponse().status)
"""


@pytest.fixture(scope="module")
def token(closing: Closing) -> str:
    """The blog is closed. The tests that follow leave it so, unless they ask for it open."""
    given = {"message": MESSAGE, "retry_after": 120, "allow": ["203.0.113.7", "2001:db8::/32"]}
    return closing.on(json.dumps(given))


def from_address(host: Any, address: str, path: str) -> int:
    """The status that somebody at an address gets who comes through the trusted proxy."""
    return int(output(host, "python3 -c %s %s %s", ASK, address, path))


def version(site: Site, token: str) -> str:
    answer = site.get("/version", headers={"Cookie": f"{COOKIE}={token}"})
    assert answer.status_code == 200
    return str(answer.text.strip())


def test_check_mode_predicts_and_shows_no_token(opened: Closing) -> None:
    predicted = opened.run("on", "--check", "--diff")
    assert opened.files() == set()
    assert opened.blog.get("/").status_code == 200
    assert not TOKEN.search(predicted.text)
    assert {PAGE, OPERATORS} <= predicted.diffs
    assert predicted.changed == [CLOSE_OR_OPEN]


@pytest.mark.parametrize(
    "path", ["/", "/version", "/static/site-1.css", "/static/none", "/robots.txt", "/live", "/none"]
)
def test_visitors_get_the_message(closing: Closing, token: str, path: str) -> None:
    answer = closing.blog.get(path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "120")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    answer.encoding = "utf-8"
    assert (
        "<p>We&#39;re &#34;back&#34; at &#60;b&#62;9&#60;/b&#62; &#38; cost &#36;5: &#92;o/ {d}; 50%; grüße</p>"
        in answer.text
    )


def test_programs_get_the_message_as_json(closing: Closing, token: str) -> None:
    answer = closing.blog.get("/version", headers={"Accept": "application/json, text/plain, */*"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "120")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"status": 503, "message": MESSAGE, "retry_after": 120}


def test_a_large_upload_and_every_method_get_it_too(closing: Closing, token: str) -> None:
    assert ask(closing.blog, "/", body=b"x" * 2 * 1024 * 1024).status == 503
    with closing.blog.session() as visitor:
        for method in ("HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
            assert visitor.request(method, closing.blog.base + "/", timeout=15).status_code == 503, method


@pytest.mark.parametrize(
    "target",
    ["//maintenance/enter", "/maintenance/enter", "/%2fmaintenance/enter", "//maintenance/page", "/?x=1",
     "/?flaskworks_maintenance=", "/?flaskworks_maintenance=1", "/.well-known/acme-challenge/../../version"],
)  # fmt: skip
def test_there_is_no_other_way_in(closing: Closing, token: str, target: str) -> None:
    answer = ask(closing.blog, target)
    assert answer.status == 503
    assert "set-cookie" not in answer.head.lower()


@pytest.mark.parametrize("cookie", ["", "1", "0" * 64, "{token}x", "x{token}", "{shorter}", "{upper}"])
def test_a_wrong_token_lets_nobody_in(closing: Closing, token: str, cookie: str) -> None:
    value = cookie.format(token=token, shorter=token[:-1], upper=token.upper())
    assert closing.blog.get("/", headers={"Cookie": f"{COOKIE}={value}"}).status_code == 503
    # Such a link is logged, and the next test looks for the right one.
    if token not in value:
        assert closing.blog.get(f"/?flaskworks_maintenance={value}", allow_redirects=False).status_code == 503


def test_the_link_lets_a_browser_in(closing: Closing, token: str) -> None:
    link = closing.blog.get(f"/version?flaskworks_maintenance={token}", allow_redirects=False)
    assert (link.status_code, link.headers["Location"]) == (302, "/")
    cookie = link.headers["Set-Cookie"]
    assert cookie == f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"
    behind_tls = {"X-Forwarded-Proto": "https"}
    secure = closing.blog.get(f"/?flaskworks_maintenance={token}", headers=behind_tls, allow_redirects=False)
    assert secure.headers["Set-Cookie"].endswith("; Secure")
    with closing.blog.session() as operator:
        # The name of a cookie's site is that of the address, which is this machine's.
        assert operator.get(f"{closing.blog.base}/?flaskworks_maintenance={token}", timeout=15).status_code == 200
        for path in ("/version", "/static/site-1.css", "/robots.txt", "/request"):
            assert operator.get(closing.blog.base + path, timeout=15).status_code == 200, path
        assert operator.get(closing.blog.base + "/static/none", timeout=15).status_code == 404
    assert closing.blog.get("/").status_code == 503


@pytest.mark.parametrize(
    ("address", "status"),
    [("203.0.113.7", 200), ("203.0.113.8", 503), ("2001:db8::42", 200), ("2001:db9::1", 503),
     ("203.0.113.7, 198.51.100.1", 503)],
)  # fmt: skip
def test_operators_by_address_behind_a_trusted_proxy(closing: Closing, token: str, address: str, status: int) -> None:
    assert from_address(closing.host, address, "/version") == status
    assert from_address(closing.host, address, "/static/site-1.css") == status


def test_nobody_chooses_his_address(closing: Closing, token: str) -> None:
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    assert closing.blog.get("/", headers=headers).status_code == 503


def test_a_certificate_can_be_renewed(closing: Closing, token: str) -> None:
    answer = closing.blog.get("/.well-known/acme-challenge/x")
    assert (answer.status_code, answer.text) == (404, "There is no such page.\n")


def test_the_token_is_roots_alone(closing: Closing, token: str) -> None:
    closing.blog.get(f"/?flaskworks_maintenance={token}", headers={"Referer": "http://x.test/"})
    output(closing.host, "sleep 0.3; journalctl --sync")
    # The commands of the test are logged as well, so the token is in none of them.
    found = output(
        closing.host,
        "t=$(grep -oEm1 '[0-9a-f]{64}' %s); echo ${#t};"
        ' grep -rlsF "$t" /etc /run /srv /tmp /home /var/log /var/lib/flaskworks /usr/local;'
        ' journalctl -q -o cat | grep -cF "$t" || true',
        OPERATORS,
    )
    assert found.split() == ["64", OPERATORS, "0"]
    assert output(closing.host, "stat -c '%%a %%U:%%G' %s", OPERATORS) == "600 root:root"
    assert output(closing.host, "stat -c '%%a %%U:%%G' %s", PAGE) == "644 root:root"


def test_gixy_finds_nothing(closing: Closing, token: str, tmp_path: Path) -> None:
    dump = tmp_path / "nginx.conf"
    dump.write_text(output(closing.host, "nginx -T 2>/dev/null") + "\n")
    assert token in dump.read_text()
    gixy = str(Path(sys.executable).parent / "gixy")
    # The page of a closed site says nothing about a request, so it goes without the id that other answers carry.
    skips = "nginx_cves,add_header_redefinition"
    done = subprocess.run([gixy, "--skips", skips, "-f", "json", str(dump)], check=False, capture_output=True)
    assert json.loads(done.stdout) == [], done.stdout.decode()


class Visitors(threading.Thread):
    """Asks for pages and files, with a connection for each, until told to stop."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site, self.ended, self.answers = site, threading.Event(), Counter[str]()

    def run(self) -> None:
        while not self.ended.wait(0.01):
            for path in ("/version", "/static/site-1.css"):
                try:
                    answer = self.site.get(path, headers={"Connection": "close"})
                    whole = answer.status_code == 200 or "</p>" in answer.text
                    self.answers[str(answer.status_code) if whole else "cut off"] += 1
                except requests.RequestException as error:
                    self.answers[repr(error)] += 1


def test_switching_loses_no_request_and_is_repeatable(opened: Closing, token: str) -> None:
    visitors = [Visitors(opened.blog) for dummy in range(3)]
    for visitor in visitors:
        visitor.start()
    try:
        new = opened.on("message=one")
        again = opened.run("on", "message=one", "--diff", "-vvv")
        other = opened.run("on", "message=two", "allow=198.51.100.1", "--diff")
        page = opened.blog.get("/").text
        opened.run("off")
    finally:
        for visitor in visitors:
            visitor.ended.set()
        for visitor in visitors:
            visitor.join()
    answers = sum((visitor.answers for visitor in visitors), Counter[str]())
    print(f"answers: {dict(answers)}")
    assert set(answers) == {"200", "503"}, answers
    assert answers.total() > 200

    assert new != token, "the token of another maintenance"
    assert again.changed == []
    assert told_token(again) == told_token(other) == new
    assert other.diffs == {PAGE, OPERATORS}
    assert "<p>two</p>" in page
    assert opened.files() == set()
    assert opened.run("off").changed == []


def test_no_deploy_opens_it_and_files_of_the_release_before_stay_reachable(opened: Closing) -> None:
    token = opened.on()
    old = version(opened.blog, token)
    # A release that was rolled back from does not come back by itself: on a host that was kept, another one has to.
    new = uuid.uuid4().hex
    (opened.source / "VERSION").write_text(f"{new}\n")
    (opened.source / "static" / "site-1.css").rename(opened.source / "static" / "site-2.css")
    assert opened.deploy("deploy").changed == [DEPLOY]
    assert opened.blog.get("/version").status_code == 503
    assert version(opened.blog, token) == new
    assert opened.deploy("site").changed == []

    # A page from the release before asks for its own style sheet, also when that was the newer one.
    served = {f"/static/site-{number}.css": status for number, status in ((1, 200), (2, 200), (3, 404))}
    cookie = {"Cookie": f"{COOKIE}={token}"}
    assert {path: opened.blog.get(path, headers=cookie).status_code for path in served} == served
    opened.deploy("rollback", "-e", f"app={APP}")
    assert opened.blog.get("/version").status_code == 503
    assert version(opened.blog, token) == old
    assert {path: opened.blog.get(path, headers=cookie).status_code for path in served} == served
    assert {opened.blog.get(path).status_code for path in served} == {503}

    opened.run("off")
    assert opened.blog.get("/version").text == f"{old}\n"
    assert {path: opened.blog.get(path).status_code for path in served} == served


def test_mistakes_are_told_before_anything_changes(opened: Closing) -> None:
    wrong = ["allow=203.0.113.300,0.0.0.0/0", "retry_after=soon", '{"message": "one\\ntwo"}', f"app={APP[:-3]}"]
    run = opened.run("maybe", *wrong, status=2)
    for reason in (
        f"did you mean '{APP}'?",
        "'maybe' is neither on nor off",
        "has control characters",
        "'soon' is no number of seconds",
        "'203.0.113.300' is no address",
        "'0.0.0.0/0' is everybody",
    ):
        assert reason in " ".join(run.text.split())
    elsewhere = opened.run("on", app="wiki", status=2)
    assert "'wiki' is not live on this host" in " ".join(elsewhere.text.split())
    assert run.changed == elsewhere.changed == []
    assert opened.files() == set()


def test_a_site_of_an_older_version_is_not_closed_in_vain(opened: Closing) -> None:
    output(opened.host, "sed -i.kept /include/d %s", f"/etc/nginx/sites-available/{APP}.conf")
    try:
        run = opened.run("on", status=2)
        assert "run site.yml once" in " ".join(run.text.split())
        assert opened.files() == set()
    finally:
        output(opened.host, "cd /etc/nginx/sites-available && mv %s %s", f"{APP}.conf.kept", f"{APP}.conf")
