# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SSH keys as text: repaired where copies break, refused in words where they can't work. Pure functions.

Sources: OpenSSH's PROTOCOL.key (openssh-key-v1), RFC 4253 section 6.6 (public keys), RFC 1421 and 7468 (PEM), sshd(8)
for known_hosts. No message ever repeats a part of a private key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import textwrap
import urllib.parse

_PRIVATE = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY-----(.*?)-----END \1PRIVATE KEY-----", re.DOTALL)
_MAGIC = b"openssh-key-v1\0"
_PEM_LABELS = ("", "RSA ", "EC ", "DSA ")
PUBLIC_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_HOST_NAMES = re.compile(r"[A-Za-z0-9._:,\[\]-]+|\|1\|[A-Za-z0-9+/=]+\|[A-Za-z0-9+/=]+")
_PASSPHRASE = "is protected by a passphrase, which nobody could type here: make a key without one for this purpose"


class SshKeyError(ValueError):
    """A key that can't be used; the message continues "source.deploy_key ..." or "source.host_key ..."."""


def private_key(text: str) -> str:
    """Return a private key as ssh reads it, with line breaks as they have to be.

    Repaired are CRLF, blanks, a missing last line break, and line breaks that became blanks or ``\\n``. Raises
    SshKeyError for what is no private key, is cut short, or has a passphrase.
    """
    found = _PRIVATE.search(text.replace("\\r", "").replace("\\n", "\n"))
    if found is None:
        raise SshKeyError(_no_private_key(text.strip()))
    label, body = found[1], found[2]
    if "ENCRYPTED" in label or "Proc-Type:" in body:
        raise SshKeyError(_PASSPHRASE)
    if label not in ("OPENSSH ", *_PEM_LABELS):
        raise SshKeyError(f"is a key of the kind '{label.strip()}', which ssh does not read")
    packed = "".join(body.split())
    try:
        data = base64.b64decode(packed, validate=True)
    except binascii.Error:
        raise SshKeyError("is damaged: between its first and last line stands something else than base64") from None
    if label == "OPENSSH ":
        _public_part(data)
    elif not _is_whole_der(data):
        raise SshKeyError("is damaged or cut short: copy it again, from its first to its last line")
    lines = "\n".join(textwrap.wrap(packed, 70 if label == "OPENSSH " else 64))
    return f"-----BEGIN {label}PRIVATE KEY-----\n{lines}\n-----END {label}PRIVATE KEY-----\n"


def key_fingerprint(text: str) -> str:
    """Return the fingerprint of a private key's public half, as servers show it; "" when its format does not tell."""
    found = _PRIVATE.search(text)
    if found is None or found[1] != "OPENSSH ":
        return ""
    try:
        return fingerprint(_public_part(base64.b64decode("".join(found[2].split()))))
    except (SshKeyError, binascii.Error):
        return ""


def fingerprint(public: bytes) -> str:
    """Return ``SHA256:...`` of a public key's bytes."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")


def ssh_server(url: str) -> tuple[str, int] | None:
    """Return host and port of a git URL that goes over ssh (``ssh://`` or ``user@host:path``), else None."""
    if "://" in url:
        parts = urllib.parse.urlsplit(url)
        return (parts.hostname or "", parts.port or 22) if parts.scheme == "ssh" else None
    place, colon, _path = url.partition(":")
    if not colon or "/" in place:
        return None
    return place.rpartition("@")[2].lower(), 22


def known_hosts(host_key: str, server: tuple[str, int]) -> str:
    """Return the text of a known_hosts file with exactly these keys.

    A line is ``TYPE BASE64``, for ``server``, or one as ssh-keyscan prints it, with names in front, which may be of
    other hosts too (submodules). Raises SshKeyError for any other line, or when no line is for ``server``.
    """
    place = _place(server)
    lines, named = [], False
    for number, line in enumerate(host_key.replace("\\n", "\n").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        names, kind, packed = _host_key_words(words, number, place)
        check_public(kind, packed, number)
        named = named or _names_server(names, place)
        lines.append(f"{names} {kind} {packed}\n")
    if not lines:
        raise SshKeyError("is empty: write the line that 'ssh-keyscan HOST' prints, after comparing it with its owner")
    if not named:
        raise SshKeyError(f"has no key of {place}, only those of other hosts")
    return "".join(lines)


def host_key_fingerprints(text: str) -> list[str]:
    """Return type and fingerprint of each line of what known_hosts() returned."""
    words = [line.split() for line in text.splitlines()]
    return [f"{fingerprint(base64.b64decode(packed))} ({kind})" for _names, kind, packed in words]


def _no_private_key(text: str) -> str:
    """Return why a text is no private key, for the mistakes that people make."""
    if not text:
        return "is empty"
    if "PRIVATE KEY-----" in text:
        return "is cut short: it goes from the line -----BEGIN to the line -----END, both included"
    if text.startswith("PuTTY-User-Key-File"):
        return "is in the format of PuTTY: convert it with puttygen KEY.ppk -O private-openssh"
    if text.startswith(("ssh-", "ecdsa-", "sk-")):
        return "is the public half of a key: the server has that one, the private half belongs here"
    if text.startswith("$ANSIBLE_VAULT"):
        return "is still encrypted by ansible-vault: use the variable that holds it as !vault"
    if "\n" not in text and text.startswith(("/", "~", ".")):
        return "is the name of a file: the key's text is wanted, like \"{{ lookup('file', 'deploy_key') }}\""
    return "is no private key: one begins with -----BEGIN OPENSSH PRIVATE KEY-----"


def _strings(data: bytes, count: int) -> list[bytes] | None:
    """Return ``count`` strings of the SSH encoding (RFC 4251), and the rest; None when the data ends too soon."""
    found = []
    for _number in range(count):
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 or len(data) < 4 + length:
            return None
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return [*found, data]


def _public_part(data: bytes) -> bytes:
    """Return the public half in a key of OpenSSH's own format. Raises SshKeyError."""
    cut = SshKeyError("is damaged or cut short: copy it again, from its first to its last line")
    head = _strings(data[len(_MAGIC) :], 3) if data.startswith(_MAGIC) else None
    if head is None:
        raise cut
    if head[0] != b"none":
        raise SshKeyError(_PASSPHRASE)
    keys = _strings(head[3][4:], 2)
    if head[3][:4] != b"\0\0\0\1" or keys is None or keys[2]:
        raise cut
    return keys[0]


def _is_whole_der(data: bytes) -> bool:
    """Tell whether bytes are one DER sequence of just this length (X.690)."""
    if len(data) < 2 or data[0] != 0x30:
        return False
    if data[1] < 0x80:
        return len(data) == 2 + data[1]
    size = data[1] & 0x7F
    return len(data) == 2 + size + int.from_bytes(data[2 : 2 + size], "big")


def _place(server: tuple[str, int]) -> str:
    host, port = server
    return host if port == 22 else f"[{host}]:{port}"


def _host_key_words(words: list[str], number: int, place: str) -> tuple[str, str, str]:
    """Return names, type and key of a line. Raises SshKeyError."""
    if words[0] in PUBLIC_TYPES and len(words) >= 2:
        return place, words[0], words[1]
    if len(words) >= 3 and words[1] in PUBLIC_TYPES and _HOST_NAMES.fullmatch(words[0]):
        return words[0], words[1], words[2]
    if any(word.startswith(("SHA256:", "MD5:")) for word in words):
        raise SshKeyError(f"has a fingerprint in line {number}, but the key itself is wanted: 'ssh-ed25519 AAAA...'")
    if any("PRIVATE" in word for word in words):
        raise SshKeyError("is a private key: the server's public host key belongs here")
    raise SshKeyError(f"has no host key in line {number}: write 'ssh-ed25519 AAAA...', as ssh-keyscan prints it")


def check_public(kind: str, packed: str, number: int) -> None:
    try:
        data = base64.b64decode(packed, validate=True)
    except binascii.Error:
        data = b""
    parts = _strings(data, 1)
    if parts is None or parts[0] != kind.encode():
        raise SshKeyError(f"has a damaged key in line {number}: copy it again")
    rest = parts[1]
    while rest:
        more = _strings(rest, 1)
        if more is None:
            raise SshKeyError(f"has a key that is cut short in line {number}: copy it again")
        rest = more[1]


def _names_server(names: str, place: str) -> bool:
    if not names.startswith("|1|"):
        return place in names.lower().split(",")
    _empty, _one, salt, hashed = names.split("|")
    try:
        digest = hmac.new(base64.b64decode(salt), place.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(digest, base64.b64decode(hashed))
    except binascii.Error:
        return False
