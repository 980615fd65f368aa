# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A local directory as the source of a release: which files it has, its digest, and the archive that carries it to
the host.

Runs on the controller (digest, archive) and on the host (unpacking).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tarfile

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import relative_path

# Never part of a site, whatever the project's .gitignore says.
EXCLUDED = frozenset(
    {".git", "__pycache__", ".venv", "node_modules", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox"}
)


def source_files(root: str) -> list[str]:
    """Return the relative names of all files and symbolic links of a source directory, sorted.

    In a git checkout these are the tracked and the untracked files that .gitignore lets pass. Raises ReleaseError for
    a link that leaves the directory, for devices and pipes, and when there is nothing at all.
    """
    if not os.path.isdir(root):
        raise ReleaseError("source", f"the source directory {root} does not exist on the controller")
    names = sorted(name for name in _candidates(root) if not EXCLUDED.intersection(name.split("/")))
    if not names:
        raise ReleaseError("source", f"the source directory {root} is empty")
    for name in names:
        _check_entry(root, name)
    return names


def source_digest(root: str) -> str:
    """Return the digest over names, executable bits, link targets and contents: the same tree gives the same digest
    anywhere.
    """
    return _digest_of(root, source_files(root))


def unpacked_digest(root: str) -> str:
    """Return the same digest for a tree that came out of an archive: all that is in it counts."""
    names = [os.path.join(folder, name) for folder, dummy, files in os.walk(root) for name in files]
    links = [os.path.join(folder, name) for folder, names, dummy in os.walk(root) for name in names]
    names += [path for path in links if os.path.islink(path)]
    return _digest_of(root, sorted(os.path.relpath(path, root) for path in names))


def _digest_of(root: str, names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        path = os.path.join(root, name)
        if os.path.islink(path):
            kind, content = b"l", hashlib.sha256(os.fsencode(os.readlink(path))).digest()
        else:
            kind, content = (b"x" if _executable(path) else b"f"), _file_digest(path)
        digest.update(kind + os.fsencode(name) + b"\0" + content)
    return digest.hexdigest()


def pack_source(root: str, archive: str) -> None:
    """Write a gzipped tar of the source to ``archive``; times and owners of the controller stay out of it."""
    with tarfile.open(archive, "w:gz", compresslevel=3, format=tarfile.PAX_FORMAT) as tar:
        for name in source_files(root):
            path = os.path.join(root, name)
            entry = tarfile.TarInfo(name)
            if os.path.islink(path):
                entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)
                tar.addfile(entry)
            else:
                with open(path, "rb") as stream:
                    entry.size, entry.mode = os.fstat(stream.fileno()).st_size, 0o755 if _executable(path) else 0o644
                    tar.addfile(entry, stream)


def unpack_source(archive: str, destination: str) -> None:
    """Unpack what pack_source wrote into the empty directory ``destination``. Raises ReleaseError for any other kind
    of member.

    Links are made last, so that no file can be written through one.
    """
    links: list[tuple[str, str]] = []
    with tarfile.open(archive) as tar:
        for member in tar:
            name = relative_path(member.name, "a name in the source archive")
            path = os.path.join(destination, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if member.issym():
                links.append((member.linkname, path))
            elif member.isreg() and (stream := tar.extractfile(member)) is not None:
                with open(path, "xb") as output:
                    shutil.copyfileobj(stream, output)
                os.chmod(path, 0o755 if member.mode & 0o100 else 0o644)
            else:
                raise ReleaseError("source", f"the source archive holds something else than files and links: {name}")
    for target, path in links:
        os.symlink(target, path)


def leaves_tree(name: str, target: str) -> bool:
    """Tell whether a link ``name`` (relative to the tree's root) with this target points outside of the tree."""
    if os.path.isabs(target):
        return True
    reached = os.path.normpath(os.path.join(os.path.dirname(name), target))
    return reached == ".." or reached.startswith("../")


def _candidates(root: str) -> list[str]:
    if _is_git_checkout(root):
        listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        if listed.returncode == 0:
            names = {os.fsdecode(name) for name in listed.stdout.split(b"\0") if name}
            return [
                name for name in names if os.path.lexists(os.path.join(root, name)) and not _is_directory(root, name)
            ]
    return _walked(root)


def _is_git_checkout(root: str) -> bool:
    try:
        top = _git(root, "rev-parse", "--show-toplevel")
        # A folder that the surrounding checkout ignores (a build result) is no checkout: all of it is meant.
        return top.returncode == 0 and _git(root, "check-ignore", "-q", os.path.abspath(root)).returncode != 0
    except OSError:
        return False


def _git(root: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # pylint: disable=ansible-bad-function
        ["git", "-C", root, *arguments], capture_output=True, check=False
    )


def _walked(root: str) -> list[str]:
    names = []
    for folder, directories, files in os.walk(root):
        linked = [name for name in directories if os.path.islink(os.path.join(folder, name))]
        names += [os.path.relpath(os.path.join(folder, name), root) for name in files + linked]
        directories[:] = [name for name in directories if name not in linked and not _is_skipped(folder, name)]
    return names


def _is_skipped(folder: str, name: str) -> bool:
    return name in EXCLUDED or os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))


def _is_directory(root: str, name: str) -> bool:
    path = os.path.join(root, name)
    return os.path.isdir(path) and not os.path.islink(path)


def _check_entry(root: str, name: str) -> None:
    path = os.path.join(root, name)
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        if leaves_tree(name, os.readlink(path)):
            raise ReleaseError("source", f"the link {name} in {root} points outside of the source: {os.readlink(path)}")
    elif not stat.S_ISREG(mode):
        raise ReleaseError("source", f"{name} in {root} is neither a file nor a link")


def _executable(path: str) -> bool:
    return bool(os.stat(path).st_mode & stat.S_IXUSR)


def _file_digest(path: str) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.digest()
