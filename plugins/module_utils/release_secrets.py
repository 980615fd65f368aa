# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets of a release: those that the host makes and keeps, where each lies, and their way into rendered files.

What the host has made lies in ``secrets/`` beside the releases, readable by root alone, so that the next release has
the same. Each release has its own copy: going back brings the old release with its secrets.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import string
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file, sync_directory
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_environment import read_environment
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout

# They mean nothing to a shell, a URL, JSON or an ini file; 50 of them are 300 bits.
ALPHABET = string.ascii_letters + string.digits + "-_"
LONGEST = 4096
# Stands for a secret in a rendered file until the host puts it in. Quoting, JSON and URL encoding leave it alone.
MARKER = re.compile(r"__secret_[A-Za-z_][A-Za-z0-9_]*?__")


def marker_of(name: str) -> str:
    """Return what stands for a secret in the text of a file."""
    return f"__secret_{name}__"


def generated(length: int) -> str:
    """Return a new secret."""
    return "".join(secrets.choice(ALPHABET) for dummy in range(length))


def stored(layout: Layout, names: Collection[str]) -> dict[str, str]:
    """Return those of the secrets that the host has made already."""
    found = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            # Another error must end the deploy: a secret that can't be read would be made anew, and its data be lost.
            if text := _read(f"{layout.secrets}/{name}"):
                found[name] = text
    return found


def store(layout: Layout, values: Mapping[str, str]) -> None:
    """Keep secrets that were made, for root alone; they are on the disk when this returns."""
    if not values:
        return
    os.makedirs(layout.base, mode=0o711, exist_ok=True)
    _own_directory(layout.secrets, 0, 0o700)
    for name, value in values.items():
        replace_file(f"{layout.secrets}/{name}", value.encode(), 0o600, 0, 0)
    sync_directory(layout.base)


def predicted(layout: Layout, app: Mapping[str, Any], rotate: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Return the generated secrets of an application as far as they are known, and in words which are to be made.

    A value that nobody has yet stands for those, so that no release is taken for the wanted one.
    """
    wanted = app.get("generated", {})
    known = stored(layout, [name for name in wanted if name not in rotate])
    reasons = [
        f"secret {name} is {'rotated' if name in rotate else 'generated'}"
        for name in sorted(wanted)
        if name not in known
    ]
    return {**{name: generated(50) for name in wanted}, **known}, reasons


def settled(layout: Layout, app: Mapping[str, Any], rotate: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Return the generated secrets of an application, and the names of those that were made anew.

    What was missing is made and kept at once. A rotated one is kept only when a release with it is live: until then the
    old one is the right one.
    """
    wanted = app.get("generated", {})
    rotated = sorted(name for name in wanted if name in rotate)
    known = stored(layout, [name for name in wanted if name not in rotated])
    made = {name: generated(length) for name, length in wanted.items() if name not in known and name not in rotated}
    store(layout, made)
    return {**known, **made, **{name: generated(wanted[name]) for name in rotated}}, rotated


def completed(app: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return an application's entry with its generated secrets, and with all secrets in its files."""
    known = {**app.get("secrets", {}), **values}
    files = {path: filled(text, known) for path, text in app.get("files", {}).items()}
    return {**app, "secrets": known, "files": files}


def filled(text: str, known: Mapping[str, str]) -> str:
    """Return the text of a file with the secrets in the place of their markers."""
    markers = {marker_of(name): value for name, value in known.items()}
    if not markers or "__secret_" not in text:
        return text
    # The longer first: one name may be the beginning of another.
    words = "|".join(re.escape(marker) for marker in sorted(markers, key=len, reverse=True))
    return re.sub(words, lambda matched: markers[matched[0]], text)


def unknown_names(text: str, names: Collection[str]) -> list[str]:
    """Return the names in markers that stand for none of these secrets."""
    rest = filled(text, dict.fromkeys(names, ""))
    return [marker.removeprefix("__secret_").removesuffix("__") for marker in dict.fromkeys(MARKER.findall(rest))]


def environment_of(app: Mapping[str, Any], release_dir: str) -> dict[str, str]:
    """Return the variables that hand secrets over: their values, or the paths of their files."""
    handed = app.get("handed", {})
    values = {name: value for name, value in app.get("secrets", {}).items() if name not in handed}
    paths = {f"{name}_FILE": f"{release_dir}/secrets/{name}" for name, kind in handed.items() if kind == "file"}
    return {**values, **paths}


def write_handed(app: Mapping[str, Any], release_dir: str, group: int) -> None:
    """Write the secrets of a release that are handed over as files and as credentials."""
    for kind, folder, mode, owner in (("file", "secrets", 0o640, group), ("credential", "credentials", 0o600, 0)):
        names = [name for name, said in app.get("handed", {}).items() if said == kind]
        if names:
            _own_directory(f"{release_dir}/{folder}", owner, 0o750 if owner else 0o700)
        for name in names:
            replace_file(f"{release_dir}/{folder}/{name}", app["secrets"][name].encode(), mode, 0, owner)


def values_of(layout: Layout, record: Mapping[str, Any]) -> dict[str, str]:
    """Return the secrets of a release that was built, from its own files."""
    release_dir = layout.release(str(record["id"]))
    values, handed = read_environment(_text(layout.environment(str(record["id"])))), record.get("handed", {})
    folders = {"file": "secrets", "credential": "credentials"}
    found = {name: _text(f"{release_dir}/{folders.get(kind, kind)}/{name}") for name, kind in handed.items()}
    names = record.get("secrets", list(values))
    return {name: value for name, value in {**values, **found}.items() if name in names}


def adopt(layout: Layout, record: Mapping[str, Any], names: Collection[str]) -> None:
    """Keep the rotated secrets of a release that is live now."""
    values = values_of(layout, record) if names and record else {}
    store(layout, {name: values[name] for name in names if values.get(name)})


def _own_directory(path: str, group: int, mode: int) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    os.chown(path, 0, group)
    os.chmod(path, mode)


def _text(path: str) -> str:
    try:
        return _read(path)
    except OSError:
        return ""


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace", newline="") as stream:
        return stream.read()
