"""The role nginx_sites: what nginx does by itself at the edge of a site."""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e.roles.test_nginx_configuration import VISITOR, bring
from e2e.roles.wire import ask, exchange
from e2e.support import Site, output, play, published_site

WORD = "canary-of-anna, 5 words: $ and more"
DEFAULTS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Frame-Options": "SAMEORIGIN",
}
OWN = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "default-src 'self'; img-src \"x\\y\"",
    "X-Told": "by nginx",
}


@pytest.fixture
def edge(host: Any) -> Site:
    return published_site(host, "edge.test")


@pytest.fixture
def locked(host: Any) -> Site:
    return published_site(host, "locked.test")


def login(user: str, word: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}


def seen(site: Site, target: str = "/", **options: Any) -> dict[str, list[str]]:
    """The headers of an answer; a session of requests would join those of one name."""
    answer = ask(site, target, **options)
    found: dict[str, list[str]] = {}
    for line in answer.head.split("\r\n")[1:]:
        name, dummy, value = line.partition(": ")
        found.setdefault(name.lower(), []).append(value)
    return found


def statuses_for(host: Any, *visits: tuple[str, str]) -> list[str]:
    """The statuses of answers to visitors, each an address and a target; the host itself is a trusted proxy."""
    program = (
        "curl --silent --noproxy '*' --path-as-is --output /dev/null --write-out '%{http_code} '"
        ' --header "Host: edge.test" --header "X-Forwarded-For: $1" "http://127.0.0.1$2"; shift 2'
    )
    words = [word for visit in visits for word in visit]
    said = output(host, "sh -c %s" + " %s" * (len(words) + 1), f"while test $# -gt 0; do {program}; done", "sh", *words)
    return said.split()


@pytest.mark.parametrize("target", ["/", "/live", "/static/site.css", "/static/none.css"])
def test_every_answer_has_the_headers_once(host: Any, target: str) -> None:
    found = seen(published_site(host, "tcp.test"), target)
    for name, value in DEFAULTS.items():
        assert found[name.lower()] == [value], name


@pytest.mark.parametrize(
    "target", ["/", "/static/site.css", "/media/cat.55e7cbb9.css", "/static/none", "/old", "/admin/"]
)
def test_a_site_adds_changes_and_takes_away(edge: Site, target: str) -> None:
    found = seen(edge, target)
    for name, value in OWN.items():
        assert found[name.lower()] == [value], name
    assert "referrer-policy" not in found
    assert len(found["x-request-id"]) == 1


def test_the_applications_own_header_stands_alone(host: Any, edge: Site) -> None:
    query = "X-Frame-Options=DENY&x-content-type-options=other&X-Told=by+the+application&X-Powered-By=Werkzeug"
    plain = seen(published_site(host, "tcp.test"), f"/answer/200?{query}")
    assert (plain["x-frame-options"], plain["x-content-type-options"]) == (["DENY"], ["other"])
    assert (plain["x-told"], plain["x-powered-by"]) == (["by the application"], ["Werkzeug"])
    found = seen(edge, f"/answer/200?{query}")
    assert found["x-frame-options"] == ["DENY"]
    assert found["x-told"] == ["by nginx"], "what is hidden is replaced"
    assert "x-powered-by" not in found


def test_a_part_of_a_site_is_for_some_addresses_only(host: Any) -> None:
    targets = ("/admin/", "/admin/x", "/admin/events", "//admin/x", "/x/../admin/x", "/%61dmin/x", "/x%2f..%2fadmin/x")
    for address, status in (("203.0.113.9", "200"), ("203.0.113.3", "403"), ("192.0.2.1", "403")):
        assert statuses_for(host, *((address, target) for target in targets)) == [status] * len(targets), address
    assert statuses_for(host, ("192.0.2.1", "/administrator")) == ["200"]


def test_nobody_chooses_the_address_by_a_header(edge: Site) -> None:
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP"):
        assert ask(edge, "/admin/", {name: "203.0.113.9"}).status == 403


def test_too_many_requests_are_told_so(host: Any) -> None:
    site = published_site(host, "limited.test")
    statuses = [ask(site, f"/{number}").status for number in range(8)]
    # The burst of three, and the one that is always free; no more within half a minute.
    assert statuses[:4] == [200] * 4 or 429 in statuses[:4], statuses
    assert statuses.count(200) in (4, 5), statuses
    assert statuses[-1] == 429
    assert [ask(site, "/login/x").status for dummy in range(2)] in ([200, 429], [429, 429])
    assert {ask(site, "/free/x").status for dummy in range(8)} == {200}
    assert {ask(site, "/static/site.css").status for dummy in range(8)} == {200}


def test_who_has_a_network_of_ipv6_has_one_share(host: Any) -> None:
    """A customer of any provider has 2^64 addresses; those of IPv4 count one by one."""
    network = f"2001:db8:{time.time_ns() % 0xFFFF:x}:7"
    addresses = [f"{network}::1", f"{network}:a:b:c:d", f"{network}::9:0:1", f"{network}:ffff::"]
    found = statuses_for(host, *((address, "/counted") for address in addresses))
    assert found == ["200", "200", "429", "429"]
    others = [network[:-1] + "8::1", "2001:db8::7:1", "2001:db9::7:1", "192.0.2.1", "192.0.2.2", "::1"]
    assert statuses_for(host, *((address, "/counted") for address in others)) == ["200"] * len(others)


def test_only_who_knows_the_word_gets_in(host: Any, locked: Site) -> None:
    for target in ("/", "/static/site.css", "/healthy", "/health/x", "/hooks/../x", "/media/../x"):
        answer = ask(locked, target)
        assert answer.status == 401, target
        assert answer.body == b"<p>Ask Anna</p>\n"
        assert 'www-authenticate: basic realm="for anna\'s friends"' in answer.head.lower()
    for user, word in (("anna", WORD), ("bob@example.org", "bobs-word")):
        assert ask(locked, "/", login(user, word)).status == 200
        assert ask(locked, "/static/site.css", login(user, word)).status == 200
    for user, word in (("anna", "bobs-word"), ("anna", WORD[:-1]), ("anna", ""), ("", WORD), ("eve", WORD)):
        assert ask(locked, "/", login(user, word)).status == 401, user
    for target in ("/health", "/health?x", "/hooks/", "/hooks/github", "/media/cat.55e7cbb9.css"):
        assert ask(locked, target).status == 200, target
    # As the location around it.
    assert ask(locked, "/health", body=b"x" * 1024 * 1500).status == 200
    file = host.file("/etc/nginx/htpasswd/locked")
    assert (file.mode, file.user, file.group) == (0o640, "root", "www-data")
    assert "canary" not in file.content_string


def test_guesses_are_limited_at_files_as_well(host: Any) -> None:
    site = published_site(host, "guessed.test")
    # More than come with a page.
    assert {ask(site, "/static/site.css", login("anna", "annas-word")).status for dummy in range(60)} == {200}
    statuses = [ask(site, "/static/site.css", login("anna", f"guess-{number}")).status for number in range(160)]
    assert statuses[:130] == [401] * 130
    assert statuses[-1] == 429
    assert ask(site, "/static/none", login("anna", "annas-word")).status == 429
    # Nobody's guess.
    assert ask(site, "/static/site.css").status == 401
    assert ask(site, "/media/cat.55e7cbb9.css", login("anna", "guess")).status == 200


def test_a_word_is_in_no_log_and_stays_the_same(host: Any) -> None:
    entry = {"server_names": ["secret.test"], "upstream": "127.0.0.1:8601"}
    sites = {"secret": {**entry, "basic_auth": {"users": {"anna": WORD}}}}
    site = published_site(host, "secret.test")
    run = play(host, VISITOR, "-vvv", "--diff", "-e", json.dumps({"sites": sites}))
    try:
        assert run.changed
        assert ask(site, "/", login("anna", WORD)).status == 200
        hashed = host.file("/etc/nginx/htpasswd/secret").content_string.partition(":")[2].strip()
        assert hashed.startswith("$6$")
        for secret in ("canary-of-anna", hashed):
            assert secret not in run.text
        assert not bring(host, sites).changed
    finally:
        bring(host, {})
    assert not host.file("/etc/nginx/htpasswd/secret").exists


def test_errors_have_the_pages_of_the_site(edge: Site) -> None:
    missing = ask(edge, "/static/none.css")
    assert (missing.status, missing.body) == (404, b"edge/404.html\n")
    assert ask(edge, "/answer/404").body == b"edge/404.html\n", "the application's own is replaced, as asked for"
    forbidden = ask(edge, "/admin/")
    assert (forbidden.status, forbidden.body) == (403, b'Not "you"; costs $5 }\n')
    assert "content-type: text/plain; charset=utf-8" in forbidden.head.lower()
    broken = ask(edge, "/answer/500")
    assert (broken.status, broken.body) == (500, b"<h1>It's broken</h1>\n")
    assert "content-type: text/html; charset=utf-8" in broken.head.lower()
    assert b"broken" not in ask(edge, "//error/500.html").body


def test_an_applications_own_errors_pass(host: Any) -> None:
    site = published_site(host, "tcp.test")
    for status in (404, 500, 502, 504):
        answer = ask(site, f"/answer/{status}")
        assert (answer.status, "path" in json.loads(answer.body)) == (status, True)
        assert "retry-after" not in answer.head.lower()


@pytest.mark.parametrize(
    ("target", "status", "place"),
    [
        ("/old?a=b%20c", 301, "/new?a=b%20c"),
        ("/form", 308, "/new-form"),
        ("/news/2020/a%20b?x=1", 302, "https://news.example.org/2020/a%20b?x=1"),
        ("/news/", 302, "https://news.example.org/"),
        ("/v1/users?x=1", 301, "/api/1/users?x=1"),
    ],
)
def test_what_moved_is_shown_the_way(edge: Site, target: str, status: int, place: str) -> None:
    answer = ask(edge, target)
    assert answer.status == status
    assert seen(edge, target)["location"] == [place]


@pytest.mark.parametrize(
    "target", ["/news/%0d%0aX-Injected:%20yes", "/old?%0d%0aX-Injected:%20yes", "/v1/a%0aX-Injected:yes"]
)
def test_no_redirect_carries_a_header_of_its_visitor(edge: Site, target: str) -> None:
    found = seen(edge, target)
    assert "x-injected" not in found
    assert all("\n" not in value for value in found.get("location", []))


def test_a_rewrite_is_seen_by_the_application_alone(edge: Site) -> None:
    answer = ask(edge, "/u/12?x=1")
    assert (answer.status, json.loads(answer.body)["path"]) == (200, "/users/12?x=1")
    assert json.loads(ask(edge, "/u/x").body)["path"] == "/u/x"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        # The application would take each for /admin/x.
        ("/app/admin/x", 400),
        ("/app../admin/x", 400),
        ("/part-../admin/x", 400),
        ("/part-/x", 400),
        ("/part-.", 400),
        ("/part-x", 403),
        ("/appadmin/x", 403),
        ("/pics-/site.css", 400),
        ("/pics-../static/site.css", 400),
        ("/pics-site.css", 200),
        ("/pics-site-1.css", 200),
        ("/pics-none.css", 404),
        ("/appu/x", 200),
    ],
)
def test_no_guard_is_passed_by_what_a_rewrite_puts_together(edge: Site, target: str, status: int) -> None:
    assert ask(edge, target).status == status


def test_no_rewrite_leads_to_a_host_that_the_visitor_chose(edge: Site) -> None:
    assert seen(edge, "/movedevil.test")["location"] == ["/evil.test"]
    for target in ("/moved/evil.test", "/moved%2fevil.test", "/moved%5cevil.test", "/moved//evil.test"):
        assert "location" not in seen(edge, target), target


@pytest.mark.parametrize(
    ("target", "cache"),
    [
        ("/static/site.55e7cbb9.css", "public, max-age=31536000, immutable"),
        ("/static/dist/logo.css", "public, max-age=31536000, immutable"),
        ("/static/site.css", "public, max-age=3600"),
        ("/static/report-20260101.css", "public, max-age=3600"),
        ("/static/site-1.css", "public, max-age=3600"),
        ("/media/cat.55e7cbb9.css", "public, max-age=3600"),
    ],
)
def test_browsers_keep_what_never_changes(edge: Site, target: str, cache: str) -> None:
    answer = ask(edge, target)
    assert answer.status == 200
    assert seen(edge, target)["cache-control"] == [cache]


def test_browsers_ask_again_for_the_rest(host: Any, edge: Site) -> None:
    assert seen(published_site(host, "tcp.test"), "/static/site.css")["cache-control"] == ["no-cache"]
    for target in ("/static/none.55e7cbb9.css", "/", "/answer/404"):
        assert "cache-control" not in seen(edge, target)


def test_a_compressed_copy_is_sent_to_who_takes_it(host: Any, edge: Site) -> None:
    accept = {"headers": {"Accept-Encoding": "gzip"}}
    packed = edge.get("/static/site.css", **accept)
    assert (packed.text, packed.headers["Content-Encoding"]) == ("compressed copy", "gzip")
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert edge.get("/static/site.css", headers={"Accept-Encoding": ""}).text == "edge/site.css\n"
    assert edge.get("/media/cat.55e7cbb9.css", **accept).text == "media/cat.55e7cbb9.css\n"
    assert published_site(host, "limited.test").get("/static/site.css", **accept).text == "edge/site.css\n"


def test_compression_is_as_the_site_wants_it(host: Any, edge: Site) -> None:
    long, short = "/answer/200?" + "X-A=" + "a" * 300, "/"
    accept = {"headers": {"Accept-Encoding": "gzip", "User-Agent": "x"}}
    assert edge.get(long, **accept).headers.get("Content-Encoding") == "gzip"
    anything = published_site(host, "any.test", 8081)
    assert "Content-Encoding" not in anything.get("/answer/200?" + "X-A=" + "a" * 1500, **accept).headers
    assert published_site(host, "tcp.test").get(short, **accept).status_code == 200


def test_headers_of_an_answer_need_room(host: Any, edge: Site) -> None:
    assert len(edge.get("/answer/200?X-Long=*25000").headers["X-Long"]) == 25000
    assert published_site(host, "tcp.test").get("/answer/200?X-Long=*25000").status_code == 502


def test_a_part_without_buffers_passes_on_what_comes(edge: Site) -> None:
    assert ask(edge, "/pages-at-once").first_piece < 1


def test_an_application_that_is_gone_is_waited_for(host: Any) -> None:
    site = published_site(host, "down.test")
    page = site.get("/x.png")
    assert (page.status_code, page.headers["Retry-After"], page.headers["Cache-Control"]) == (502, "5", "no-store")
    assert "<meta http-equiv=refresh content=5>" in page.text
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    found = seen(site)
    assert all(found[name.lower()] == [value] for name, value in DEFAULTS.items())
    posted = ask(site, "/", body=b"x=1")
    assert posted.status == 502
    assert "retry-after" not in posted.head.lower()
    assert b"refresh" not in posted.body
    assert b"may not have arrived" in posted.body


def ends_after(site: Site, *pieces: bytes) -> tuple[bytes, float]:
    """What a server says to a client that sends some pieces and then nothing, and when it hangs up, in seconds."""
    address = urlsplit(site.base)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        started = time.monotonic()
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        try:
            while more := connection.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
    return answer, time.monotonic() - started


def test_clients_are_not_waited_for_for_ever(host: Any) -> None:
    site = published_site(host, "any.test", 8081)
    head = b"GET / HTTP/1.1\r\nHost: any.test\r\n"
    for request, statuses in (
        (head + b"X-Slow: a", (b"", b"408")),
        (head.replace(b"GET", b"POST") + b"Content-Length: 9\r\n\r\nabc", (b"", b"408")),
        (head + b"\r\n", (b"200",)),
    ):
        answer, seconds = ends_after(site, request)
        assert answer[9:12] in statuses, request
        assert seconds < 12, request
    assert ask(site, "/" + "a" * 12000).status == 200
    assert ask(published_site(host, "tcp.test"), "/" + "a" * 12000).status == 414


def test_a_connection_is_reused_where_it_may_be(host: Any) -> None:
    request = b"GET / HTTP/1.1\r\nHost: tcp.test\r\n\r\n"
    last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answer, dummy = exchange(published_site(host, "tcp.test"), request + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
