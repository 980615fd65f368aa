"""What nginx does by itself at a site's edge: written as meant, or refused with the reason."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_check import check_sites
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_transfer import cache_map
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.sha512_crypt import salt_from, sha512_crypt
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from unit.nginx_rendered import ROOT, files, site, sites

ADMIN = {"allow": ["10.0.0.0/8"], "deny": ["10.1.2.3"]}


def block(text: str, match: str) -> str:
    """The inside of one location."""
    found = re.search(rf"\n    location {re.escape(match)} \{{\n(.*?)\n    \}}", text, re.DOTALL)
    assert found, f"no location {match} in\n{text}"
    return found[1]


def added(text: str) -> list[str]:
    return re.findall(r"add_header (\S+)", text)


def faults(entry: dict[str, Any]) -> dict[str, str]:
    whole = {"server_names": ["x.test"], "upstream": "127.0.0.1:1", **entry}
    found = check_sites(sites({"x": whole}))
    return {problem.path.removeprefix("nginx_sites.x."): problem.text for problem in found}


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"rate_limit": {"rate": 0}}, "rate_limit.rate"),
        ({"rate_limit": {"burst": -1}}, "rate_limit.burst"),
        ({"locations": {"/x": {"rate_limit": {"rate": -1}}}}, "locations./x.rate_limit.rate"),
        ({"locations": {"/x": {"allow": ["all"]}}}, "locations./x.allow"),
        ({"locations": {"/x": {"deny": ["10.0.0.1; allow all"]}}}, "locations./x.deny"),
        ({"locations": {"/x": {"deny": ["::1", "::1"]}}}, "locations./x.deny"),
        ({"locations": {"/x": {"send_timeout": -1}}}, "locations./x.send_timeout"),
        ({"locations": {"/x": {"headers": {"X-A": "a\rb"}}}}, "locations./x.headers.X-A"),
        ({"headers": {"X-A; return 200": "a"}}, "headers.X-A; return 200"),
        ({"headers": {"X-A": "a\nb"}}, "headers.X-A"),
        ({"headers": {"X-A": "$request_uri"}}, "headers.X-A"),
        ({"headers": {"X-A": "gr\u00fcn"}}, "headers.X-A"),
        ({"headers": {"X-A": 5}}, "headers.X-A"),
        ({"headers": {"X-A": False}}, "headers.X-A"),
        ({"headers": {"X-A": "a" * 2001}}, "headers.X-A"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, "headers.x-a"),
        ({"headers": {"Set-Cookie": "a=b"}}, "headers.Set-Cookie"),
        ({"headers": {"X-Request-ID": "1"}}, "headers.X-Request-ID"),
        ({"hide_headers": ["a b"]}, "hide_headers"),
        ({"hide_headers": ["Set-Cookie"]}, "hide_headers"),
        ({"basic_auth": {}}, "basic_auth.users"),
        ({"basic_auth": {"users": {"a:b": "x"}}}, "basic_auth.users.a:b"),
        ({"basic_auth": {"users": {"a\nb": "x"}}}, "basic_auth.users.a\nb"),
        ({"basic_auth": {"users": {"a": ""}}}, "basic_auth.users.a"),
        ({"basic_auth": {"users": {"a": "x\ny"}}}, "basic_auth.users.a"),
        ({"basic_auth": {"users": {"a": 1}}}, "basic_auth.users.a"),
        ({"basic_auth": {"users": {"a": "x"}, "realm": "off"}}, "basic_auth.realm"),
        ({"basic_auth": {"users": {"a": "x"}, "realm": 'a"; auth_basic "off'}}, "basic_auth.realm"),
        ({"basic_auth": {"users": {"a": "x"}, "realm": "$host"}}, "basic_auth.realm"),
        ({"basic_auth": {"users": {"a": "x"}, "except": ["/"]}}, "basic_auth.except"),
        ({"basic_auth": {"users": {"a": "x"}, "except": ["/x {"]}}, "basic_auth.except"),
        ({"basic_auth": {"users": {"a": "x"}, "except": ["/s/x"]}, "aliases": {"/s": "/s"}}, "basic_auth.except"),
        ({"error_pages": {"200": {"text": "x"}}}, "error_pages.200"),
        ({"error_pages": {"499": {"text": "x"}}}, "error_pages.499"),
        ({"error_pages": {"404": {}}}, "error_pages.404"),
        ({"error_pages": {"404": {"text": "x", "page": "/y"}}}, "error_pages.404"),
        ({"error_pages": {"404": {"page": "/y"}}}, "error_pages.404.page"),
        ({"error_pages": {"404": {"page": "/s/"}}, "aliases": {"/s": "/s"}}, "error_pages.404.page"),
        ({"error_pages": {"404": {"page": "/s/y; x"}}, "aliases": {"/s": "/s"}}, "error_pages.404.page"),
        ({"redirects": {"/a b": {"to": "/c"}}}, "redirects./a b"),
        ({"redirects": {"/": {"to": "/c"}}}, "redirects./"),
        ({"redirects": {"/a": {"to": "/c"}}, "locations": {"/a": {}}}, "redirects./a"),
        ({"redirects": {"/a": {"to": "/a"}}}, "redirects./a.to"),
        ({"redirects": {"/a": {"to": "//evil.test"}}}, "redirects./a.to"),
        ({"redirects": {"/a": {"to": "javascript:alert(1)"}}}, "redirects./a.to"),
        ({"redirects": {"/a": {"to": '/c"; return 200 "'}}}, "redirects./a.to"),
        ({"redirects": {"/a": {"to": "/$uri"}}}, "redirects./a.to"),
        ({"redirects": {"/a/": {"to": "/b"}}}, "redirects./a/.to"),
        ({"redirects": {"/a/": {"to": "/a/b/"}}}, "redirects./a/.to"),
        ({"redirects": {"/a/": {"to": "/b/", "status": 308}}}, "redirects./a/.status"),
        ({"rewrites": [{"match": "/x", "to": "/y"}]}, "rewrites[0].match"),
        ({"rewrites": [{"match": "^/x(.*)$", "to": "/$1"}]}, "rewrites[0].match"),
        ({"rewrites": [{"match": "^/x", "to": "/a//b"}]}, "rewrites[0].to"),
        ({"rewrites": [{"match": "^/(x)", "to": "/a/../$1"}]}, "rewrites[0].to"),
        ({"rewrites": [{"match": "^/x(", "to": "/y"}]}, "rewrites[0].match"),
        ({"rewrites": [{"match": "^/x{9999999999}", "to": "/y"}]}, "rewrites[0].match"),
        ({"rewrites": [{"match": "^/(?<host>.*)", "to": "/y"}]}, "rewrites[0].match"),
        ({"rewrites": [{"match": "^/x\n", "to": "/y"}]}, "rewrites[0].match"),
        ({"rewrites": [{"match": "^/x", "to": "/y$uri"}]}, "rewrites[0].to"),
        ({"rewrites": [{"match": "^/x", "to": "/$1"}]}, "rewrites[0].to"),
        ({"rewrites": [{"match": "^/x", "to": "/y;"}]}, "rewrites[0].to"),
        ({"rewrites": [{"match": "^/x", "to": "https://y.test/"}]}, "rewrites[0].status"),
        ({"gzip": {"level": 10}}, "gzip.level"),
        ({"gzip": {"min_length": -1}}, "gzip.min_length"),
        ({"gzip": {"types": ["text/css; x"]}}, "gzip.types"),
        ({"static_compressed": ["gzip", "gzip"]}, "static_compressed"),
        ({"buffers": {"size": "1g"}}, "buffers.size"),
        ({"buffers": {"header": "16k;"}}, "buffers.header"),
        ({"buffers": {"request": "0"}}, "buffers.request"),
        ({"buffers": {"number": 1}}, "buffers.number"),
        ({"buffers": {"header": "64k"}}, "buffers.number"),
        ({"client": {"header_timeout": 0}}, "client.header_timeout"),
        ({"client": {"keepalive": -1}}, "client.keepalive"),
        ({"client": {"header_buffers": "8k"}}, "client.header_buffers"),
        ({"client": {"header_buffers": "4 8k; x"}}, "client.header_buffers"),
        ({"client": {"header_buffers": "4 2m"}}, "client.header_buffers"),
        ({"static_cache": {"others": -1}}, "static_cache.others"),
        ({"static_cache": {"immutable": ["/x/"]}}, "static_cache.immutable"),
        ({"static_cache": {"immutable": ["/s"]}, "aliases": {"/s": "/s"}}, "static_cache.immutable"),
    ],
)  # fmt: skip
def test_what_nginx_would_misread_is_refused(entry: dict[str, Any], place: str) -> None:
    assert place in faults(entry)


def test_no_password_is_part_of_a_message() -> None:
    for password in ("canary\nx", "canary\x00"):
        assert "canary" not in str(faults({"basic_auth": {"users": {"a": password, "b c": password}}}))


def test_an_application_hands_over_what_it_says() -> None:
    nginx = {
        "rate_limit": {"rate": 3},
        "headers": {"X-A": "b"},
        "basic_auth": {"users": {"anna": "x"}},
        "error_pages": {404: {"text": "gone"}},
        "locations": {"/up": {"buffering": False, "allow": ["::1"]}},
        "static_compressed": ["brotli"],
    }
    app = {
        "source": {"path": "."},
        "wsgi": "a:a",
        "domains": ["x.test"],
        "shared": ["media"],
        "static": {"/static/": "src:static/", "/media/": "shared:media/"},
        "nginx": nginx,
    }
    plan = make_plan(entry_points("flask_apps"), {"blog": app})
    made = plan["nginx_sites"]["blog"]
    assert made["rate_limit"] == {"rate": 3, "per": "second", "burst": 20}
    assert made["error_pages"] == {"404": {"page": "", "text": "gone"}}
    assert made["locations"]["/up"]["buffering"] is False
    assert made["uploads"] == ["/media/"]
    assert "libnginx-mod-http-brotli-static" in plan["packages"]
    assert check_sites(sites({"blog": made})) == []
    plain = make_plan(entry_points("flask_apps"), {"blog": {**app, "nginx": {}}})
    assert "libnginx-mod-http-brotli-static" not in plain["packages"]
    assert not {"rate_limit", "basic_auth"} & set(plain["nginx_sites"]["blog"])


def test_the_example_of_the_guide_is_right() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/nginx.md").read_text(), re.DOTALL)
    apps = yaml.safe_load(example)["flask_apps"]
    made = make_plan(entry_points("flask_apps"), apps)["nginx_sites"]
    assert check_sites(sites(made)) == []
    assert made["blog"]["basic_auth"]["except"] == ["/health", "/hooks/"]


def test_hashes_are_those_of_crypt() -> None:
    # From the text that describes the method, and from openssl passwd -6.
    assert sha512_crypt("Hello world!", "saltstring") == (
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    )


def test_users_are_a_file_for_root_and_nginx_alone_that_stays_the_same() -> None:
    hashed = "$6$abcdefgh$" + "a" * 86
    auth = {"users": {"b": hashed, "anna": "canary"}}
    entries = {"x": {"server_names": ["x.test"], "upstream": "a:1", "basic_auth": auth}}
    made = files(entries)["/etc/nginx/htpasswd/x"]
    assert (made["mode"], made["group"], made["sensitive"]) == ("0640", "www-data", True)
    salt = salt_from("x\0anna")
    assert made["content"] == f"anna:{sha512_crypt('canary', salt)}\nb:{hashed}\n"
    # A salt that came from the password would be a hash of it without rounds.
    auth["users"]["anna"] = "another"
    assert f"anna:$6${salt}$" in files(entries)["/etc/nginx/htpasswd/x"]["content"]
    assert "/etc/nginx/htpasswd/x" not in files({"x": {"server_names": ["x.test"], "upstream": "a:1"}})


def test_exceptions_from_the_password_are_open_and_nothing_else_is() -> None:
    auth = {"users": {"a": "b"}, "except": ["/health", "/hooks/", "/media/"]}
    text = site({
        "basic_auth": auth, "aliases": {"/media": "/m", "/static": "/s", "/hooks/css": "/c"},
        "locations": {"/health": {"max_body": "2m"}, "/hooks/up": {"max_body": "9m"}, "/": {"max_body": "3m"}},
    })  # fmt: skip
    assert '    auth_basic "Restricted";\n    auth_basic_user_file /etc/nginx/htpasswd/x;' in text
    open_places = ["= /health", "/hooks/", "/hooks/up", "^~ /media/", "^~ /hooks/css/"]
    for match in re.findall(r"\n    location (.*?) \{", text):
        assert ("auth_basic off;" in block(text, match)) == (match in open_places), match
    # Where nobody described it, it is as the place around it.
    assert "client_max_body_size 2m;" in block(text, "= /health")
    assert "client_max_body_size 3m;" in block(text, "/hooks/")


def dots_refused(text: str, match: str) -> str:
    found = re.search(r"if \(\$request_uri ~ (.*)\) \{\n\s+return 400;", block(text, match))
    return as_nginx_reads(found[1]) if found else ""


def test_dots_lead_from_no_guarded_place_to_an_open_one() -> None:
    closed = {"basic_auth": {"users": {"a": "b"}, "except": ["/health", "/hooks/"]}, "locations": {"/x": {}}}
    text = site(closed)
    assert [bool(dots_refused(text, match)) for match in ("= /health", "/hooks/", "/", "/x")] == [
        True,
        True,
        False,
        False,
    ]
    pattern = dots_refused(text, "= /health")
    for uri in ("/x/../health", "/x/%2e%2E/health", "/x%2F..%2fhealth", "/health/..", "/./health", "/hooks/..?a"):
        assert re.search(pattern, uri), uri
    for uri in ("/health", "/hooks/a..b", "/hooks/...", "/hooks/.env", "/health?next=/../x", "/hooks/v1./x"):
        assert not re.search(pattern, uri), uri
    text = site({"locations": {"/admin/": ADMIN, "/x": {}}})
    assert [bool(dots_refused(text, match)) for match in ("/admin/", "/", "/x")] == [False, True, True]
    text = site(
        {"locations": {"/admin/": ADMIN, "/admin/open/": {"allow": ["0.0.0.0/0"]}, "/admin/x": {"stream": True}}}
    )
    assert dots_refused(text, "/admin/open/")
    text = site({"locations": {"/": ADMIN, "/x": {"stream": True}}})
    assert [dots_refused(text, match) for match in ("/", "/x")] == ["", ""]
    assert "return 400" not in site({"locations": {"/x": {}}, "aliases": {"/static/": "/s"}})


def test_a_place_that_adds_a_header_repeats_all_others() -> None:
    text = site({
        "headers": {"X-A": "1", "X-Frame-Options": "", "referrer-policy": "no-referrer"},
        "aliases": {"/static/": ["/a", "/b"]},
        "locations": {"/x/": {"headers": {"X-B": "2", "X-A": ""}}, "/x/y": {"stream": True}, "/z": {"websocket": True}},
    })  # fmt: skip
    whole = ["X-Content-Type-Options", "X-A", "referrer-policy", "X-Request-ID"]
    assert added(text.split("    location ")[0]) == whole
    for match in ("^~ /static/", "^~ //next/static/"):
        assert added(block(text, match)) == ["Cache-Control", *whole]
    for match in ("/x/", "/x/y"):
        assert added(block(text, match)) == ["X-Content-Type-Options", "referrer-policy", "X-B", "X-Request-ID"]
    assert added(block(text, "/z")) == added(block(text, "/")) == []
    assert added(block(text, "@nginx_sites_retry")) == ["Retry-After", "Cache-Control", *whole]


def test_the_applications_own_header_stands_unless_it_is_hidden() -> None:
    text = site({"headers": {"X-A": '1"\\'}})
    variable = re.search(r"add_header X-A (\S+) always;", text)
    assert variable
    assert f'map $sent_http_x_a {variable[1]} {{\n    default "";\n    "" "1\\"\\\\";\n}}' in text
    hidden = site({"headers": {"X-A": "1"}, "hide_headers": ["x-a", "Server-Timing"]})
    assert 'add_header X-A "1" always;' in hidden
    assert "proxy_hide_header x-a;\n    proxy_hide_header Server-Timing;" in hidden


def test_a_line_by_hand_takes_the_place_of_a_default() -> None:
    text = site({"extra": "add_header x-frame-options DENY;\nerror_page 502 504 /down.html;"})
    assert [name for name in added(text) if name.lower() == "x-frame-options"] == ["x-frame-options"]
    assert "@nginx_sites_retry" not in text
    commented = site({"extra": "# add_header X-Frame-Options DENY;\n#error_page 502 504 /down.html;"})
    assert "X-Frame-Options" in added(commented)
    assert "error_page 502 @nginx_sites_retry;" in commented
    inline = site({"extra": "location /e { add_header X-Frame-Options ''; }\n  error_page 502 504 /down.html;"})
    assert "X-Frame-Options $" in inline.split("location /")[0], "what stands inside of a block holds only there"
    assert "@nginx_sites_retry" not in inline


def test_a_line_by_hand_holds_in_every_place() -> None:
    frames, other = "add_header X-Frame-Options 'DENY' always;", 'add_header "X-B" "a; b";'
    text = site({
        "extra": f"add_header X-Frame-Options 'DENY' # ours\n  always; {other}\nadd_header Cache-Control private;",
        "aliases": {"/static/": ["/a", "/b"], "/x/css/": "/c"},
        "locations": {
            "/x/": {"headers": {"X-A": "1", "x-b": "2"}}, "/y": {"headers": {"X-Frame-Options": ""}}, "/z": {},
        },
    })  # fmt: skip
    for match in ("^~ /static/", "^~ //next/static/"):
        assert f"        {frames}\n        {other}\n" in block(text, match)
    for match in ("/x/", "^~ /x/css/"):
        assert frames in block(text, match)
        assert other not in block(text, match)
        assert [name for name in added(block(text, match)) if name.lower() == "x-b"] == ["x-b"]
    assert "X-Frame-Options" not in block(text, "/y")
    assert other in block(text, "/y")
    assert added(block(text, "/z")) == added(block(text, "/")) == []
    retry = block(text, "@nginx_sites_retry")
    assert frames in retry
    assert added(retry).count("Cache-Control") == 1
    # nginx would send both, of the server block itself.
    assert text.split("    location ")[0].count("X-Frame-Options") == 0


def test_what_the_application_is_told_by_hand_it_is_told_by_websockets_too() -> None:
    lines = "proxy_set_header X-Region 'north';\nproxy_set_header Connection \"\";"
    text = site(
        {
            "extra": lines + "\nlocation /e { proxy_set_header X-Elsewhere 1; }",
            "locations": {"/ws": {"websocket": True}},
        }
    )
    assert "        proxy_set_header X-Region 'north';" in block(text, "/ws")
    assert re.findall("proxy_set_header Connection .*", block(text, "/ws")) == [
        "proxy_set_header Connection $nginx_sites_connection;"
    ]
    assert "X-Elsewhere" not in block(text, "/ws")
    assert "X-Region" not in block(text, "/")


@pytest.mark.parametrize("header", ["Cache-Control", "cache-control"])
def test_what_is_said_of_caches_holds_for_files_as_well(header: str) -> None:
    aliases = {"/static/": ["/a", "/b"], "/x/css/": "/c"}
    places = ("^~ /static/", "^~ //next/static/", "^~ /x/css/")
    text = site({"aliases": aliases, "headers": {header: "private, no-store"}})
    for match in places:
        assert [name.lower() for name in added(block(text, match))].count("cache-control") == 1
        assert "$nginx_sites_cache_x" not in block(text, match)
    text = site({"aliases": aliases, "locations": {"/x/": {"headers": {header: ""}}}})
    assert ["$nginx_sites_cache_x" in block(text, match) for match in places] == [True, True, False]
    by_hand = site({"aliases": aliases, "extra": f"add_header {header} no-store;"})
    assert all(f"add_header {header} no-store;" in block(by_hand, match) for match in places)
    assert all("$nginx_sites_cache_x" not in block(by_hand, match) for match in places)
    hidden = site({"headers": {header: "private"}, "hide_headers": [header]})
    assert [name.lower() for name in added(block(hidden, "@nginx_sites_retry"))].count("cache-control") == 1


def test_what_restricts_visitors_holds_below_as_well() -> None:
    text = site({
        "rate_limit": {},
        "aliases": {"/admin/static": "/s", "/administration": "/t"},
        "locations": {
            "/admin": {**ADMIN, "rate_limit": {"rate": 2}}, "/admin/events": {"stream": True},
            "/admin/open": {"deny": ["192.0.2.1"], "rate_limit": {"rate": 0}}, "/administrator": {"max_body": "2m"},
        },
    })  # fmt: skip
    closed = "deny 10.1.2.3;\n        allow 10.0.0.0/8;\n        deny all;"
    for match in ("/admin", "/admin/events", "^~ /admin/static/"):
        assert closed in block(text, match)
    assert "limit_req zone=nginx_sites_x_at__2fadmin burst=20 nodelay;" in block(text, "/admin/events")
    assert f"deny 192.0.2.1;\n        {closed}" in block(text, "/admin/open")
    assert "limit_req" not in block(text, "/admin/open") + block(text, "^~ /admin/static/")
    for match in ("/administrator", "^~ /administration/", "/"):
        assert "deny" not in block(text, match)
    assert "limit_req zone=nginx_sites_x burst=20 nodelay;" in block(text, "/")
    assert set(re.findall(r"limit_req_zone (\S+) ", text)) == {"$nginx_sites_visitor_x"}
    assert text.count("map $remote_addr $nginx_sites_visitor_x {") == 1
    assert re.findall(r"limit_req_zone .*? zone=(\S+) rate=(\S+);", text) == [
        ("nginx_sites_x:10m", "10r/s"), ("nginx_sites_x_at__2fadmin:10m", "2r/s"),
    ]  # fmt: skip
    assert "limit_req" not in site({})


def test_a_deny_alone_opens_nothing_and_an_allow_says_all_anew() -> None:
    text = site({
        "locations": {
            "/a/": {"deny": ["10.1.2.3"]}, "/a/b/": {"deny": ["10.9.9.9", "10.1.2.3"]},
            "/a/b/c/": {"allow": ["10.0.0.0/8"]}, "/a/b/c/d/": {"deny": ["10.7.7.7"]},
            "/a/b/c/d/open/": {"allow": ["0.0.0.0/0", "::/0"]},
        },
    })  # fmt: skip

    def lines(match: str) -> list[str]:
        return re.findall(r"^ +((?:allow|deny) \S+;)", block(text, match), re.MULTILINE)

    assert lines("/a/") == ["deny 10.1.2.3;"]
    assert lines("/a/b/") == ["deny 10.9.9.9;", "deny 10.1.2.3;"]
    assert lines("/a/b/c/") == ["allow 10.0.0.0/8;", "deny all;"]
    assert lines("/a/b/c/d/") == ["deny 10.7.7.7;", "allow 10.0.0.0/8;", "deny all;"]
    assert lines("/a/b/c/d/open/") == ["allow 0.0.0.0/0;", "allow ::/0;", "deny all;"]


def test_a_site_for_some_is_closed_in_every_place_but_that_of_an_authority() -> None:
    text = site({
        "aliases": {"/static/": ["/s", "/t"], "/admin/css/": "/c"}, "acme_webroot": "/w", "basic_auth": {
            "users": {"a": "b"}, "except": ["/health", "/hooks/", "/static/"],
        },
        "error_pages": {"500": {"text": "x"}},
        "locations": {"/": {"allow": ["10.0.0.0/8"]}, "/admin/": {"stream": True}, "/ws": {"websocket": True}},
    })  # fmt: skip
    ours = {"^~ /.well-known/acme-challenge/", "^~ //error/", "@nginx_sites_retry"}
    places = set(re.findall(r"\n    location (.*?) \{", text))
    assert {"/", "= /health", "^~ /static/", "^~ //next/static/", "^~ /admin/css/"} | ours <= places
    for match in places - ours:
        assert "allow 10.0.0.0/8;\n        deny all;" in block(text, match), match
    assert "deny" not in "".join(block(text, match) for match in ours)


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ("allow 10.0.0.0/8; allow ::1; deny all;", '{allow: ["10.0.0.0/8", "::1"]}'),
        ("deny 10.1.2.3;", '{deny: ["10.1.2.3"]}'),
        ("deny all;", "{allow: [10.0.0.0/8]}"),
    ],
)
@pytest.mark.parametrize("location", [{"deny": ["192.0.2.1"]}, {"allow": ["10.0.0.0/9"]}])
def test_lines_about_addresses_that_nginx_would_drop_somewhere_are_refused(
    extra: str, wanted: str, location: dict[str, Any]
) -> None:
    found = faults({"extra": extra, "locations": {"/a": location}})
    assert set(found) == {"extra"}
    assert f"where locations./a.{next(iter(location))} is" in found["extra"]
    assert f"write locations: {{/: {wanted}}} instead" in found["extra"]
    assert faults({"extra": extra, "locations": {"/a": {"stream": True}}}) == {}
    within = f"location /b {{ {extra} }} # {extra}"
    assert faults({"extra": within, "locations": {"/a": location}}) == {}


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("/static/main.55e7cbb9.css", True),
        ("//next/static/main.55e7cbb9ba48.css", True),
        ("/static/app-0123456789abcdef0123456789abcdef.js.map", True),
        ("/static/dist/index-DiwrgTda.js", True),
        ("//next//next/static/dist/logo.png", True),
        ("/static/site.css", False),
        ("/static/report-20260101.pdf", False),
        ("/static/a-deadbeef.css", False),
        ("/static/55e7cbb9/site.css", False),
        ("/static/x55e7cbb9.css", False),
        ("/media/photo-55e7cbb9.jpg", False),
        ("/x/static/dist/logo.png", False),
    ],
)
def test_only_files_with_a_hash_in_their_name_are_kept_for_ever(uri: str, kept: bool) -> None:
    entry = sites({
        "x": {
            "upstream": "a:1", "default_server": True, "aliases": {"/static/": "/s", "/media/": "/m"},
            "static_cache": {"immutable": ["/static/dist/"]}, "uploads": ["/media"],
        }
    })["x"]  # fmt: skip
    for pattern, value in cache_map(entry):
        expression = pattern.strip('"').replace("\\\\", "\\")
        if pattern == "default" or re.search(expression.removeprefix("~"), uri):
            assert ("immutable" in value) == kept
            break


def test_no_cache_on_the_way_shows_what_is_guarded() -> None:
    static = {"aliases": {"/static/": "/s"}, "static_cache": {"others": 60}}
    assert '"public, max-age=31536000, immutable";' in site(static)
    for guarded in ({"basic_auth": {"users": {"a": "b"}}}, {"locations": {"/": ADMIN}}):
        text = site(static | guarded)
        assert '"private, max-age=31536000, immutable";' in text
        assert 'default "private, max-age=60";' in text
        assert "public" not in text
    assert "private" not in site(static | {"locations": {"/admin/": ADMIN}})


def test_static_files_say_nothing_about_caches_when_told_so() -> None:
    aliases = {"/static/": "/s"}
    assert "Cache-Control $" in site({"aliases": aliases})
    assert "Cache-Control $" not in site({"aliases": aliases, "static_cache": {"enabled": False}})
    assert '    default "public, max-age=60";' in site({"aliases": aliases, "static_cache": {"others": 60}})


def test_compressed_copies_are_looked_for_where_a_release_made_them() -> None:
    entry = {"aliases": {"/static/": ["/s", "/t"], "/media/": "/m"}, "uploads": ["/media/"]}
    text = site({**entry, "static_compressed": ["gzip", "brotli"]})
    assert text.count("gzip_static on;\n        brotli_static on;") == 2
    assert "_static on" not in block(text, "^~ /media/") + site(entry)
    # Else a cache on the way gives the copy to a browser that can't read it.
    alone = site({**entry, "static_compressed": ["gzip"], "gzip": {"enabled": False}})
    assert "    gzip off;\n" in alone
    assert "    gzip_vary on;\n" in alone


def test_pages_are_files_so_that_no_character_needs_care() -> None:
    text = '<h1>"$5"; }\\</h1>'
    entry = {"error_pages": {"404": {"page": "/static/404.html"}, "500": {"text": text}, "502": {"text": "down"}},
             "aliases": {"/static/": ["/s", "/t"]}}  # fmt: skip
    made = files({"x": {"server_names": ["x.test"], "upstream": "a:1", **entry}})
    assert made["/etc/nginx/error_pages/x/500.html"] == {"content": text + "\n"}
    assert made["/etc/nginx/error_pages/x/502.txt"] == {"content": "down\n"}
    said = site(entry)
    pages = [
        "404 /static/404.html", "500 //error/500.html", "502 //error/502.txt", "504 @nginx_sites_retry",
    ]  # fmt: skip
    assert re.findall(r"^    error_page (.*);", said, re.MULTILINE) == pages
    # A location with an error page of its own inherits none.
    assert re.findall(r"error_page (.*);", block(said, "^~ /static/")) == ["404 = //next$uri", *pages[1:3]]
    assert "@nginx_sites_retry" not in site({"retry_page": False})
    assert "proxy_intercept_errors on;" in site({"intercept_errors": True})
    assert "proxy_intercept_errors" not in said


def test_a_page_that_is_refused_itself_is_not_asked_for_again_and_again() -> None:
    pages = {status: {"page": f"/static/{status}.html"} for status in ("401", "403", "405")}
    whole = {"error_pages": pages, "aliases": {"/static/": ["/a", "/b"], "/other/": ["/c", "/d"]}}
    auth = {"basic_auth": {"users": {"a": "b"}}}

    def told(entry: dict[str, Any], match: str) -> list[str]:
        return re.findall(r"error_page (4\d\d) /", block(site(whole | entry), match))

    assert told({}, "^~ /static/") == ["401", "403", "405"]
    assert told(auth, "^~ /static/") == ["403", "405"]
    assert told({"locations": {"/": ADMIN}}, "^~ /static/") == ["401", "405"]
    assert told(auth, "^~ /other/") == ["401", "403", "405"]
    free = {"basic_auth": {"users": {"a": "b"}, "except": ["/static/"]}}
    assert told(free, "^~ /static/") == ["401", "403", "405"]


def test_guesses_of_a_password_at_files_are_limited_too() -> None:
    entry: dict[str, Any] = {
        "aliases": {"/static": "/srv/a", "/media": ["/srv/b", "/srv/c"], "/free": "/srv/d"},
        "basic_auth": {"users": {"a": "b"}, "except": ["/free/"]},
    }
    text = site({**entry, "rate_limit": {"rate": 5, "per": "minute", "burst": 3}})
    assert "limit_req_zone $nginx_sites_guesses_x zone=nginx_sites_x_guesses:10m rate=50r/m;" in text
    assert 'map $http_authorization $nginx_sites_guesses_x {\n    default $nginx_sites_visitor_x;\n    "" "";' in text
    line = "limit_req zone=nginx_sites_x_guesses burst=200 nodelay;"
    assert [line in block(text, f"^~ {url}/") for url in ("/static", "/media", "//next/media", "/free")] == [
        *[True] * 3,
        False,
    ]
    assert line not in block(text, "/")
    wide = site({**entry, "rate_limit": {"rate": 20_000, "burst": 50}})
    assert "rate=100000r/s;" in wide
    assert "guesses burst=500 nodelay" in wide
    for without in (entry, {"aliases": entry["aliases"], "rate_limit": {"rate": 5}}):
        assert "guesses" not in site(without)


def test_addresses_that_lead_elsewhere() -> None:
    text = site({
        "redirects": {
            "/a": {"to": "/b"}, "/c": {"to": "/d?e=f", "status": 308}, "/g.h/": {"to": "https://i.test/", "status": 302}
        },
        "rewrites": [
            {"match": '^/u/(\\d+)"$', "to": "/users/$1"}, {"match": "^/v$", "to": "https://v.test/", "status": 301},
        ],
    })  # fmt: skip
    assert block(text, "= /a").strip() == 'return 301 "/b$is_args$args";'
    assert block(text, "= /c").strip() == 'return 308 "/d?e=f";'
    assert block(text, "^~ /g.h/").strip() == 'rewrite "(?s)^/g\\\\.h/(.*)$" "https://i.test/$1" redirect;'
    assert 'rewrite "^/u/(\\\\d+)\\"$" "/users/$1" last;\n    rewrite "^/v$" "https://v.test/" permanent;' in text
    assert "absolute_redirect off;" in text
    kept = text.index("if ($uri ~ ^(//|/\\.well-known/acme-challenge/)) {\n        break;")
    assert kept < text.index('rewrite "^/u/'), "a rewrite of every path would take nginx's own places with it"


@pytest.mark.parametrize(
    ("match", "to", "status", "made", "better"),
    [
        ("^/rq(.*)$", "/$1", 302, "//x", "^/rq/(.*)$"),
        ("^/app(.*)$", "/$1", None, "//x", "^/app/(.*)$"),
        ("^/(?:de|en)-?(.*)$", "/$1", 301, "//x", "^/(?:de|en)-?/(.*)$"),
        ("^/v([0-9]{2})[a-z]+(.+)\\.html$", "/$2", 301, "//x", "^/v([0-9]{2})[a-z]+/(.+)"),
        ("^/x([a-z]*)/(.*)$", "/$1/$2", 302, "//", "^/x/([a-z]*)/(.*)$"),
        ("^/old(/.*)$", "/$1", 301, "//", "no group may begin with a slash"),
    ],
)
def test_a_rewrite_that_would_make_two_slashes_is_refused(
    match: str, to: str, status: int | None, made: str, better: str
) -> None:
    found = faults({"rewrites": [{"match": match, "to": to, **({"status": status} if status else {})}]})
    assert set(found) == {"rewrites[0].match"}
    assert f"makes '{made}" in found["rewrites[0].match"]
    assert better in found["rewrites[0].match"]


@pytest.mark.parametrize(
    ("match", "to", "status"),
    [
        ("^/rq/(.*)$", "/$1", 302),
        ("^/rp/?(.*)$", "/$1", 301),
        ("^/u([0-9]+)$", "/users/$1", None),
        ("^/v([0-9])/([a-z]+)$", "/$1/$2", 301),
        ("^/docs(/.*)?$", "/manual$1", None),
        ("^/op-(.*)$", "/inner/open/$1", None),
        ("^/old(.*)$", "/new/$1", 301),
        ("^/op-([^/].*)$", "/$1", 302),
        ("^/[a]{999999999}-([^/].*)$", "/$1", 302),
        ("^/x$", "/a?u=http://b/../c", None),
        ("^/(?:b/|c/)(.*)$", "/$1", None),
        ("^/[/](.*)$", "/x$1", None),
        ("^/(/.*)$", "/oops$1", None),
    ],
)
def test_a_rewrite_that_makes_what_is_meant_is_not(match: str, to: str, status: int | None) -> None:
    assert faults({"rewrites": [{"match": match, "to": to, **({"status": status} if status else {})}]}) == {}


def test_what_a_rewrite_made_is_looked_at_in_every_place_but_nginxs_own() -> None:
    """The server block would be too early: the flag last ends its directives."""
    entry: dict[str, Any] = {"aliases": {"/static": ["/srv/a", "/srv/b"]}, "locations": {"/x": {}}}
    text = site({**entry, "rewrites": [{"match": "^/a-(.*)$", "to": "/x/$1"}]})
    line = 'rewrite "//|/[.][.]?(?:/|$)" //unresolved last;'
    assert [line in block(text, place) for place in ("/", "/x", "^~ /static/")] == [True] * 3
    assert line not in block(text, "^~ //next/static/")
    assert "internal;" in block(text, "= //unresolved")
    assert line not in site({**entry, "rewrites": [{"match": "^/a-(.*)$", "to": "/x/$1", "status": 301}]})


def as_nginx_reads(word: str) -> str:
    """A quoted word without its quotes (ngx_conf_read_token)."""
    return re.sub(r"\\([\\\"])", r"\1", word.strip('"'))


@pytest.mark.parametrize(
    ("entry", "uri", "leads_to"),
    [
        ({"redirects": {"/old/": {"to": "/"}}}, "/old/a/b", "/a/b"),
        ({"redirects": {"/old/": {"to": "/"}}}, "/old/\\evil.test/x", "/evil.test/x"),
        ({"redirects": {"/old/": {"to": "/"}}}, "/old/", "/"),
        ({"redirects": {"/old/": {"to": "/new/"}}}, "/old/\\evil.test", "/new/\\evil.test"),
        ({"rewrites": [{"match": "^/old/(.*)$", "to": "/$1", "status": 301}]}, "/old/a", "/a"),
        ({"rewrites": [{"match": "^/old/(.*)$", "to": "/$1", "status": 301}]}, "/old/\\evil.test", None),
        ({"rewrites": [{"match": "^/a$|^/old/(.*)$", "to": "/$1", "status": 302}]}, "/old/\\evil.test", None),
        ({"rewrites": [{"match": "^/old/(.*)$", "to": "/$1"}]}, "/old/\\evil.test", "/\\evil.test"),
        ({"rewrites": [{"match": "^/old/?(.*)$", "to": "/$1", "status": 301}]}, "/old/evil.test", "/evil.test"),
        ({"rewrites": [{"match": "^/(?=o)old(.*)$", "to": "/$1", "status": 301}]}, "/old/evil.test", None),
        ({"rewrites": [{"match": "^/(?=o)old([a-z]*|/.*)/x$", "to": "/$1", "status": 301}]}, "/old/evil.test/x", None),
        ({"rewrites": [{"match": "^/(?=o)old([a-z]*)/x$", "to": "/$1/x", "status": 301}]}, "/old/x", None),
        ({"rewrites": [{"match": "^/(?=o)old([a-z]*)/x$", "to": "/$1/x", "status": 301}]}, "/oldie/x", "/ie/x"),
    ],
)
def test_no_redirect_leads_to_a_host_that_the_visitor_chose(
    entry: dict[str, Any], uri: str, leads_to: str | None
) -> None:
    found = re.search(r'rewrite ("\S+") ("\S+") \w+;', site(entry))
    assert found
    pattern, to = (as_nginx_reads(word) for word in found.groups())
    matched = re.search(pattern, uri)
    assert (to.replace("$1", matched[1]) if matched else None) == leads_to


def test_compression_buffers_and_patience_are_what_was_said() -> None:
    assert "    gzip off;\n" in site({"gzip": {"enabled": False}})
    assert "gzip_types text/css;" in site({"gzip": {"types": ["text/html", "text/css", "text/css"]}})
    assert "proxy_busy_buffers_size" not in site({})
    assert "proxy_busy_buffers_size 49152;" in site({"buffers": {"header": "32k"}})
    assert "client_body_buffer_size 1m;" in site({"buffers": {"request": "1m"}})
    said = site(
        {
            "client": {
                "header_timeout": 5,
                "body_timeout": 6,
                "send_timeout": 7,
                "keepalive": 0,
                "header_buffers": "4 16k",
            }
        }
    )
    lines = ["client_header_timeout 5s;", "client_body_timeout 6s;", "send_timeout 7s;", "keepalive_timeout 0s;"]
    assert all(f"    {line}\n" in said for line in [*lines, "large_client_header_buffers 4 16k;"])
    assert "client_header_timeout" not in site({})
    place = block(
        site({"locations": {"/up": {"buffering": False, "request_buffering": False, "send_timeout": 9}}}), "/up"
    )
    assert all(
        line in place for line in ("proxy_buffering off;", "proxy_request_buffering off;", "proxy_send_timeout 9s;")
    )
