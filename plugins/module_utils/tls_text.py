# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Differences of certificates as a person reads them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_certificate import CertificateError, read_chain


def shown_diff(diff: Mapping[str, str], chain_name: str) -> dict[str, str]:
    """Return one entry of Ansible's diff, in which a chain is shown by what it says and not as the text of its file."""
    if f"/{chain_name} " not in diff["before_header"] + " ":
        return dict(diff)
    return {**diff, "before": chain_words(diff["before"]), "after": chain_words(diff["after"])}


def asked_diff(name: str, reason: str) -> dict[str, str]:
    """Return one entry of Ansible's diff for a certificate that an authority would be asked for."""
    headers = {"before_header": f"certificate of {name}", "after_header": f"certificate of {name}"}
    return {**headers, "before": f"{reason}\n", "after": "issued by the authority\n"}


def chain_words(pem: str) -> str:
    """Return what the certificates of a text say, one line each; nothing for an empty text."""
    if not pem.strip():
        return ""
    try:
        chain = read_chain(pem)
    except CertificateError as error:
        return f"({error})\n"
    first = f"certificate for {', '.join(chain[0].names) or 'no name'}, until {chain[0].not_after:%Y-%m-%d}"
    return "\n".join([first, *(f"signed by '{item.issuer_name}'" for item in chain)]) + "\n"
