# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Digests: what makes two releases the same, and how a sealed release shows that nobody touched it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import stat
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_index import without_credentials

# Part of every digest: raised when the same inputs would be built in another way.
FORMAT = 1


def canonical(value: Any) -> bytes:
    """Return the one JSON text of ``value``."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def input_parts(
    app: Mapping[str, Any],
    version: str,
    abi: str,
    server_text: str,
    units: Mapping[str, str],
    launcher: Mapping[str, str],
) -> dict[str, str]:
    """Return part -> digest of all that a release is made from, secrets and file contents left out.

    ``version`` is the resolved commit or the digest of the source tree and stands for itself; ``server_text`` is
    the text of the server's own file, ``units`` the text of each unit template, ``launcher`` the programs that a
    release has when systemd does not run it. How a release is probed, kept or logged is no part of it.
    """
    parts: dict[str, Any] = {
        "subdirectory": _taken(app["source"]),
        "python": {"abi": abi, **_python_part(app["python"])},
        "server settings": server_text,
        "units": dict(units),
        "environment": dict(app.get("env", {})),
        "names of secrets": _names_of_secrets(app),
        "names of files": sorted(app.get("files", {})),
        "static maps": dict(app.get("public", {})),
        "shared directories": sorted(app.get("shared", [])),
        "commands": app.get("commands", {}),
        "user": [app["user"], app["base"]],
    }
    if app["source"].get("verify"):
        # What is live was signed by somebody who may still sign, under the name that is asked for.
        source = app["source"]
        parts["signatures"] = {"keys": sorted(source["verify"]), "of": source.get("version", "")}
    if launcher:
        parts["process manager"] = {"programs": dict(launcher), "sandbox of commands": app.get("sandbox", {})}
    return {"code": version, **{name: hashlib.sha256(canonical(value)).hexdigest() for name, value in parts.items()}}


def _names_of_secrets(app: Mapping[str, Any]) -> Any:
    """Return the names, and how each is handed over that is no variable."""
    names = sorted(app.get("secrets", {}))
    return [names, app["handed"]] if app.get("handed") else names


def _python_part(python: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes another environment: not who wants a package, nor the credentials of an index."""
    part = {key: value for key, value in python.items() if key != "server_packages"}
    if part.get("index"):
        part["index"] = without_credentials(part["index"])
    if part.get("extra_indexes"):
        part["extra_indexes"] = [without_credentials(address) for address in part["extra_indexes"]]
    return part


def _taken(source: Mapping[str, Any]) -> Any:
    """Return which part of the source is taken."""
    subdirectory = source.get("subdir", "")
    return subdirectory if source.get("strip", True) else [subdirectory, "with its top directory"]


def inputs_digest(parts: Mapping[str, str]) -> str:
    """Return the digest (64 hex characters) of all parts together."""
    return hashlib.sha256(canonical({"format": FORMAT, **parts})).hexdigest()


def changed_parts(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return in words what differs between two releases' parts."""
    words = []
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            words.append(
                f"code: {_short(old.get(name, 'none'))} -> {_short(new[name])}" if name == "code" else f"{name} changed"
            )
    return words


def _short(version: str) -> str:
    """Return the first characters of a commit or digest; a package's version is told as it is."""
    return version[:12] if re.fullmatch(r"[0-9a-f]{40,64}", version) else version


def secrets_digest(key: bytes, secrets: Mapping[str, str], files: Mapping[str, str]) -> str:
    """Return the keyed digest of secrets and rendered files: of no use to somebody who guesses at a value without the
    host's key.
    """
    return hmac.new(key, canonical({"secrets": dict(secrets), "files": dict(files)}), hashlib.sha256).hexdigest()


def tree_seal(root: str, skip: frozenset[str] = frozenset(), modes: bool = True) -> str:
    """Return a digest over names, types, owners, modes, sizes and times below ``root`` (contents aren't read: cheap
    enough for each run).

    ``skip`` names entries at the top that are left out; without ``modes`` the files' modes don't count.
    Symbolic links count by their target.
    """
    digest = hashlib.sha256()
    for folder, directories, files in os.walk(root):
        relative = os.path.relpath(folder, root)
        if relative == ".":
            directories[:] = [name for name in directories if name not in skip]
            files = [name for name in files if name not in skip]
        directories.sort()
        for name in sorted(directories + files):
            path = os.path.join(folder, name)
            entry = os.lstat(path)
            target = os.readlink(path) if stat.S_ISLNK(entry.st_mode) else ""
            size, moment = (0, 0) if stat.S_ISDIR(entry.st_mode) else (entry.st_size, entry.st_mtime_ns)
            mode = entry.st_mode if modes else stat.S_IFMT(entry.st_mode)
            facts = (os.path.join(relative, name), mode, entry.st_uid, entry.st_gid, size, moment, target)
            digest.update(repr(facts).encode(errors="surrogateescape"))
    return digest.hexdigest()
