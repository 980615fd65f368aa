"""Promise: a site has TLS from the first run on; its certificate is issued, renewed and changed while it serves.

One story on two hosts side by side, Debian 12 and 13, each with Debian's pebble in strict mode as its authority.
"""

from __future__ import annotations

import datetime
import re

from e2e.playbooks import Run
from e2e.tls.machines import AUTHORITY, TlsHost, TlsHosts
from unit.authority import Issued, issue

ACME = {"mode": "acme", "directory": AUTHORITY}
ISSUED = "Pebble Intermediate"


def good(run: Run) -> Run:
    assert run.status == 0, run.text
    return run


def unchanged(pair: TlsHosts) -> None:
    run = good(pair.play())
    assert pair.changed(run) == [0] * len(pair.hosts), run.text


def answers(host: TlsHost, name: str = "site.test") -> str:
    return host.curl(f"-o /dev/null -w '%{{http_code}} %{{http_version}}' https://{name}/").strip()


def test_an_empty_host_is_predicted_without_asking_anybody(pair: TlsHosts) -> None:
    run = good(pair.play("--check", "--diff"))
    assert "issued by the authority" in run.text
    assert "PRIVATE KEY" not in run.text
    assert all(host.root("ls /etc/letsencrypt /etc/flaskworks 2>/dev/null; true") == "" for host in pair.hosts)


def test_an_authority_that_is_out_of_reach_leaves_a_placeholder(pair: TlsHosts) -> None:
    """What comes before stands: the site, the firewall, a certificate by which nginx starts."""
    for host in pair.hosts:
        host.root(
            "systemctl stop pebble; cp /etc/hosts /root/hosts; sed 's/ www.site.test / /' /root/hosts >/etc/hosts;"
            # As Debian writes a host's own name: nginx would answer there, and nobody else finds it.
            " echo 127.0.1.1 www.site.test >>/etc/hosts"
        )
    run = pair.play()
    assert run.status != 0
    assert "www.site.test has no address" in run.flat
    assert "The authority was not asked" in run.flat
    assert "served with a placeholder, which no browser trusts" in run.flat
    for host in pair.hosts:
        assert "placeholder" in host.served()["issuer"]
        assert answers(host) == "200 2"
        assert host.status()["placeholder"] is True
        assert "placeholder" in host.root("flaskworks")
        assert host.root("ls -A /var/lib/flaskworks-acme").strip() == ""


def test_the_first_certificate_is_issued_while_nginx_runs(pair: TlsHosts) -> None:
    before = [host.nginx() for host in pair.hosts]
    for host in pair.hosts:
        host.root("cat /root/hosts >/etc/hosts")
        host.root("/root/start-pebble")
    run = good(pair.play())
    assert pair.changed(run) == [1] * len(pair.hosts), run.text
    for host in pair.hosts:
        served = host.served()
        assert ISSUED in served["issuer"]
        assert served["names"] == "site.test www.site.test"
        assert host.served("www.site.test") == served
        status = host.status()
        assert (status["mode"], status["placeholder"], status["problems"]) == ("acme", False, {})
        assert status["days_left"] > 30
        assert f"{status['days_left']} d" in host.root("flaskworks")
    assert [host.nginx() for host in pair.hosts] == before
    unchanged(pair)


def test_keys_are_roots_alone(pair: TlsHosts) -> None:
    for host in pair.hosts:
        readable = host.root("find -L /etc/flaskworks /etc/letsencrypt/archive -name 'privkey*.pem' ! -perm 600; true")
        assert readable == ""
        assert "Permission denied" in host.root(
            f"runuser -u www-data -- cat /etc/flaskworks/tls/{host.app}/privkey.pem", check=False
        )


def test_only_modern_tls_is_spoken(pair: TlsHosts) -> None:
    for host in pair.hosts:
        name = "-servername site.test"
        # The client would speak it: what refuses is the server.
        assert "alert protocol version" in host.handshake(f"{name} -tls1_1 -cipher ALL@SECLEVEL=0")
        assert "alert handshake failure" in host.handshake(f"{name} -tls1_2 -cipher AES128-SHA:ECDHE-ECDSA-AES128-SHA")
        for version in ("1_2", "1_3"):
            shown = host.handshake(f"{name} -tls{version} -alpn h2,http/1.1")
            assert f"New, TLSv{version.replace('_', '.')}, Cipher is" in shown
            assert "ALPN protocol: h2" in shown
        assert "TLS session ticket:" not in host.handshake(f"{name} -tls1_2")
        assert "http/1.1" in host.handshake(f"{name} -alpn http/1.1")
        assert host.root("nginx -t -q").strip() == ""
        directive = "http2 on;" if host.debian != "12" else "ssl http2;"
        assert directive in host.root(f"cat /etc/nginx/sites-available/{host.app}.conf")


def test_nobody_learns_from_a_handshake_which_sites_are_here(pair: TlsHosts) -> None:
    for host in pair.hosts:
        for name in ("-servername unknown.test", "-noservername"):
            shown = host.handshake(name)
            assert "unrecognized name" in shown
            assert "BEGIN CERTIFICATE" not in shown
        # A handshake for one host and a request for another.
        assert host.curl("-w '%{http_code}' -H 'Host: unknown.test' https://site.test/").endswith("421")
        assert host.curl("-w '%{http_code}' -H 'Host: unknown.test' http://site.test/").endswith("000")


def test_every_way_leads_to_the_site_in_one_step(pair: TlsHosts) -> None:
    for host in pair.hosts:
        for start in ("http://site.test", "http://www.site.test", "https://www.site.test"):
            shown = host.curl(f"-o /dev/null -w '%{{http_code}} %{{redirect_url}}' -d x=1 '{start}/a/b?c=d'")
            assert shown == "308 https://site.test/a/b?c=d", start
        plain, secure = (host.curl(f"--head {scheme}://site.test/") for scheme in ("http", "https"))
        assert "strict-transport-security: max-age=15768000\n" in secure.lower()
        assert "strict-transport" not in plain.lower()
        forwarded = host.curl("-H 'X-Forwarded-Proto: http' https://site.test/request")
        assert re.search(r"X_FORWARDED_PROTO\W+https\b", forwarded), forwarded
        assert set(re.findall(r"^(\d+)/tcp +ALLOW", host.root("ufw status"), re.MULTILINE)) == {"22", "80", "443"}


def test_another_domain_is_another_certificate(pair: TlsHosts) -> None:
    before = [(host.nginx(), host.served()["serial"]) for host in pair.hosts]
    pair.say(domains=["site.test", "shop.test"])
    good(pair.play())
    for host, (nginx, serial) in zip(pair.hosts, before, strict=True):
        served = host.served("shop.test")
        assert served["names"] == "shop.test site.test www.site.test"
        assert served["serial"] != serial
        assert host.nginx() == nginx
        assert answers(host, "shop.test") == "200 2"
    unchanged(pair)


def test_the_timer_of_certbot_renews_and_nginx_shows_it(pair: TlsHosts) -> None:
    for host in pair.hosts:
        assert host.root("systemctl is-enabled certbot.timer; systemctl is-active certbot.timer").split() == [
            "enabled",
            "active",
        ]
        before, nginx = host.served()["serial"], host.nginx()
        # What the timer starts, for a certificate that is to be renewed by now.
        renewal = f"/etc/letsencrypt/renewal/flaskworks-{host.app}.conf"
        host.root(f"sed -i 's/^# renew_before_expiry.*/renew_before_expiry = 3650 days/' {renewal}")
        host.root("systemctl start certbot.service")
        assert host.renewed(before)
        assert host.nginx() == nginx
        host.root(f"sed -i 's/^renew_before_expiry.*/# renew_before_expiry = 30 days/' {renewal}")
    unchanged(pair)


def test_a_renewal_that_nginx_could_not_load_is_found_and_loaded(pair: TlsHosts) -> None:
    """A fault in somebody's configuration keeps the hook from the reload; certbot's log alone says so."""
    fault = "/etc/nginx/conf.d/fault.conf"
    for host in pair.hosts:
        before = host.served()["serial"]
        renew = f"certbot renew -q --force-renewal --no-random-sleep-on-renew --cert-name flaskworks-{host.app}"
        host.root(f"sleep 3; echo nonsense >{fault}; {renew}")
        assert host.served()["serial"] == before
        host.root(f"rm {fault}")
    seen = pair.play(playbook="playbooks/doctor.yml")
    assert seen.flat.count("nginx shows visitors another certificate") == len(pair.hosts), seen.text
    run = good(pair.play())
    assert pair.changed(run) == [1] * len(pair.hosts), run.text
    assert pair.play(playbook="playbooks/doctor.yml").flat.count("nginx shows visitors another certificate") == 0
    unchanged(pair)


def test_a_challenge_that_fails_leaves_the_certificate_that_was(pair: TlsHosts) -> None:
    before = [host.served() for host in pair.hosts]
    pair.say(domains=["site.test", "shop.test", "gone.test"])
    seen = pair.play()
    pair.say(tls={**ACME, "check": False})
    asked = pair.play()
    for run, words in ((seen, "gone.test has no address"), (asked, "gone.test: ")):
        assert run.status != 0
        assert words in run.flat
        assert "no certificate was issued (gone.test is new)" in run.flat
        assert f"served with the certificate of '{ISSUED}" in run.flat
    assert "the authority says: " in asked.flat
    assert [host.served() for host in pair.hosts] == before
    assert all(answers(host) == "200 2" for host in pair.hosts)
    pair.say(domains=["site.test", "shop.test"], tls=ACME)
    good(pair.play())
    unchanged(pair)


def own_pair(names: list[str]) -> tuple[Issued, str]:
    now = datetime.datetime.now(datetime.UTC)
    root = issue("Own root", days=400, now=now)
    made = issue(names[0], names, by=root, now=now)
    return made, made.pem + root.pem


def test_a_wrong_pair_is_refused_before_the_host_is_touched(pair: TlsHosts) -> None:
    made, chain = own_pair(["site.test", "www.site.test", "shop.test"])
    other, dummy = own_pair(["site.test"])
    before = [host.served() for host in pair.hosts]
    (pair.folder / "chain.pem").write_text(chain)
    (pair.folder / "other.key").write_text(other.key_pem)
    files = {"mode": "files", "certificate": str(pair.folder / "chain.pem")}
    pair.say(tls={**files, "key": str(pair.folder / "other.key")})
    run = pair.play()
    assert run.status != 0
    assert "it is not the key of the certificate" in run.flat
    assert "nothing was changed" in run.flat
    assert pair.changed(run) == [0] * len(pair.hosts)
    assert [host.served() for host in pair.hosts] == before
    # The key itself, as from a vault.
    pair.say(tls={**files, "key": made.key_pem})
    run = good(pair.play("--diff", "-vvv"))
    assert not any(line in run.text for line in made.key_pem.splitlines()[1:-1])
    assert "PRIVATE KEY" not in run.text
    for host in pair.hosts:
        assert "Own root" in host.served()["issuer"]
        assert host.status()["mode"] == "files"
        assert host.root(f"stat -Lc %a.%U.%G /etc/flaskworks/tls/{host.app}/privkey.pem").strip() == "600.root.root"
        # certbot would renew it for nobody.
        assert host.root("ls /etc/letsencrypt/renewal /etc/letsencrypt/live 2>/dev/null | grep flaskworks; true") == ""
        assert made.key_pem.splitlines()[1] not in host.root("journalctl --no-pager")
    unchanged(pair)


def test_a_self_signed_one_is_made_on_the_host(pair: TlsHosts) -> None:
    pair.say(tls={"mode": "self-signed"})
    good(pair.play())
    for host in pair.hosts:
        assert "CN = site.test" in host.served()["issuer"].replace("CN=", "CN = ")
        assert host.served()["names"] == "shop.test site.test www.site.test"
        assert "strict-transport" not in host.curl("--head https://site.test/").lower()
        assert len(host.root(f"ls -d /etc/flaskworks/tls.d/{host.app}/*/").split()) == 1
    unchanged(pair)


def test_a_site_gives_up_tls(pair: TlsHosts) -> None:
    pair.say(tls={"mode": "off"})
    good(pair.play())
    for host in pair.hosts:
        assert host.curl("-o /dev/null -w '%{http_code}' http://site.test/") == "200"
        assert "308 http://site.test/x" in host.curl(
            "-o /dev/null -w '%{http_code} %{redirect_url}' http://www.site.test/x"
        )
        assert "443/tcp" not in host.root("ufw status")
        assert host.root("ss -Htln 'sport = :443'") == ""
        assert host.root("find /etc/flaskworks -name '*.pem' 2>/dev/null; true") == ""
        assert host.root(f"flaskworks {host.app} --json | grep '\"tls\": null'")
    unchanged(pair)


def test_a_removed_site_leaves_no_certificate(pair: TlsHosts) -> None:
    pair.say(tls=ACME)
    good(pair.play())
    for host in pair.hosts:
        assert ISSUED in host.served()["issuer"]
        good(pair.play("-e", f"app={host.app}", "--limit", host.name, playbook="playbooks/remove.yml"))
        left = "find /etc/flaskworks /etc/letsencrypt/renewal /etc/letsencrypt/live /etc/letsencrypt/archive"
        assert host.app not in host.root(f"{left} 2>/dev/null; true")
        assert host.root("ss -Htln 'sport = :443'") == ""
