# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hashes of passwords as crypt(3) of Debian and nginx read them: SHA-512, 5000 rounds.

Python 3.13 has no module crypt, and a controller may have no passlib. The method is Ulrich Drepper's, "Unix crypt using
SHA-256 and SHA-512", version 0.6.
"""

from __future__ import annotations

import functools
import hashlib

_ROUNDS = 5000
_LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SALT_LENGTH = 16


def salt_from(text: str) -> str:
    """Return a salt that is the same for the same text. The text is to hold nothing secret."""
    return "".join(_LETTERS[byte % 64] for byte in hashlib.sha512(text.encode()).digest()[:SALT_LENGTH])


@functools.lru_cache(maxsize=256)
def sha512_crypt(password: str, salt: str) -> str:
    """Return ``$6$salt$hash``."""
    key, grain = password.encode(), salt.encode()
    other = hashlib.sha512(key + grain + key).digest()
    mixed = key + grain + _stretched(other, len(key))
    length = len(key)
    while length:
        mixed += other if length & 1 else key
        length >>= 1
    made = hashlib.sha512(mixed).digest()
    long_key = _stretched(hashlib.sha512(key * len(key)).digest(), len(key))
    long_salt = _stretched(hashlib.sha512(grain * (16 + made[0])).digest(), len(grain))
    for number in range(_ROUNDS):
        odd = number % 2
        word = long_key if odd else made
        word += long_salt if number % 3 else b""
        word += long_key if number % 7 else b""
        word += made if odd else long_key
        made = hashlib.sha512(word).digest()
    return f"$6${salt}${_letters(made)}"


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _letters(digest: bytes) -> str:
    """Return the digest in the order and the alphabet of the method: three bytes are four letters."""
    places = [(0, 21, 42)]
    for dummy in range(20):
        first, second, third = places[-1]
        places.append((second + 1, third + 1, first + 1))
    text = ""
    for first, second, third in places:
        value = digest[first] << 16 | digest[second] << 8 | digest[third]
        text += "".join(_LETTERS[value >> shift & 63] for shift in (0, 6, 12, 18))
    return text + _LETTERS[digest[63] & 63] + _LETTERS[digest[63] >> 6 & 63]
