"""Sites as data become a configuration without a known weakness, or are refused with the reason."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_check import check_sites
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_files import site_view
from unit.nginx_rendered import TEMPLATES, files, rendered, site, sites

EVERYTHING: dict[str, Any] = {
    "blog": {
        "server_names": ["blog.example.org", "*.blog.example.org"],
        "upstream": "unix:/srv/blog/current/gunicorn.sock",
        "aliases": {
            "/static": ["/srv/blog/current/public/static", "/srv/blog/previous/public/static"],
            "/media/": "/srv/blog/current/public/media/",
        },
        "locations": {
            "/events": {"stream": True},
            "/ws": {"websocket": True, "rate_limit": {"rate": 0}},
            "/up": {"max_body": "9m", "buffering": False, "request_buffering": False, "send_timeout": 90},
            "/login": {"rate_limit": {"rate": 5, "per": "minute", "burst": 0}},
            "/admin/": {
                "allow": ["10.0.0.0/8", "2001:db8::/32"],
                "deny": ["10.1.2.3"],
                "headers": {"X-Robots-Tag": "none"},
            },
            "/admin/events": {"stream": True},
        },
        "trusted_proxies": ["192.0.2.0/24", "2001:db8::1"],
        "listen": [80, 81],
        "rate_limit": {},
        "headers": {"Content-Security-Policy": "default-src 'self'", "Referrer-Policy": "", "X-Frame-Options": "DENY"},
        "hide_headers": ["X-Powered-By"],
        "basic_auth": {"users": {"anna": "canary-of-anna"}, "except": ["/health", "/hooks/", "/media/"]},
        "error_pages": {404: {"page": "/static/errors/404.html"}, "500": {"text": "<h1>It's $5</h1>"}},
        "intercept_errors": True,
        "redirects": {"/old": {"to": "/new"}, "/news/": {"to": "https://news.example.org/", "status": 302}},
        "rewrites": [
            {"match": "^/u/([0-9]+)$", "to": "/users/$1"},
            {"match": "^/v([0-9])/([a-z]+)$", "to": "/api/$1/$2", "status": 301},
        ],
        "gzip": {"level": 5, "min_length": 256, "types": ["text/html", "text/css", "text/css"]},
        "buffers": {"header": "32k", "number": 8, "request": "64k"},
        "client": {
            "header_timeout": 10,
            "body_timeout": 20,
            "send_timeout": 30,
            "keepalive": 0,
            "header_buffers": "4 16k",
        },
        "static_cache": {"others": 3600, "immutable": ["/static/dist/"]},
        "uploads": ["/media/"],
        "static_compressed": ["gzip"],
    },
    "shop": {"upstream": "127.0.0.1:8000", "default_server": True, "listen": [8080]},
}


def test_gixy_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "mime.types").write_text("types { text/html html; }\n")
    for path, entry in files(EVERYTHING).items():
        if "template" in entry:
            target = tmp_path / Path(path).relative_to("/etc/nginx").as_posix().replace(
                "sites-available", "sites-enabled"
            )
            target.parent.mkdir(exist_ok=True)
            text = TEMPLATES.get_template(entry["template"]).render(**entry.get("vars", {}))
            target.write_text(text.replace("/etc/nginx/", f"{tmp_path}/"))
    assert len(list(tmp_path.rglob("*.conf"))) == 7
    # Its list of CVEs wants to know the version of an nginx that runs.
    gixy = str(Path(sys.executable).with_name("gixy"))
    argv = [gixy, "--format", "json", "--skips", "nginx_cves", str(tmp_path / "nginx.conf")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == [], done.stdout


def test_gixy_reads_the_sites(tmp_path: Path) -> None:
    """The test above could pass because nothing was read."""
    text = site({"extra": "location /y { alias /y/; }"})
    (tmp_path / "nginx.conf").write_text(f"events {{}}\nhttp {{\n{text}\n}}\n")
    argv = [str(Path(sys.executable).with_name("gixy")), "--format", "json", str(tmp_path / "nginx.conf")]
    assert "alias_traversal" in subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def test_both_sides_of_an_alias_end_in_a_slash() -> None:
    text = site({"aliases": {"/static": "/srv/x", "/media/": "/srv/y/"}})
    assert re.findall(r"location \^~ (\S+) \{.*?\n        alias (\S+);", text, re.DOTALL) == [
        ("/media/", "/srv/y/"), ("/static/", "/srv/x/"),
    ]  # fmt: skip


def test_a_list_of_directories_is_tried_in_its_order() -> None:
    text = site({"aliases": {"/static": ["/srv/new", "/srv/old/", "/srv/oldest"]}})
    blocks = re.findall(r"location \^~ (\S+) \{\n(.*?)\n    \}", text, re.DOTALL)
    assert [url for url, dummy in blocks] == [
        "/static/", "//next/static/", "//next//next/static/",
    ]  # fmt: skip
    assert re.findall(r"alias (\S+);", text) == ["/srv/new/", "/srv/old/", "/srv/oldest/"]
    assert ["internal;" in body for dummy, body in blocks] == [False, True, True]
    assert ["error_page 404 = //next$uri;" in body for dummy, body in blocks] == [True, True, False]
    assert all("log_not_found off;" in body and "add_header X-Content-Type-Options " in body for dummy, body in blocks)


def test_one_directory_is_as_a_list_of_one() -> None:
    assert site({"aliases": {"/static": "/srv/x"}}) == site({"aliases": {"/static/": ["/srv/x/"]}})
    assert "error_page 404" not in site({"aliases": {"/static": "/srv/x"}})


def test_links_are_not_followed_where_others_write() -> None:
    text = site({"aliases": {"/static": ["/srv/new", "/srv/old"], "/media": "/srv/y"}, "uploads": ["/media"]})
    assert re.findall(r"disable_symlinks .*;", text) == ["disable_symlinks on from=/srv/y;"]
    assert text.count('if ($uri ~ "/\\.(?!well-known/)") {') == 3
    rooted = {"aliases": {"/media/": "/srv/shared/media"}, "uploads": ["/media"], "uploads_root": "/srv/shared"}
    assert re.findall(r"disable_symlinks .*;", site(rooted)) == ["disable_symlinks on from=/srv/shared;"]
    checked = sites({"x": {"upstream": "127.0.0.1:1", "server_names": ["x.test"], "uploads": ["/media/"]}})
    (problem,) = check_sites(checked)
    assert "'/media/' is none of the aliases" in str(problem)


@pytest.mark.parametrize(("root", "words"), [("/srv/b", "is not below '/srv/b'"), ("srv/a", "no absolute path")])
def test_the_root_of_uploads_is_above_them(root: str, words: str) -> None:
    entry = {"upstream": "127.0.0.1:1", "server_names": ["x.test"], "aliases": {"/media/": "/srv/a/media"}}
    (problem,) = check_sites(sites({"x": {**entry, "uploads": ["/media/"], "uploads_root": root}}))
    assert words in str(problem)


def test_files_of_the_host_are_read_before_every_location() -> None:
    text = site({"includes": ["/etc/nginx/own/x/*.conf"]})
    assert text.index("\n    include /etc/nginx/own/x/*.conf;\n") < text.index("location ")
    assert "include" not in site({})


def test_every_header_that_an_application_may_believe_is_set_in_each_place() -> None:
    """proxy_set_header in a location drops all that the server block says."""
    text = site({"locations": {"/ws": {"websocket": True}}})
    names = [
        "Host", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port",
        "X-Forwarded-Prefix", "X-Forwarded-Ssl", "Forwarded", "Proxy", "X-Request-ID",
    ]  # fmt: skip
    for name in names:
        assert text.count(f"proxy_set_header {name} ") == 2, name
    assert text.count("Upgrade $nginx_sites_upgrade;") == 1


@pytest.mark.parametrize(
    ("kind", "written"),
    [("json", "/var/log/nginx/x.access.log nginx_sites_json"), ("combined", "/var/log/nginx/x.access.log combined")],
)
def test_a_log_has_the_form_that_was_chosen(kind: str, written: str) -> None:
    assert f"    access_log {written};\n" in site({"access_log": kind})
    assert "    access_log off;\n" in site({"access_log": "none"})
    assert site({}) == site({"access_log": "combined"})


def test_each_answer_carries_the_id_of_its_request() -> None:
    """add_header in a location drops what the server block adds."""
    text = site({"aliases": {"/static": ["/srv/new", "/srv/old"]}, "locations": {"/ws": {"websocket": True}}})
    places = [block for block in re.split(r"\n    location ", text) if "add_header" in block]
    assert len(places) == 4
    assert all("add_header X-Request-ID $nginx_sites_request_id always;" in block for block in places)
    assert "proxy_hide_header X-Request-ID;" in places[0]


def test_without_trusted_proxies_nobody_chooses_address_or_scheme() -> None:
    text = site({})
    assert "X-Forwarded-Proto $scheme;" in text
    assert "real_ip" not in text
    assert "$http_x_forwarded" not in text


def test_two_sites_never_share_a_variable() -> None:
    entry = sites({"a-b": {"upstream": "a:1", "trusted_proxies": ["::1"]}})["a-b"]
    names = {site_view(name, entry, ipv6=True)["scheme"] for name in ("a-b", "a_b", "a.b", "ab")}
    assert len(names) == 4


def test_unknown_hosts_are_dropped_where_no_site_answers_for_them() -> None:
    unknown = [path for path in files(EVERYTHING) if "unknown-hosts" in path]
    assert unknown == [f"/etc/nginx/conf.d/00-unknown-hosts-{port}.conf" for port in (80, 81)]
    text = rendered(EVERYTHING, unknown[1])
    assert "listen 81 default_server;\n    listen [::]:81 default_server;" in text
    assert "return 444;" in text
    assert not [path for path in files(EVERYTHING, catch_all=False) if "unknown-hosts" in path]
    with_welcome = files(EVERYTHING, remove_default=False)
    assert [path for path in with_welcome if "unknown-hosts" in path] == unknown[1:]


def test_what_is_the_hosts_is_shared_by_the_owners() -> None:
    shared = {path for path, entry in files(EVERYTHING).items() if entry.get("shared")}
    assert shared == {
        "/etc/nginx/nginx.conf",
        "/etc/nginx/conf.d/00-answers.conf",
        "/etc/nginx/conf.d/00-visitors.conf",
        "/etc/nginx/conf.d/00-unknown-hosts-80.conf",
        "/etc/nginx/conf.d/00-unknown-hosts-81.conf",
    }


def test_without_ipv6_nothing_listens_there() -> None:
    assert "[::]" not in site({}, ipv6=False)
    assert "[::]" in site({})


def test_streams_wait_an_hour_unless_told_otherwise() -> None:
    assert "proxy_read_timeout 3600s;\n        proxy_buffering off;" in site({"locations": {"/e": {"stream": True}}})
    text = site({"locations": {"/e": {"stream": True, "read_timeout": 20}}})
    assert "proxy_read_timeout 20s;\n        proxy_buffering off;" in text


def test_raw_lines_stand_at_the_end_of_the_server_block() -> None:
    assert site({"extra": "a on;\nb off;\n"}).endswith("\n\n    a on;\n    b off;\n}\n")


def test_the_welcome_site_stays_when_asked() -> None:
    assert files(EVERYTHING)["/etc/nginx/sites-enabled/default"] == {"absent": True}
    assert "/etc/nginx/sites-enabled/default" not in files(EVERYTHING, remove_default=False)


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"server_names": ["a b"]}, "server_names"),
        ({"server_names": ["a.test; } server {"]}, "server_names"),
        ({"server_names": []}, "server_names"),
        ({"listen": []}, "listen"),
        ({"listen": [70000]}, "listen"),
        ({"upstream": "/run/x.sock"}, "upstream"),
        ({"upstream": "127.0.0.1:99999"}, "upstream"),
        ({"upstream": "unix:/run/x;y"}, "upstream"),
        ({"aliases": {"static": "/x"}}, "aliases.static"),
        ({"aliases": {"/": "/x"}}, "aliases./"),
        ({"aliases": {"/a/../b": "/x"}}, "aliases./a/../b"),
        ({"aliases": {"/a": "x"}}, "aliases./a"),
        ({"aliases": {"/a": "/x/../y"}}, "aliases./a"),
        ({"aliases": {"/a": "/x", "/a/": "/y"}}, "aliases./a"),
        ({"aliases": {"/a": []}}, "aliases./a"),
        ({"aliases": {"/a": ["/1", "/2", "/3", "/4", "/5", "/6"]}}, "aliases./a"),
        ({"aliases": {"/a": ["/x", "/x"]}}, "aliases./a"),
        ({"aliases": {"/a": ["/x", 1]}}, "aliases./a"),
        ({"aliases": {"/a": ["/x", "/y;z"]}}, "aliases./a"),
        ({"includes": ["own/*.conf"]}, "includes"),
        ({"includes": ["/etc/nginx/../x"]}, "includes"),
        ({"includes": ["/etc/passwd"]}, "includes"),
        ({"includes": ["/etc/nginx/a;b"]}, "includes"),
        ({"aliases": {"/a": "/x"}, "locations": {"/a/": {}}}, "locations./a/"),
        ({"locations": {"x {}": {}}}, "locations.x {}"),
        ({"locations": {"/x": {"stream": True, "websocket": True}}}, "locations./x"),
        ({"locations": {"/x": {"max_body": "1 MB"}}}, "locations./x.max_body"),
        ({"max_body": "1 MB"}, "max_body"),
        ({"timeouts": {"connect": 80}}, "timeouts.connect"),
        ({"timeouts": {"read": 0}}, "timeouts.read"),
        ({"trusted_proxies": ["0.0.0.0/0"]}, "trusted_proxies"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies"),
    ],
)
def test_what_nginx_would_misread_is_refused(entry: dict[str, Any], place: str) -> None:
    whole = {"server_names": ["x.test"], "upstream": "127.0.0.1:1", **entry}
    assert {problem.path for problem in check_sites(sites({"x": whole}))} >= {f"nginx_sites.x.{place}"}


def test_sites_side_by_side_do_not_claim_the_same() -> None:
    one = {"server_names": ["X.test"], "upstream": "a:1", "default_server": True}
    two = {"server_names": ["x.test"], "upstream": "a:1", "default_server": True, "listen": [80, 81]}
    found = [problem.path for problem in check_sites(sites({"one": one, "two": two}))]
    assert found == ["nginx_sites.two.default_server", "nginx_sites.two.server_names"]
    assert not check_sites(sites({"one": one, "two": {**two, "listen": [81]}}))
