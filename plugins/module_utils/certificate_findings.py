# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor says of certificates. Pure: facts in, findings out."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_certificate import covering

_RENEW = {
    "acme": "see on the host: systemctl status certbot.timer, and certbot renew --dry-run; then run site.yml",
    "files": "get a new one from its authority, put it into tls.certificate and tls.key, and run site.yml",
    "self-signed": "run site.yml, which makes a new one",
}


def certificates(facts: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with the certificates among the facts of a host."""
    now = datetime.datetime.fromtimestamp(facts["time"], datetime.UTC)
    apps = facts["apps"]
    shown = {name: (app.get("page") or {}).get("fingerprint") for name, app in apps.items()}
    return certificate_findings({name: app["status"].get("tls") for name, app in apps.items()}, now, shown)


def certificate_findings(
    facts: Mapping[str, Mapping[str, Any] | None],
    now: datetime.datetime,
    shown: Mapping[str, str | None] = MappingProxyType({}),
) -> list[Finding]:
    """Return what is wrong with the certificates of applications: name -> what certificate_facts returns.

    An application without a certificate of its own (None) is none of its business. ``now`` has a time zone; ``shown``
    has the fingerprints of what visitors get, of those that were asked.
    """
    mine = {app: said for app, said in sorted(facts.items()) if said}
    loaded = {app: said.get("fingerprint") or shown.get(app) for app, said in mine.items()}
    stale = [_not_loaded(app) for app in mine if shown.get(app) not in (None, loaded[app])]
    return stale + [found for app, said in mine.items() for found in _of_one(app, said, now)]


def _not_loaded(app: str) -> Finding:
    """Return what is wrong when a renewal could not be loaded: certbot says so in its own log alone."""
    evidence = "nginx shows visitors another certificate than the one in its place: it has not read that one"
    fix = "on the host: nginx -t says what keeps nginx from it; mend that, then systemctl reload nginx"
    return Finding("error", app, "certificate-not-loaded", evidence, fix)


def _of_one(app: str, facts: Mapping[str, Any], now: datetime.datetime) -> Iterable[Finding]:
    mode = str(facts.get("mode") or "")
    again = _RENEW.get(mode, "renew it, and run site.yml")
    for check, words in sorted((facts.get("problems") or {}).items()):
        fix = (
            "run site.yml, which puts the pair in place again"
            if mode != "files"
            else "correct tls.certificate and tls.key, and run site.yml"
        )
        if check == "not-yet-valid":
            fix = f"see the clock of the host (timedatectl); if it is right, {again}"
        yield Finding("error", app, f"certificate-{check}", words, fix)
    if not facts.get("until"):
        return
    if facts.get("placeholder"):
        evidence = "visitors get a placeholder that no browser trusts, as no authority has issued a certificate yet"
        yield Finding(
            "error", app, "certificate-placeholder", evidence, "run site.yml --tags tls and read why it was refused"
        )
        return
    until = datetime.datetime.fromisoformat(str(facts["until"]))
    days = (until - now) // datetime.timedelta(days=1)
    if until <= now:
        yield Finding("error", app, "certificate-expired", f"the certificate has expired on {until:%Y-%m-%d}", again)
    elif facts["late"]:
        evidence = f"the certificate, or one in its chain, ends on {until:%Y-%m-%d}, in {days} day{'s'[: days != 1]}"
        yield Finding("warning", app, "certificate-expires", evidence, again)
    lacking = [name for name in facts.get("wanted") or [] if not covering(name, facts["names"])]
    if lacking:
        evidence = f"the certificate is not for {', '.join(lacking)}; it holds {', '.join(facts['names']) or 'no name'}"
        yield Finding("error", app, "certificate-names", evidence, again)
    if facts.get("self_signed"):
        evidence = "the certificate is signed by itself, so every browser warns of the site"
        yield Finding(
            "warning",
            app,
            "certificate-self-signed",
            evidence,
            "set tls.mode to acme or files unless all visitors trust it",
        )
    if facts.get("staging"):
        evidence = "the certificate is of a staging authority, which no browser trusts"
        yield Finding("warning", app, "certificate-staging", evidence, "take tls.staging away, and run site.yml")
