# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TLS of an application: what is wrong with it, and what it becomes for the roles tls_certificates and nginx_sites."""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_tls import HSTS_MAX
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_web import domain_fault
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_entries import entry_faults
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_store import CHAIN, KEY, link_of

PORT = 443
# The default of the role, which both sides have to agree on.
WEBROOT = "/var/lib/flaskworks-acme"
# Half a year, the least that counts as kept between visits; without subdomains, of which nothing is known here.
HSTS = 15768000


def has_tls(entry: Entry) -> bool:
    return bool(entry["tls"]["mode"] != "off")


def scheme(entry: Entry) -> str:
    """Return what the application believes of a probe."""
    said = str(entry["health"]["scheme"])
    return ("https" if has_tls(entry) else "http") if said == "auto" else said


def plain_ports(entry: Entry) -> list[int]:
    """Return the ports for plain HTTP; 443 among those to listen on means TLS where there is TLS."""
    return sorted({port for port in entry["nginx"]["listen"] if not (has_tls(entry) and port == PORT)})


def all_names(entry: Entry) -> list[str]:
    """Return every name that leads to the site, its own first, each once."""
    return list(dict.fromkeys(name.lower() for name in [*entry["domains"], *entry["nginx"]["redirect_from"]]))


def certificate(entry: Entry) -> dict[str, Any]:
    """Return the certificate of an application, for the role tls_certificates."""
    tls = entry["tls"]
    keys = {"files": ("certificate", "key"), "acme": ("email", "staging", "directory", "check")}.get(tls["mode"], ())
    return {"mode": tls["mode"], "names": all_names(entry), **{key: tls[key] for key in keys}}


def certificates(entries: dict[str, Entry]) -> dict[str, dict[str, Any]]:
    """Return the certificates of all applications that have TLS."""
    return {name: certificate(entry) for name, entry in entries.items() if has_tls(entry)}


def packages(entries: dict[str, Entry]) -> set[str]:
    """Return the Debian packages that certificates need."""
    modes = {entry["tls"]["mode"] for entry in entries.values()} - {"off"}
    return ({"openssl"} if modes else set()) | ({"certbot"} if "acme" in modes else set())


def site(name: str, entry: Entry) -> dict[str, Any]:
    """Return the keys of an application's site that are about TLS and names, for the role nginx_sites."""
    made: dict[str, Any] = {"listen": plain_ports(entry)}
    if entry["nginx"]["redirect_from"]:
        made["redirect_from"] = [other.lower() for other in entry["nginx"]["redirect_from"]]
    if has_tls(entry):
        tls, place = entry["tls"], link_of(name)
        made["tls"] = {"certificate": f"{place}/{CHAIN}", "key": f"{place}/{KEY}", "redirect": tls["redirect"]}
        made["tls"] |= {"hsts": _hsts(tls), "hsts_subdomains": tls["hsts_subdomains"]}
    if entry["tls"]["mode"] == "acme":
        made["acme_webroot"] = WEBROOT
    return made


def _hsts(tls: Entry) -> int:
    if tls.get("hsts") is not None:
        return int(tls["hsts"])
    return HSTS if tls["mode"] != "self-signed" and tls["redirect"] and not tls["staging"] else 0


def check_tls(report: Report, entry: Entry) -> None:
    """The keys of tls, and what an authority needs of the others."""
    tls = entry["tls"]
    hsts = tls.get("hsts")
    if hsts is not None and not 0 <= hsts <= HSTS_MAX:
        report.add("tls-hsts", "tls.hsts", f"{hsts} is no number of seconds from 0 (off) to {HSTS_MAX} (two years)")
    if not has_tls(entry):
        return
    if hsts and not tls["redirect"]:
        text = "is told to browsers although the site is served by plain HTTP too: set redirect: true, or hsts: 0"
        report.add("tls-hsts", "tls.hsts", text)
    said = certificate(entry) | {key: tls[key] for key in ("certificate", "key")}
    for name, text in entry_faults(said, "domains"):
        key = name if name == "domains" else f"tls.{name}"
        if tls["mode"] == "acme":
            report.add("tls-acme", key, text)
        else:
            report.add("tls-files", key, text)
    if tls["mode"] == "acme" and 80 not in plain_ports(entry):
        text = "has no port 80, on which the authority asks: add it, or set tls.mode: self-signed or files"
        report.add("tls-acme", "nginx.listen", text)


def check_redirect_from(report: Report, entry: Entry) -> None:
    """The names that lead to the first domain."""
    domains, others = [domain.lower() for domain in entry["domains"]], entry["nginx"]["redirect_from"]
    seen: set[str] = set()
    for index, name in enumerate(others):
        key = f"nginx.redirect_from[{index}]"
        if fault := domain_fault(name):
            report.add("redirect-from", key, fault)
        elif name.lower() in domains:
            report.add("redirect-from", key, f"'{name}' is under domains too: it is either served or led elsewhere")
        elif name.lower() in seen:
            report.add("redirect-from", key, f"'{name}' is listed twice: remove one")
        seen.add(name.lower())
    if others and (not domains or domains[0].startswith("*.")):
        text = "leads to the first of domains, which has to be there and without a wildcard"
        report.add("redirect-from", "nginx.redirect_from", text)
