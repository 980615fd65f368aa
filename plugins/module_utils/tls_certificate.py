# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a certificate says, read without a library for it: for whom it is, how long, and who has signed it.

X.509 as RFC 5280 has it, in DER (ITU-T X.690). Signatures are not looked at: that is the work of OpenSSL.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_PEM = re.compile(
    r"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.*?)-----END (?:TRUSTED |X509 )?CERTIFICATE-----", re.DOTALL
)
_SEQUENCE, _OCTETS, _UTC_TIME, _EXTENSIONS, _DNS, _IP = 0x30, 0x04, 0x17, 0xA3, 0x82, 0x87
# 2.5.29.17, subjectAltName; 2.5.4.3, commonName; 2.5.4.10, organizationName.
_ALTERNATIVE_NAMES, _COMMON_NAME, _ORGANISATION = b"\x55\x1d\x11", b"\x55\x04\x03", b"\x55\x04\x0a"


class CertificateError(ValueError):
    """No certificate that can be read; the message is for a person and holds nothing of the content."""


@dataclass(frozen=True)
class Certificate:
    """One certificate. ``names`` are host names in lower case and addresses; ``key`` its public key (DER)."""

    names: tuple[str, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime
    subject: bytes
    issuer: bytes
    key: bytes
    der: bytes

    @property
    def self_issued(self) -> bool:
        return self.subject == self.issuer

    @property
    def issuer_name(self) -> str:
        return name_text(self.issuer)

    @property
    def subject_name(self) -> str:
        return name_text(self.subject)

    def covers(self, name: str) -> bool:
        """Tell whether a browser takes it for that host: RFC 6125, a wildcard stands for the first part alone."""
        return covering(name, self.names)

    def lacks(self, names: Iterable[str]) -> list[str]:
        """Return those names that it does not cover."""
        return [name for name in names if not self.covers(name)]

    def days_left(self, now: datetime.datetime) -> int:
        """Return whole days until it ends, negative when it has."""
        return (self.not_after - now) // datetime.timedelta(days=1)


def as_held(name: str) -> str:
    """Return a name as certificates are read here: an address in its one short form, a host name in lower case."""
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return name.lower()


def covering(name: str, names: Iterable[str]) -> bool:
    """Tell whether one of a certificate's names stands for a host or an address."""
    name, held = as_held(name), set(names)
    return name in held or ("." in name and f"*.{name.partition('.')[2]}" in held)


def fingerprint(der: bytes) -> str:
    """Return what a certificate is known by: its SHA-256, as C(openssl x509 -fingerprint -sha256) has it."""
    return hashlib.sha256(der).hexdigest()


def read_chain(pem: str) -> list[Certificate]:
    """Return the certificates of a text, in its order. Raises CertificateError when there is none, or a broken one."""
    found = []
    for body in _PEM.findall(pem):
        try:
            found.append(read_der(base64.b64decode("".join(body.split()), validate=True)))
        except (binascii.Error, ValueError, IndexError):
            raise CertificateError(f"certificate {len(found) + 1} in it is damaged") from None
    if not found:
        raise CertificateError("holds no certificate: it would begin with -----BEGIN CERTIFICATE-----")
    return found


def read_der(der: bytes) -> Certificate:
    """Return one certificate. Raises ValueError or IndexError for anything else."""
    fields = list(_items(_value(_value(der, _SEQUENCE), _SEQUENCE)))
    # The version comes first, in a context tag of its own; version 1 leaves it out.
    first = 1 if fields[0][0] == 0xA0 else 0
    issuer, validity, subject, key = (fields[first + offset] for offset in (2, 3, 4, 5))
    begin, end = (_time(tag, value) for tag, value, _whole in _items(validity[1]))
    extensions = next((value for tag, value, _whole in fields if tag == _EXTENSIONS), b"")
    return Certificate(tuple(_names(extensions)), begin, end, subject[2], issuer[2], key[2], der)


def name_text(name: bytes) -> str:
    """Return what a distinguished name is called: its common name, else its organisation."""
    parts: dict[bytes, str] = {}
    try:
        for group in _values(_value(name, _SEQUENCE)):
            for attribute in _values(group):
                kind, text = _values(attribute)
                parts.setdefault(kind, text.decode(errors="replace"))
    except (ValueError, IndexError):
        return "?"
    return parts.get(_COMMON_NAME) or parts.get(_ORGANISATION) or "?"


def chain_faults(chain: Sequence[Certificate]) -> list[str]:
    """Return in words what keeps a chain from leading to an authority: its order, or that it is not all there."""
    for number, (lower, upper) in enumerate(itertools.pairwise(chain), 1):
        if lower.issuer != upper.subject:
            upside_down = upper.issuer == lower.subject
            if upside_down or any(lower.issuer == other.subject for other in chain[number:]):
                text = "put the certificate of the host first, and behind each the one that has signed it"
            else:
                text = f"put the certificate of '{lower.issuer_name}' between them"
            return [
                f"certificate {number} is signed by '{lower.issuer_name}', but '{upper.subject_name}' comes next:"
                f" {text}"
            ]
    if len(chain) == 1 and not chain[0].self_issued:
        return [
            f"it holds the host's certificate alone, and visitors do not know '{chain[0].issuer_name}', who signed it:"
            " append the intermediate certificates of the authority (its 'full chain'); a root that signs by itself is"
            " appended too"
        ]
    return []


def first_to_end(chain: Sequence[Certificate], now: datetime.datetime) -> Certificate:
    """Return the certificate with which a chain ends: the host's, or one above it that is still good and ends before.

    Roots are aside: visitors have their own.
    """
    above = [upper for upper in chain[1:] if not upper.self_issued and upper.not_after > now]
    return min((chain[0], *above), key=lambda item: item.not_after)


def pair_faults(chain: Sequence[Certificate], names: Sequence[str], now: datetime.datetime) -> list[tuple[str, str]]:
    """Return (check, words) for all that keeps a chain from being shown to visitors of these names."""
    leaf = chain[0]
    faults = []
    if leaf.not_after <= now:
        faults.append(("expired", f"it has expired on {leaf.not_after:%Y-%m-%d}: get a new one"))
    elif leaf.not_before > now:
        faults.append(
            (
                "not-yet-valid",
                f"it is not valid before {leaf.not_before:%Y-%m-%d %H:%M} UTC: check its dates and the clock",
            )
        )
    for upper in chain[1:]:
        if upper.not_after <= now and not upper.self_issued:
            faults.append(
                (
                    "chain",
                    f"the certificate of '{upper.subject_name}' in its chain has expired on {upper.not_after:%Y-%m-%d}",
                )
            )
    if lacking := leaf.lacks(names):
        held = ", ".join(leaf.names) or "no name at all"
        faults.append(("names", f"it is not for {', '.join(lacking)}: it holds {held}"))
    return faults + [("chain", text) for text in chain_faults(chain)]


def _items(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (tag, value, whole) of what follows one another. Raises ValueError or IndexError for what is no DER."""
    position = 0
    while position < len(data):
        tag, length, start = data[position], data[position + 1], position + 2
        if tag & 0x1F == 0x1F:
            raise ValueError("a tag of more than one byte")
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("a length that DER does not have")
            length = int.from_bytes(data[start : start + count], "big")
            start += count
        if start + length > len(data):
            raise ValueError("cut off")
        yield tag, data[start : start + length], data[position : start + length]
        position = start + length


def _values(data: bytes) -> list[bytes]:
    return [item[1] for item in _items(data)]


def _value(data: bytes, tag: int) -> bytes:
    """Return the content of the first item, which has to have this tag."""
    found, value, _whole = next(_items(data), (0, b"", b""))
    if found != tag:
        raise ValueError(f"tag {found:#x}, not {tag:#x}")
    return value


def _time(tag: int, value: bytes) -> datetime.datetime:
    """Return a time of RFC 5280, section 4.1.2.5: two digits of a year stand for 1950 to 2049."""
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.UTC)


def _names(extensions: bytes) -> Iterator[str]:
    for extension in _values(_value(extensions, _SEQUENCE) if extensions else b""):
        parts = list(_items(extension))
        if parts[0][1] != _ALTERNATIVE_NAMES or parts[-1][0] != _OCTETS:
            continue
        for tag, value, _whole in _items(_value(parts[-1][1], _SEQUENCE)):
            if tag == _DNS:
                yield value.decode("ascii", errors="replace").lower()
            elif tag == _IP and len(value) in (4, 16):
                yield str(ipaddress.ip_address(value))
