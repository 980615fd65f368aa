# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A directory of wheels: known by its digest, packed on the controller, put in its place on the host."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import sync_filesystem
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError

WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")


def wheels_in(directory: str) -> list[str]:
    """Return the names of the wheels in a directory, sorted. Raises ReleaseError when there are none."""
    try:
        names = sorted(name for name in os.listdir(directory) if WHEEL.fullmatch(name))
    except OSError as error:
        raise ReleaseError("source", f"the wheelhouse {directory} can't be read: {error.strerror}") from error
    if not names:
        raise ReleaseError(
            "source", f"the wheelhouse {directory} has no wheels: fill it by flaskworks.deploy.wheelhouse"
        )
    return names


def wheelhouse_digest(directory: str) -> str:
    """Return the digest over names and contents of all wheels in a directory: 64 hex characters."""
    digest = hashlib.sha256()
    for name in wheels_in(directory):
        with open(os.path.join(directory, name), "rb") as stream:
            digest.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def pack_wheelhouse(directory: str, archive: str) -> None:
    """Write the wheels of a directory into a tar; they are compressed already."""
    with tarfile.open(archive, "w") as tar:
        for name in wheels_in(directory):
            tar.add(os.path.join(directory, name), arcname=name, recursive=False)


def placed_wheelhouse(archive: str, digest: str, wheels: str, group: int) -> str:
    """Return the directory of a wheelhouse on the host; unpacked there from `archive`, unless it is there already.

    `wheels` holds those of one application. The others are removed: their environments were built. `group` reads it.
    """
    place = f"{wheels}/{digest}"
    if os.path.isdir(place):
        return place
    if not archive:
        raise ReleaseError("source", "the controller sent no wheelhouse: run again")
    shutil.rmtree(wheels, ignore_errors=True)
    temporary = f"{wheels}/new"
    os.makedirs(temporary, mode=0o700)
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() and WHEEL.fullmatch(member.name) else None
            if content is None:
                raise ReleaseError("source", f"the wheelhouse holds something else than wheels: {member.name!r}")
            path = f"{temporary}/{member.name}"
            with open(path, "xb") as stream:
                shutil.copyfileobj(content, stream)
            os.chmod(path, 0o644)
    if wheelhouse_digest(temporary) != digest:
        raise ReleaseError("source", "the wheelhouse changed while it was being sent: run again")
    for path in (wheels, temporary):
        os.chown(path, 0, group)
        os.chmod(path, 0o750)
    sync_filesystem(temporary)
    os.rename(temporary, place)
    return place


def has_wheelhouse(digest: str, wheels: str) -> bool:
    """Tell whether a wheelhouse lies on this host."""
    return os.path.isdir(f"{wheels}/{digest}")
