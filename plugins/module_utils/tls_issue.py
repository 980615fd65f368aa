# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asking an authority for a certificate with certbot, and its answers in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.dns_names import addresses
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import run
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_facts import utc_now
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_reach import known_here, unreachable
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_set import server_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_store import (
    PRODUCTION,
    STAGING,
    lineage_exists,
    lineage_folder,
    lineage_of,
    lineage_server,
    usable,
)

# An authority may take its time with many names; seconds.
_TIMEOUT = 600.0
# Types of problems (RFC 8555, section 6.7) and what helps.
ADVICE = {
    "dns": "the authority can't look the name up: check its A and AAAA records, and those of its name servers",
    "connection": "the authority does not reach port 80 of this host: open it in every firewall and router on the way",
    "unauthorized": "something else has answered the authority: check the A and AAAA records, and proxies in between",
    "caa": "a CAA record of the domain allows other authorities only: add this one to it",
    "ratelimited": "the authority has been asked too often: wait as it says, and use staging for tries",
    "rejectedidentifier": "the authority issues nothing for such a name: use mode files or self-signed",
}
_PROBLEM = re.compile(r"^ *Domain: *(\S+)\n *Type: *(\S+)\n *Detail: *(.*(?:\n {6,}\S.*)*)", re.MULTILINE)
_CHATTER = re.compile(
    r"Saving debug log|Ask for help|See the logfile|Account registered|Requesting a certificate|Plugins selected"
    r"|Hint: |Renewing an existing|Simulating|^[- ]*$|Some challenges have failed"
)


def certbot_argv(name: str, entry: Mapping[str, Any], webroot: str) -> list[str]:
    """Return the command that asks for a certificate, or for another one in its place."""
    server = server_of(entry)
    argv = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--webroot", "--webroot-path", webroot]
    argv += ["--preferred-challenges", "http-01", "--server", server, "--cert-name", lineage_of(name)]
    argv += (
        ["--email", str(entry["email"]), "--no-eff-email"]
        if entry.get("email")
        else ["--register-unsafely-without-email"]
    )
    argv += ["--domains", ",".join(entry["names"]), "--renew-with-new-domains"]
    if lineage_exists(name):
        argv.append("--force-renewal")
        # certbot puts nothing of a staging server in the place of a real certificate unless it is told so.
        argv += ["--break-my-certs"] if lineage_server(name) not in ("", server) else []
    return argv


def issue(name: str, entry: Mapping[str, Any], webroot: str) -> None:
    """Get one certificate. Raises FileSetError in words; then whatever was there before is there still."""
    held = usable(lineage_folder(name))
    trial = server_of(entry) == STAGING and lineage_server(name) not in ("", STAGING)
    if trial and held and held.leaf.not_after > utc_now():
        raise FileSetError(
            f"the site has a certificate that browsers trust, until {held.leaf.not_after:%Y-%m-%d}; one of the staging"
            " authority would shut out everybody whose browser insists on TLS: take staging away, and try with a site"
            " of another name"
        )
    lookup = addresses if server_of(entry) in (PRODUCTION, STAGING) else known_here
    if entry.get("check", True) and (faults := unreachable(entry["names"], webroot, lookup)):
        lines = [*faults, "The authority was not asked, as it would find the same and count it as a failure."]
        raise FileSetError("\n".join(lines))
    done = run(certbot_argv(name, entry, webroot), timeout=_TIMEOUT)
    if done.returncode != 0:
        raise FileSetError(answer_in_words(done.stdout + "\n" + done.stderr, server_of(entry)))


def delete(name: str) -> None:
    """Have certbot forget a certificate, so that it does not renew it for ever. Raises FileSetError with its words."""
    done = run(["certbot", "delete", "--non-interactive", "--cert-name", lineage_of(name)])
    if done.returncode != 0:
        raise FileSetError(f"certbot can't delete {lineage_of(name)}: {last_lines(done.stdout + done.stderr)}")


def answer_in_words(output: str, server: str) -> str:
    """Return what certbot said of a failure, without its chatter, and what helps."""
    found = []
    for domain, kind, detail in _PROBLEM.findall(output):
        advice = ADVICE.get(kind.lower(), "")
        found.append(f"{domain}: {advice or kind} (the authority says: {' '.join(detail.split())})")
    if found:
        return "\n".join(dict.fromkeys(found))
    text = last_lines(output)
    if "Another instance of Certbot" in output:
        return "another certbot is at work on this host, maybe its timer: run this again in a minute"
    if re.search(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed", output):
        return (
            f"the host does not trust the certificate of {server}: put the authority's root into"
            f" /usr/local/share/ca-certificates and run update-ca-certificates ({text})"
        )
    if re.search(r"rateLimited|too many (certificates|failed|new)", output):
        return f"{ADVICE['ratelimited']} ({text})"
    if re.search(
        r"ConnectionError|Max retries|NewConnectionError|Network is unreachable|Name or service not known", output
    ):
        return f"the host does not reach the authority {server}: check its way out to port 443 and its DNS ({text})"
    return text or f"certbot failed without a word; see /var/log/letsencrypt on the host ({server})"


def last_lines(output: str, count: int = 4) -> str:
    """Return the last lines that say something, as one."""
    return " ".join(_telling(output.splitlines())[-count:])


def _telling(lines: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in lines if line.strip() and not _CHATTER.search(line.strip())))
