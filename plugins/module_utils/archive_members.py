# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unpacking a tar or zip archive that nobody vouches for: plain files and links that stay inside, or nothing."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_source import leaves_tree

MOST_BYTES = 4 << 30
MOST_MEMBERS = 200_000
# What macOS adds to a zip archive.
_MACOS = "__MACOSX"
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """One entry.

    ``name`` is where it goes, in its normal form, ``shown`` its name in the archive; ``kind`` is file, folder or link;
    ``target`` that of a link.
    """

    name: str
    shown: str
    kind: str
    size: int = 0
    executable: bool = False
    target: str = ""
    content: Callable[[], IO[bytes]] | None = None


def unpack_archive(stream: IO[bytes], destination: str, strip: bool, subdirectory: str) -> None:
    """Write the files and links of an archive to the empty directory ``destination``.

    Taken is what lies below ``subdirectory``. With ``strip`` a directory that holds everything else is left out first,
    as the archives of GitHub and GitLab have it, unless it is a Python package itself. Raises ReleaseError, with the
    name, for a member that leads elsewhere, is neither a file nor a link, or makes the whole too large; and for a file
    that is no archive.
    """
    magic = stream.read(4)
    stream.seek(0)
    try:
        if magic.startswith(b"PK"):
            with zipfile.ZipFile(stream) as archive:
                _write(_chosen(_bounded(_zip_members(archive)), strip, subdirectory), destination)
        else:
            with tarfile.open(fileobj=stream, mode="r:*") as tar:
                _write(_chosen(_bounded(_tar_members(tar)), strip, subdirectory), destination)
    except tarfile.ReadError as error:
        if "could not be opened" not in str(error):
            raise ReleaseError("source", f"the archive is damaged: {error}") from error
        raise ReleaseError("source", "the archive is no tar (plain, gz, bz2 or xz) and no zip") from error
    except _DAMAGED as error:
        raise ReleaseError("source", f"the archive is damaged: {error}") from error


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    files: dict[str, tarfile.TarInfo] = {}
    for entry in tar:
        name = _inside(entry.name)
        executable = bool(entry.mode & 0o100)
        if entry.isdir():
            yield Member(name, entry.name, "folder")
        elif entry.issym():
            yield Member(name, entry.name, "link", target=entry.linkname)
        elif entry.isreg() or entry.islnk():
            found = files.get(_inside(entry.linkname)) if entry.islnk() else entry
            if found is None:
                raise _refused(entry.name, f"is a hard link to {entry.linkname}, which does not come before it")
            files[name] = found
            read = partial(_stream, tar, found)
            yield Member(name, entry.name, "file", found.size, executable, content=read)
        else:
            raise _refused(entry.name, "is neither a file nor a link, but a device, a pipe or the like")


def _stream(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(entry)
    if stream is None:
        raise _refused(entry.name, "has no content")
    return stream


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for entry in archive.infolist():
        if entry.filename.split("/")[0] == _MACOS:
            continue
        if "\\" in entry.filename:
            raise _refused(entry.filename, "has backslashes, so it was packed by a program that breaks the format")
        name, mode = _inside(entry.filename), entry.external_attr >> 16
        if entry.flag_bits & 1:
            raise _refused(entry.filename, "is encrypted")
        if entry.is_dir():
            yield Member(name, entry.filename, "folder")
        elif stat.S_ISLNK(mode):
            if entry.file_size > 4096:
                raise _refused(entry.filename, "is a link with a target longer than any path")
            yield Member(name, entry.filename, "link", target=os.fsdecode(archive.read(entry)))
        elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
            read = partial(archive.open, entry)
            yield Member(name, entry.filename, "file", entry.file_size, bool(mode & 0o100), content=read)
        else:
            raise _refused(entry.filename, "is neither a file nor a link, but a device, a pipe or the like")


def _inside(name: str) -> str:
    """Return a member's name in its normal form; "." is the root itself. Raises ReleaseError when it leads outside."""
    if name.startswith("/"):
        raise _refused(name, "has an absolute path")
    if ".." in name.split("/"):
        raise _refused(name, "leaves the archive's own directory")
    if "\0" in name or not name:
        raise _refused(name, "has no name that a file could have")
    return os.path.normpath(name)


def _bounded(members: Iterator[Member]) -> list[Member]:
    """Return the members, read one by one. Raises ReleaseError at the first that makes too much of them."""
    found: list[Member] = []
    size = 0
    for member in members:
        size += member.size
        if size > MOST_BYTES:
            raise _refused(member.shown, f"brings it to {size} bytes unpacked: at most {MOST_BYTES} are taken")
        if len(found) >= MOST_MEMBERS:
            raise _refused(member.shown, f"is one too many: at most {MOST_MEMBERS} files are taken")
        if member.name != ".":
            found.append(member)
    return found


def _chosen(members: list[Member], strip: bool, subdirectory: str) -> list[Member]:
    """Return the members below ``subdirectory``, named relative to it. Raises ReleaseError when there are none."""
    top = members[0].name.split("/")[0] if members else ""
    inside = _below(members, top)
    if strip and len(inside) == sum(not (member.kind == "folder" and member.name == top) for member in members):
        members = members if any(member.name == "__init__.py" for member in inside) else inside
    if subdirectory not in ("", "."):
        members = _below(members, os.path.normpath(subdirectory))
    if not any(member.kind != "folder" for member in members):
        there = f"no directory '{subdirectory}'" if subdirectory else "no files"
        raise ReleaseError("source", f"the archive has {there}")
    for member in members:
        if member.kind == "link" and (not member.target or leaves_tree(member.name, member.target)):
            raise _refused(member.shown, f"is a link that points outside: {member.target}")
    return members


def _below(members: list[Member], top: str) -> list[Member]:
    return [
        replace(member, name=member.name[len(top) + 1 :]) for member in members if member.name.startswith(f"{top}/")
    ]


def _write(members: list[Member], destination: str) -> None:
    """Write the members. Nothing goes through a link, and links are made last."""
    links = [member for member in members if member.kind == "link"]
    names = {member.name for member in links}
    for member in members:
        if any(parent in names for parent in _parents(member.name)):
            raise _refused(member.shown, "lies below a link")
    root = os.path.realpath(destination)
    for member in [*(member for member in members if member.kind != "link"), *links]:
        try:
            _write_one(member, os.path.join(root, member.name))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise _refused(member.shown, "is there twice, as two different things") from None
    for member in links:
        # A link may lead outside by way of others, each of which looks harmless.
        reached = os.path.realpath(os.path.join(root, member.name))
        if reached != root and not reached.startswith(root + "/"):
            raise _refused(member.shown, f"is a link that leads outside by way of others: {member.target}")


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _write_one(member: Member, path: str) -> None:
    if member.kind == "folder":
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if member.content is None:
        os.symlink(member.target, path)
        return
    with open(path, "xb") as output, member.content() as stream:
        shutil.copyfileobj(stream, output, 1 << 20)
    os.chmod(path, 0o755 if member.executable else 0o644)


def _refused(name: str, why: str) -> ReleaseError:
    return ReleaseError("source", f"the archive is refused: {name!r} {why}")
