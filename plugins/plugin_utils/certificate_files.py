# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates and keys on the controller: read, and checked before any host sees them.

ansible-core needs the library cryptography as well, so a controller has it. It is imported where it is used: what looks
at plugins, such as ansible-test, may do without.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_certificate import (
    CertificateError,
    pair_faults,
    read_chain,
)

_CERTIFICATES = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)

# What is no path but a key without its PEM, as base64 has it.
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{40,}")

# From what the inventory says to a text. Raises OSError when it names a file that can't be read.
Reader = Callable[[str], str]


def is_text(value: str) -> bool:
    """Tell whether a value is a certificate or key itself, and not the path of one."""
    return "-----BEGIN" in value


def checked_pair(
    entry: Mapping[str, Any], read: Reader, now: datetime.datetime
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return ``certificate`` and ``key`` as texts, and (key of the entry, words) for all that is wrong with them.

    Of both only the part that belongs there is returned: a key beside a certificate would be readable for everybody.
    No word holds anything of the key.
    """
    texts: dict[str, str] = {}
    faults: list[tuple[str, str]] = []
    for part, pattern in (("certificate", _CERTIFICATES), ("key", _KEY)):
        value = str(entry[part])
        try:
            found = [item[0] for item in pattern.finditer(value if is_text(value) else read(value))]
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            faults.append(
                (
                    part,
                    f"{_place(value)} can't be read on the controller ({reason}): name a file there, or give the text"
                    " itself, in PEM",
                )
            )
            continue
        if found:
            texts[part] = "\n".join(found if part == "certificate" else found[:1]) + "\n"
        else:
            faults.append(
                (part, f"{_place(value)} holds no {'certificate' if part == 'certificate' else 'private key'} in PEM")
            )
    if "certificate" in texts:
        faults += [
            ("certificate", f"{_place(entry['certificate'])}: {text}")
            for text in _chain_faults(texts, entry["names"], now)
        ]
    if "key" in texts:
        faults += [("key", f"{_place(entry['key'])}: {text}") for text in _key_faults(texts)]
    return texts, faults


def _place(value: str) -> str:
    """Return how a message calls a value: a key must not be repeated, in whatever form it was given."""
    return "the text" if is_text(value) or "\n" in value.strip() or _ENCODED.fullmatch(value.strip()) else value


def _chain_faults(texts: Mapping[str, str], names: list[str], now: datetime.datetime) -> Iterator[str]:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        chain = read_chain(texts["certificate"])
    except CertificateError as error:
        yield str(error)
        return
    found = [text for dummy, text in pair_faults(chain, names, now)]
    yield from found
    if found:
        return
    loaded = [x509.load_der_x509_certificate(item.der) for item in chain]
    for number, (lower, upper) in enumerate(itertools.pairwise(loaded), 1):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            yield (
                f"certificate {number} bears the name of '{chain[number].subject_name}' but not its signature: append"
                " the one that the authority has sent along, it has several of that name"
            )


def _key_faults(texts: Mapping[str, str]) -> Iterator[str]:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        key = load_pem_private_key(texts["key"].encode(), password=None)
    except TypeError:
        yield "it is encrypted, and nginx could not start with it: decrypt it (openssl pkey) and put it into a vault"
        return
    except (ValueError, UnsupportedAlgorithm):
        yield "it is no private key that can be read"
        return
    if "certificate" not in texts:
        return
    try:
        public = x509.load_pem_x509_certificate(texts["certificate"].encode()).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return
    forms = [item.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for item in (key.public_key(), public)]
    if forms[0] != forms[1]:
        yield "it is not the key of the certificate: take the one from which the certificate was requested"
