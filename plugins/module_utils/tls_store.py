# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where certificates lie on a host, and what is there. Nothing here changes anything."""

from __future__ import annotations

import datetime
import glob
import json
import os
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_certificate import (
    Certificate,
    CertificateError,
    read_chain,
)

# One link for each certificate, to a directory with both files: so a change of both is one rename, and a web server's
# configuration names a place that stays.
DIRECTORY = "/etc/flaskworks/tls"
# What is not certbot's, a directory for each pair; and for each name what the inventory wants.
STORE = "/etc/flaskworks/tls.d"
LETSENCRYPT = "/etc/letsencrypt"
# certbot's own names of the files, so that a link can lead to a directory of either.
CHAIN, KEY, WANTED = "fullchain.pem", "privkey.pem", "wanted.json"
# Let's Encrypt; letsencrypt.org/docs/staging-environment.
PRODUCTION = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
# With fewer days than this the timer of certbot, which renews at 30 or at a third of the time, has failed for a while.
LATE = datetime.timedelta(days=14)


@dataclass(frozen=True)
class Pair:
    """A chain and its key, as a web server would load them."""

    text: bytes
    key: bytes
    chain: tuple[Certificate, ...]

    @property
    def leaf(self) -> Certificate:
        return self.chain[0]


class PairError(Exception):
    """A chain and a key that no web server could use; the message is for a person."""


def link_of(name: str) -> str:
    """Return the place of a certificate that a web server's configuration names."""
    return f"{DIRECTORY}/{name}"


def lineage_of(name: str) -> str:
    """Return what certbot calls the certificate of that name; nobody's own is called so."""
    return f"flaskworks-{name}"


def lineage_folder(name: str) -> str:
    return f"{LETSENCRYPT}/live/{lineage_of(name)}"


def leads_to(name: str) -> str:
    """Return the directory in which the certificate of that name lies now, or an empty text."""
    try:
        return os.path.normpath(os.path.join(DIRECTORY, os.readlink(link_of(name))))
    except OSError:
        return ""


def read_pair(folder: str) -> Pair:
    """Return what lies in a directory. Raises PairError when that is nothing with which a site could be served."""
    paths = f"{folder}/{CHAIN}", f"{folder}/{KEY}"
    texts = []
    for path in paths:
        try:
            with open(path, "rb") as stream:
                texts.append(stream.read())
        except OSError as error:
            raise PairError(f"{path}: {error.strerror}") from None
    try:
        chain = read_chain(texts[0].decode(errors="replace"))
    except CertificateError as error:
        raise PairError(f"{paths[0]}: {error}") from None
    check_key(*paths)
    return Pair(texts[0], texts[1], tuple(chain))


def check_key(chain: str, key: str) -> None:
    """Raise PairError when OpenSSL does not take a key for a certificate (both paths)."""
    try:
        # An encrypted key must not make it ask at a terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password=lambda: "")
    except ssl.SSLError as error:
        if "MISMATCH" in str(error.reason):
            raise PairError(f"{key} is not the key of {chain}") from None
        raise PairError(f"OpenSSL can't use {chain} with {key}: {error.reason or error}") from None
    except OSError as error:
        raise PairError(f"{error.filename or key}: {error.strerror}") from None


def usable(folder: str) -> Pair | None:
    """Return what lies in a directory, or None when no site could be served with it."""
    try:
        return read_pair(folder)
    except PairError:
        return None


def is_late(leaf: Certificate, now: datetime.datetime) -> bool:
    """Tell whether a certificate should have been renewed some time ago. Those of a few days live by quarters."""
    return leaf.not_after - now < min(LATE, (leaf.not_after - leaf.not_before) / 4)


def lineage_server(name: str) -> str:
    """Return the address of the authority from which certbot has a certificate, or an empty text."""
    return _renewal(name, r"^server\s*=\s*(\S+)")


def lineage_webroot(name: str) -> str:
    """Return the directory in which certbot leaves the challenges of a renewal, or an empty text when it does not say.

    It is a list of one (webroot_path = /var/lib/x,); what certbot has to put in quotes is not read.
    """
    return _renewal(name, r"^webroot_path\s*=\s*(/[^\s,'\"#]*),?\s*$")


def _renewal(name: str, pattern: str) -> str:
    """Return what certbot has written down for its renewals, or an empty text."""
    try:
        with open(f"{LETSENCRYPT}/renewal/{lineage_of(name)}.conf", encoding="utf-8", errors="replace") as stream:
            found = re.search(pattern, stream.read(), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found else ""


def lineages() -> list[str]:
    """Return the names of all certificates that certbot renews for this role."""
    pattern = f"{LETSENCRYPT}/renewal/{lineage_of('*')}.conf"
    return sorted(os.path.basename(path)[len(lineage_of("")) : -len(".conf")] for path in glob.glob(pattern))


def lineage_exists(name: str) -> bool:
    """Tell whether certbot knows a certificate of that name, and would renew it."""
    return os.path.exists(f"{LETSENCRYPT}/renewal/{lineage_of(name)}.conf")


def wanted_of(name: str) -> dict[str, Any]:
    """Return what the inventory wanted when it was last applied: mode, names, server. Nothing when it never did."""
    try:
        with open(f"{STORE}/{name}/{WANTED}", encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def names_of(paths: Iterable[str]) -> list[str]:
    """Return the certificates that an owner's record of paths is about."""
    prefix = f"{DIRECTORY}/"
    return sorted(path.removeprefix(prefix) for path in paths if path.startswith(prefix))
