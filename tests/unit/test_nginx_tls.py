"""What nginx gets for sites with TLS, and for names that lead to a site."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import Wanted
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_versions import suited
from ansible_collections.flaskworks.deploy.plugins.module_utils.maintenance import site_address
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_check import check_sites
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_tls import HSTS
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from unit.nginx_rendered import files, rendered, site, sites

TLS = {"certificate": "/etc/flaskworks/tls/x/fullchain.pem", "key": "/etc/flaskworks/tls/x/privkey.pem"}
OLD, NEW = (1, 22, 1), (1, 26, 3)


def on(version: tuple[int, ...], text: str) -> str:
    """The text as a host with that nginx has it."""
    (found,) = suited([Wanted("/x", "file", text.encode())], lambda: version)
    return found.content.decode()


def servers(text: str) -> list[str]:
    return re.split(r"^server \{\n", text, flags=re.MULTILINE)[1:]


def test_http2_is_said_as_each_version_wants_it() -> None:
    text = site({"tls": TLS})
    old, new = on(OLD, text), on(NEW, text)
    assert "    listen 443 ssl http2;\n    listen [::]:443 ssl http2;\n" in old
    assert "http2 on" not in old
    assert "    listen 443 ssl;\n    listen [::]:443 ssl;\n    http2 on;\n" in new
    assert "#nginx" not in old + new
    assert on((1, 25, 1), text) == new
    assert on((1, 25, 0), text) == old


def test_without_marks_nobody_asks_for_the_version() -> None:
    same = [Wanted("/x", "file", b"# nginx here\n")]
    assert suited(same, None) == same


def test_plain_http_leads_to_tls_and_does_nothing_else() -> None:
    own, moved = servers(on(NEW, site({"tls": TLS, "acme_webroot": "/var/lib/w"})))
    assert re.findall(r"listen (\S+)", own) == ["443", "[::]:443"]
    assert re.findall(r"listen (\S+);", moved) == ["80", "[::]:80"]
    assert "return 308 https://$host$request_uri;" in moved
    assert "proxy_pass" not in moved
    assert "acme-challenge" not in own
    assert moved.index("location ^~ /.well-known/acme-challenge/") < moved.index("return 308")


def test_without_redirect_the_site_is_on_both() -> None:
    (own,) = servers(on(NEW, site({"tls": {**TLS, "redirect": False}, "acme_webroot": "/var/lib/w"})))
    assert re.findall(r"listen (\S+?);? ?(?:ssl;)?\n", own) == ["80", "[::]:80", "443", "[::]:443"]
    assert "location ^~ /.well-known/acme-challenge/" in own


def test_other_names_lead_to_the_first_in_one_step() -> None:
    text = on(NEW, site({"tls": {**TLS, "hsts": 99}, "redirect_from": ["www.x.test"], "listen": [80, 8080]}))
    dummy, plain, other, secure = servers(text)
    assert "return 308 https://$host$request_uri;" in plain
    for server in (other, secure):
        assert "server_name www.x.test;" in server
        assert "return 308 https://x.test$request_uri;" in server
    assert "ssl_certificate " in secure
    # What browsers are to remember of TLS is said by TLS alone.
    assert ["Strict-Transport-Security" in server for server in (plain, other, secure)] == [False, False, True]


def test_other_names_work_without_tls_on_each_port() -> None:
    targets = re.findall(r"return 308 (\S+);", site({"redirect_from": ["www.x.test"], "listen": [80, 8080]}))
    assert targets == ["$scheme://x.test$request_uri", "$scheme://x.test:8080$request_uri"]


def test_other_names_keep_to_the_scheme_that_a_trusted_proxy_names() -> None:
    behind = {"redirect_from": ["www.x.test"], "listen": [8080], "trusted_proxies": ["192.0.2.1"]}
    (target,) = re.findall(r"return 308 (\S+);", site(behind))
    assert target == "$nginx_sites_scheme_x://x.test$request_uri"
    assert "map $nginx_sites_trusted_x$http_x_forwarded_proto $nginx_sites_scheme_x {" in site(behind)


def test_hsts_is_in_every_place_that_adds_a_header() -> None:
    tls = {**TLS, "hsts": 600, "hsts_subdomains": True}
    text = site({"tls": tls, "aliases": {"/static/": "/srv/x"}})
    assert "max-age=600; includeSubDomains" in text
    own = servers(text)[0]
    places = own.count("add_header X-Request-ID ")
    assert own.count("add_header Strict-Transport-Security ") == places >= 2
    assert "Strict" not in site({"tls": TLS})
    by_hand = site({"tls": tls, "headers": {"strict-transport-security": "max-age=1"}})
    assert "max-age=1" in by_hand
    assert "max-age=600" not in by_hand


def test_another_port_is_part_of_the_address() -> None:
    assert "return 308 https://$host:8443$request_uri;" in site({"tls": {**TLS, "ports": [8443]}})
    assert "return 308 https://$host$request_uri;" in site({"tls": {**TLS, "ports": [443, 8443]}})


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_port_is_for_tls_or_for_plain_http_whoever_is_there(names: tuple[str, str]) -> None:
    entries: dict[str, Any] = {
        "a": {"server_names": ["a.test"], "upstream": "a:1", "listen": [80], "tls": {**TLS, "ports": [443, 8443]}},
        "b": {"server_names": ["b.test"], "upstream": "a:1", "listen": [80, 8443]},
    }
    (problem,) = check_sites(sites({name: entries[name] for name in names}))
    assert problem.path == "nginx_sites.a.tls.ports"
    assert "8443 is under listen of 'b': a port is either for TLS or for plain HTTP" in problem.text
    entries["b"]["listen"] = [80]
    assert check_sites(sites(entries)) == []


def test_unknown_hosts_get_no_handshake() -> None:
    entries = {"x": {"server_names": ["x.test"], "upstream": "127.0.0.1:1", "tls": TLS}}
    text = rendered(entries, "/etc/nginx/conf.d/00-unknown-hosts-443.conf")
    assert "ssl_reject_handshake on;" in text
    assert "return 421;" in text
    assert on(OLD, text).count("listen 443 ssl http2 default_server;") == 1
    assert "ssl_certificate" not in text
    assert files(entries)["/etc/nginx/conf.d/00-tls.conf"]["shared"] is True
    assert "/etc/nginx/conf.d/00-unknown-hosts-443.conf" not in files(entries, catch_all=False)
    assert "/etc/nginx/conf.d/00-tls.conf" not in files({"x": {"server_names": ["x"], "upstream": "a:1"}})
    alone = {"x": {"default_server": True, "upstream": "127.0.0.1:1", "tls": TLS}}
    assert "/etc/nginx/conf.d/00-unknown-hosts-443.conf" not in files(alone)
    assert "listen 443 ssl default_server;" in on(NEW, rendered(alone, "/etc/nginx/sites-available/x.conf"))


def test_modern_tls_only() -> None:
    text = rendered({"x": {"server_names": ["x"], "upstream": "a:1", "tls": TLS}}, "/etc/nginx/conf.d/00-tls.conf")
    (suites,) = re.findall(r"ssl_ciphers (\S+);", text)
    assert all(suite.startswith("ECDHE-") and ("GCM" in suite or "POLY1305" in suite) for suite in suites.split(":"))
    assert "ssl_session_tickets off;" in text
    whole = rendered({"x": {"server_names": ["x"], "upstream": "a:1", "tls": TLS}}, "/etc/nginx/nginx.conf")
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in whole


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"tls": {**TLS, "ports": [80]}}, "tls.ports"),
        ({"tls": {**TLS, "ports": []}}, "tls.ports"),
        ({"tls": {**TLS, "key": "key.pem"}}, "tls.key"),
        ({"tls": {**TLS, "certificate": "/etc/x;y"}}, "tls.certificate"),
        ({"tls": {**TLS, "hsts": -1}}, "tls.hsts"),
        ({"tls": {**TLS, "hsts": 60, "redirect": False}}, "tls.hsts"),
        ({"acme_webroot": "/a/../b"}, "acme_webroot"),
        ({"redirect_from": ["x.test"]}, "redirect_from"),
        ({"redirect_from": ["w w"]}, "redirect_from"),
        ({"server_names": ["*.x.test"], "redirect_from": ["y.test"]}, "redirect_from"),
    ],
)
def test_what_nginx_would_misread_is_refused(entry: dict[str, Any], place: str) -> None:
    whole = sites({"x": {"server_names": ["x.test"], "upstream": "a:1", **entry}})
    assert [problem.path for problem in check_sites(whole)] == [f"nginx_sites.x.{place}"]


def test_two_sites_do_not_claim_one_name() -> None:
    entries = {
        "a": {"server_names": ["a.test"], "upstream": "a:1", "redirect_from": ["www.test"]},
        "b": {"server_names": ["www.test"], "upstream": "b:1"},
        "c": {"server_names": ["c.test"], "listen": [81], "upstream": "c:1", "tls": TLS},
        "d": {"server_names": ["c.test"], "listen": [82], "upstream": "d:1", "tls": TLS},
    }
    found = check_sites(sites(entries))
    assert [problem.path for problem in found] == ["nginx_sites.b.server_names", "nginx_sites.d.server_names"]
    assert "port 443" in found[1].text


def test_the_address_of_a_site_for_its_operators() -> None:
    include = {"includes": ["/etc/nginx/flaskworks/x/*.conf"]}
    assert site_address("x", on(NEW, site({"tls": TLS, **include})), "h") == "https://x.test"
    assert site_address("x", on(OLD, site({"tls": {**TLS, "ports": [8443]}, **include})), "h") == "https://x.test:8443"
    assert site_address("x", site({"listen": [8080], **include}), "h") == "http://x.test:8080"


@pytest.mark.parametrize("version", [OLD, NEW])
def test_gixy_finds_nothing(tmp_path: Path, version: tuple[int, ...]) -> None:
    whole = {
        "upstream": "unix:/x.sock",
        "server_names": ["x.test"],
        "redirect_from": ["www.x.test"],
        "acme_webroot": "/var/lib/w",
        "aliases": {"/static/": "/srv/x/"},
        "tls": {**TLS, "hsts": HSTS},
    }
    entries = {
        "x": whole,
        "any": {
            "upstream": "a:1",
            "listen": [81],
            "default_server": True,
            "tls": {**TLS, "hsts": HSTS, "ports": [444]},
        },
    }
    parts = [on(version, rendered(entries, path)) for path, entry in files(entries).items() if "template" in entry]
    main, *others = sorted(parts, key=lambda text: "events {" not in text)
    inside = re.sub(r"include /etc/nginx/\S+;", "", main)
    (tmp_path / "nginx.conf").write_text(inside.rstrip().removesuffix("}") + "\n".join(others) + "\n}\n")
    argv = [str(Path(sys.executable).with_name("gixy")), "--format", "json", "--skips", "nginx_cves"]
    done = subprocess.run([*argv, str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == [], done.stdout
    assert "x.test" in (tmp_path / "nginx.conf").read_text()


def plan(**keys: Any) -> dict[str, Any]:
    app = {"source": {"path": "."}, "wsgi": "app:app", "domains": ["x.test"], **keys}
    return make_plan(entry_points("flask_apps"), {"x": app})


def test_an_application_with_tls() -> None:
    made = plan(
        tls={"mode": "acme", "email": "ops@x.test"}, nginx={"redirect_from": ["www.x.test"], "listen": [80, 443]}
    )
    own = made["nginx_sites"]["x"]
    assert own["listen"] == [80]
    assert own["tls"] == {**TLS, "redirect": True, "hsts": 15768000, "hsts_subdomains": False}
    assert own["acme_webroot"] == "/var/lib/flaskworks-acme"
    assert made["tls_certificates"]["x"] == {
        "mode": "acme", "names": ["x.test", "www.x.test"], "email": "ops@x.test",
        "staging": False, "directory": "", "check": True,
    }  # fmt: skip
    assert made["ufw_rules"]["sites"]["ports"] == ["80", "443"]
    assert {"certbot", "openssl"} <= set(made["packages"])
    assert made["releases"]["x"]["health"]["scheme"] == "https"


@pytest.mark.parametrize(
    ("tls", "hsts"),
    [({"mode": "self-signed"}, 0), ({"mode": "acme", "staging": True}, 0), ({"mode": "acme", "redirect": False}, 0),
     ({"mode": "acme", "hsts": 0}, 0), ({"mode": "acme", "hsts": 60}, 60), ({"mode": "self-signed", "hsts": 60}, 60)],
)  # fmt: skip
def test_browsers_remember_tls_only_where_it_will_stay(tls: dict[str, Any], hsts: int) -> None:
    assert plan(tls=tls)["nginx_sites"]["x"]["tls"]["hsts"] == hsts


def test_without_tls_nothing_of_it_is_there() -> None:
    for keys in ({}, {"tls": {"mode": "off"}}, {"tls": {"mode": False}}):
        made = plan(**keys)
        assert made["tls_certificates"] == {}
        assert not {"tls", "acme_webroot"} & set(made["nginx_sites"]["x"])
        assert not {"certbot", "openssl"} & set(made["packages"])
        assert made["releases"]["x"]["health"]["scheme"] == "http"
