# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where packages come from: an index and further ones, or a directory of wheels and no index. Pure functions.

Addresses may hold a password. It reaches the installers through their environment and nothing else, and it is no part
of what an environment is known by: another password makes no other environment.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

# What says where packages come from, or which of them are taken.
INDEX_VARIABLES = re.compile(
    r"(PIP|UV)_(\w*INDEX\w*|FIND_LINKS|NO_BINARY|ONLY_BINARY|PRE|PRERELEASE|CONSTRAINT|CONSTRAINTS|EXCLUDE_NEWER)"
)
_DEFAULT = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
_EXTRA = ("PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
_PLACES = (*_DEFAULT, *_EXTRA, "PIP_NO_INDEX", "UV_NO_INDEX", "PIP_FIND_LINKS", "UV_FIND_LINKS")
_PLACE_OPTION = re.compile(r"-i|-f|--index-url|--extra-index-url|--find-links|--no-index|--trusted-host")
# Up to the last @, as those who read the address do: a password may have one too.
CREDENTIALS = re.compile(r"(?<=://)[^/\s]+@")


def with_indexes(env: Mapping[str, str], index: str, extra: Sequence[str]) -> dict[str, str]:
    """Return the environment of an installer with these indexes; each replaces what `env` says of its kind."""
    found = dict(env)
    for value, names in ((index, _DEFAULT), (" ".join(extra), _EXTRA)):
        if value:
            found = {name: said for name, said in found.items() if name not in names}
            found[names[0]] = found[names[1]] = value
    return found


def with_wheelhouse(env: Mapping[str, str], directory: str) -> dict[str, str]:
    """Return the environment of an installer that takes wheels from a directory and asks nobody."""
    plain = without_places(env)
    named = {f"{tool}_FIND_LINKS": directory for tool in ("PIP", "UV")}
    return {**plain, **named, "PIP_NO_INDEX": "1", "UV_NO_INDEX": "1", "UV_OFFLINE": "1"}


def without_places(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an installer that knows no other index than those which the project itself names."""
    return {name: value for name, value in env.items() if name not in _PLACES}


def has_places(env: Mapping[str, str]) -> bool:
    """Tell whether an environment says where packages come from."""
    return any(env.get(name) for name in _PLACES)


def is_offline(env: Mapping[str, str]) -> bool:
    """Tell whether no index is asked."""
    return bool(env.get("PIP_NO_INDEX") or env.get("UV_NO_INDEX"))


def names_place(option: str) -> bool:
    """Tell whether an option of a requirements file says where packages come from."""
    return bool(_PLACE_OPTION.match(option))


def without_credentials(text: str) -> str:
    """Return an address, or a text with addresses, without users and passwords."""
    return CREDENTIALS.sub("", text)


def known_by(env: Mapping[str, str]) -> dict[str, str]:
    """Return what of an installer's environment makes another result, without credentials."""
    return {name: without_credentials(said) for name, said in sorted(env.items()) if INDEX_VARIABLES.fullmatch(name)}


def index_addresses(python: Mapping[str, Any]) -> list[str]:
    """Return the addresses of the indexes that an application's environment comes from."""
    return [str(address) for address in (python.get("index", ""), *python.get("extra_indexes", ())) if address]


# No name of a user is as long as the shortest token.
_TOKEN = 20


def index_secrets(addresses: Sequence[str]) -> list[str]:
    """Return what no log may show of the addresses of indexes: passwords, and users who are a token."""
    secrets = []
    for address in addresses:
        found = CREDENTIALS.search(address)
        user, dummy, password = found[0][:-1].partition(":") if found else ("", "", "")
        # A token stands in the place of the user, alone or beside a word that means nothing.
        token = len(password) <= 1 or len(user) >= _TOKEN
        words = [*([user] if user and token else []), *([password] if len(password) > 1 else [])]
        secrets += [form for word in words for form in dict.fromkeys((word, urllib.parse.unquote(word)))]
    return secrets
