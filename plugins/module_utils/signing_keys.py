# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Public keys of those who sign tags and commits, as text: sorted by kind, refused in words where they can't work.

Sources: ssh-keygen(1), ALLOWED SIGNERS; RFC 9580, 6.2 (ASCII armor). Pure functions.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import (
    PUBLIC_TYPES,
    SshKeyError,
    check_public,
)

_ARMOR = re.compile(r"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
_CHECKSUM = re.compile(r"=[A-Za-z0-9+/]{4}")
# Who signs by a key that has no name of its own.
_ANYBODY = "signer"
_NAMESPACE = 'namespaces="git"'


def signing_keys(given: Iterable[str]) -> tuple[str, list[bytes]]:
    """Return the text of a file of allowed signers, and OpenPGP keys without their armor.

    A text holds lines of public SSH keys, as ``ssh-keygen`` writes them or with signers in front, or armored keys.
    Raises SshKeyError, whose message continues "source.verify ...".
    """
    lines: list[str] = []
    packets: list[bytes] = []
    for text in given:
        plain = text.replace("\r", "")
        if "PRIVATE KEY" in plain:
            raise SshKeyError("has a private key: the public half belongs here, and nobody else may have that one")
        for block in _ARMOR.findall(plain):
            packets.append(_unarmored(block))
        rest = _ARMOR.sub("", plain)
        if "-----BEGIN PGP" in rest:
            raise SshKeyError("has an OpenPGP key that is cut short: it goes from -----BEGIN to -----END, with both")
        lines += [_signer(line) for line in rest.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines and not packets:
        raise SshKeyError("is empty: list the public keys of those who sign, or leave it out")
    return "".join(f"{line}\n" for line in lines), packets


def _unarmored(block: str) -> bytes:
    """Return what the lines of an armored key hold. Raises SshKeyError."""
    lines = [line.strip() for line in block.splitlines()]
    while lines and (not lines[0] or ":" in lines[0]):
        del lines[0]
    packed = "".join(line for line in lines if not _CHECKSUM.fullmatch(line))
    try:
        data = base64.b64decode(packed, validate=True)
    except binascii.Error:
        data = b""
    # The first packet is a public key (tag 6), with a header of the old or the new format (RFC 9580, 4.2).
    head = data[0] if data else 0
    if (head & 0x3F if head & 0x40 else head >> 2 & 0x0F) != 6:
        raise SshKeyError("has an OpenPGP key that is damaged: export it again, gpg --armor --export KEY")
    return data


def _signer(line: str) -> str:
    """Return one line of the file. Raises SshKeyError."""
    words = line.split()
    place = next((index for index, word in enumerate(words) if word in PUBLIC_TYPES), None)
    if place is None or len(words) < place + 2:
        raise SshKeyError(f"{_no_key(line.strip())}: write 'ssh-ed25519 AAAA...', or an armored OpenPGP key")
    check_public(words[place], words[place + 1], 1)
    who = words[:place] or [_ANYBODY, _NAMESPACE]
    return " ".join([*who, words[place], words[place + 1]])


def _no_key(text: str) -> str:
    if text.startswith(("SHA256:", "MD5:")) or re.fullmatch(r"(0x)?[0-9A-Fa-f ]{16,50}", text):
        return "has a fingerprint, but the key itself is wanted"
    if text.startswith(("/", "~", ".")):
        return "has the name of a file, but its text is wanted, like \"{{ lookup('file', 'signers') }}\""
    return "has something that is no public key"
