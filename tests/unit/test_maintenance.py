"""What nginx is told about a site that is closed to visitors, and what is refused before."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import maintenance as made
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_paths import own_nginx_files

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).resolve().parents[2] / "roles/flask_apps/templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)
NGINX_WORD = 4096
AWKWARD = [
    "$uri ${host} $",
    "\"; return 200 '",
    "'; }",
    "\\",
    '\\n\\"',
    "<script>&amp;",
    "{{ x }} {% y %}",
    "grüße 日本 🎉",
]


def rendered(name: str, message: str = "x", allowed: tuple[str, ...] = ()) -> str:
    view = {
        "app": "my-blog",
        "id": made.identifier("my-blog"),
        "html": made.html_text(message),
        "json": made.json_text(message),
        "retry_after": 120,
        "networks": list(allowed),
    }
    return TEMPLATES.get_template(name).render(maintenance=view, token="0123abcd" * 8)


def texts(config: str) -> tuple[str, str]:
    """The page and the JSON as they stand in the quotes of nginx's configuration."""
    page = re.search(r'return 503 "([^"]*)";', config)
    answer = re.search(r"return 503 '([^']*)';", config)
    assert page
    assert answer
    return page[1], answer[1]


@pytest.mark.parametrize("message", AWKWARD)
def test_a_message_arrives_as_it_is_and_is_no_more_than_text(message: str) -> None:
    page, answer = texts(rendered("maintenance.conf.j2", message))
    found = re.search(r"<p>(.*)</p>", page)
    assert found
    assert html.unescape(found[1]) == message
    assert json.loads(answer) == {"status": 503, "message": message, "retry_after": 120}
    for text in (page, answer):
        assert "$" not in text, "nginx would read a variable"
        assert '\\"' not in text
        assert not text.endswith("\\")
    assert not re.search(r"[<>&\\\"$]", found[1].replace("&#", ""))


@pytest.mark.parametrize("letter", ["$", "x", "ü", "🎉"])
def test_the_longest_message_fits_into_a_word_of_nginx(letter: str) -> None:
    for text in texts(rendered("maintenance.conf.j2", letter * made.MESSAGE_LENGTH)):
        assert len(text.encode()) < NGINX_WORD - 100


def test_the_token_is_in_the_file_of_the_operators_only() -> None:
    assert "0123abcd" not in rendered("maintenance.conf.j2")
    assert rendered("operators.conf.j2").count('"~^' + "0123abcd" * 8 + '$" 1;') == 2


def test_operators_are_told_by_their_networks() -> None:
    text = rendered("operators.conf.j2", allowed=("203.0.113.7/32", "2001:db8::/32"))
    assert "geo $flaskworks_operator_my_blog {\n    default 0;\n    203.0.113.7/32 1;\n    2001:db8::/32 1;\n}" in text


@pytest.mark.parametrize(
    ("state", "means"),
    [("on", True), ("off", False), (True, True), (False, False), ("yes", None), ("", None), (None, None), (1, None)],
)
def test_a_state_is_on_or_off(state: Any, means: bool | None) -> None:
    assert made.is_on(state) is means


FOUND = ["/srv/blog/current", "/srv/shop/current", made.site_file("blog"), "/srv/old/x.conf"]


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("blgo", "did you mean 'blog'?"),
        ("wkii", "did you mean 'wiki'?"),
        ("zzz", "there is no application 'zzz'"),
        ("old", "there is no application 'old'"),
        ("wiki", "is not live on this host"),
        ("shop", "is not live on this host"),
        ("../blog", "can't be an application"),
        ("*", "can't be an application"),
        (None, "say which one"),
    ],
)
@pytest.mark.parametrize("on", [True, False])
def test_an_application_that_can_not_be_closed_is_refused(app: Any, words: str, on: bool) -> None:
    (fault,) = made.app_faults(app, ["blog", "wiki"], FOUND, on)
    assert words in fault


def test_a_live_application_can_be_closed_though_the_inventory_forgot_it() -> None:
    assert made.app_faults("blog", [], FOUND, True) == []


def test_what_is_closed_can_be_opened_whatever_became_of_the_application() -> None:
    found = [made.token_file("gone")]
    assert made.app_faults("gone", [], found, False) == []
    assert made.app_faults("gone", [], found, True) != []


@pytest.mark.parametrize("message", ["", "  ", None, 7, "a\nb", "a\0b", "\x1b[31m", "\x85", "\udcff", "x" * 501])
def test_a_message_that_is_no_line_of_text_is_refused(message: Any) -> None:
    assert made.message_faults(message)


@pytest.mark.parametrize("seconds", [1, "600", 86400])
def test_seconds_are_taken(seconds: Any) -> None:
    assert made.retry_faults(seconds) == []


@pytest.mark.parametrize("seconds", [0, -1, "-1", "", "soon", "1.5", 1.5, True, None, "²", "9" * 20, 30 * 86400 + 1])
def test_what_is_no_number_of_seconds_is_refused(seconds: Any) -> None:
    assert made.retry_faults(seconds)


def test_addresses_are_sorted_and_listed_once() -> None:
    wanted: tuple[list[str], list[str]] = (["2001:db8::/32", "203.0.113.0/24", "203.0.113.7/32"], [])
    assert made.networks("203.0.113.7, 2001:DB8::/32,203.0.113.7/32,203.0.113.0/255.255.255.0,") == wanted
    assert made.networks(["203.0.113.0/24", "203.0.113.7", "2001:db8::/32"]) == wanted
    assert made.networks("") == made.networks([]) == ([], [])


@pytest.mark.parametrize(
    "allow", ["203.0.113.300", "x", "10.0.0.1/8", "0.0.0.0/0", "::/0", "fe80::1%eth0", "1;", [5], [None], 5, {"a": 1}]
)
def test_a_malformed_address_is_refused(allow: Any) -> None:
    assert made.networks(allow)[1]


SITE = "    listen 8080;\n    listen [::]:8080;\n    server_name {};\n    include /etc/nginx/flaskworks/blog/*.conf;\n"


@pytest.mark.parametrize(
    ("names", "ports", "address"),
    [
        ("blog.test www.blog.test", "8080", "http://blog.test:8080"),
        ("*.blog.test blog.test", "80", "http://blog.test"),
        ("*.blog.test", "80", "http://192.0.2.1"),
        ('""', "8080 default_server", "http://192.0.2.1:8080"),
    ],
)
def test_the_link_leads_to_the_site(names: str, ports: str, address: str) -> None:
    text = SITE.format(names).replace("8080", ports)
    assert made.site_address("blog", text, "192.0.2.1") == address


def test_a_site_that_does_not_read_the_state_of_the_host_is_refused() -> None:
    with pytest.raises(ValueError, match=r"run site\.yml once"):
        made.site_address("blogs", SITE.format("x"), "x")


def test_the_site_reads_the_file_that_says_whether_it_is_closed() -> None:
    assert made.page_file("blog") == f"{own_nginx_files('blog')}/maintenance.conf"


def test_two_applications_never_share_a_variable() -> None:
    assert len({made.identifier(app) for app in ("a-b", "ab", "a-b-c", "abc")}) == 4
