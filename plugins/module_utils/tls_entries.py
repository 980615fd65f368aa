# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the entry of a certificate, as far as that shows without its files. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_web import domain_fault

MODES = ("files", "self-signed", "acme")
_EMAIL = re.compile(r"[^@\s,'\"]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+")
_URL = re.compile(r"https://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9./_~%-]*)?")


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def entry_faults(entry: Mapping[str, Any], names_key: str = "names") -> Iterator[tuple[str, str]]:
    """Yield (key, words) for all that is wrong. ``entry`` has the keys of the role tls_certificates.

    ``names_key`` is what the caller calls its list of names.
    """
    mode = entry["mode"]
    for key in ("certificate", "key") if mode != "files" else ():
        if entry.get(key):
            yield key, f"is for mode files, and the mode is {mode}: remove it, or set mode: files"
    if mode == "files":
        for key, what in (("certificate", "the certificate with its chain"), ("key", "its private key")):
            if not str(entry.get(key) or "").strip():
                yield key, f"is missing: name the file on the controller that holds {what}, or give the text itself"
    if mode == "acme":
        yield from _acme_faults(entry, names_key)


def name_faults(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, words) for names that no certificate bears in this form, and so would be missing in each of them.

    The plan of an inventory has its own check of domains, in the same words.
    """
    for name in entry["names"]:
        if not is_address(name) and (fault := domain_fault(name)):
            yield "names", fault


def _acme_faults(entry: Mapping[str, Any], names_key: str) -> Iterator[tuple[str, str]]:
    if not entry["names"]:
        yield names_key, "is empty, but an authority issues certificates for names: list them, or set mode: self-signed"
    for name in entry["names"]:
        if name.startswith("*."):
            yield (
                names_key,
                (
                    f"'{name}' can't be had over HTTP, by which the authority asks: list the names themselves, or get a"
                    " certificate by DNS elsewhere and set mode: files"
                ),
            )
        elif is_address(name):
            yield (
                names_key,
                f"'{name}' is an address, for which certbot gets no certificate: give a name, or set mode: self-signed",
            )
        elif "." not in name and not entry.get("directory"):
            yield (
                names_key,
                f"'{name}' is no name that the whole internet knows: write it in full, or set mode: self-signed",
            )
    if entry.get("email") and not _EMAIL.fullmatch(str(entry["email"])):
        yield "email", f"'{entry['email']}' is no address of mail"
    if entry.get("directory") and entry.get("staging"):
        yield "staging", "is of Let's Encrypt, and directory names another authority: keep one"
    if entry.get("directory") and not _URL.fullmatch(str(entry["directory"])):
        yield "directory", f"'{entry['directory']}' is no address of an ACME directory: it begins with https://"
