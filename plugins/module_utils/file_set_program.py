# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a transaction asks of the program whose files it changes, and commands given by the user."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import staging_name
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import (
    is_leftover,
    private_directory,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.system_path import SYSTEM_PATH

Completed = subprocess.CompletedProcess[str]

# From linux/sched.h and linux/mount.h.
_CLONE_NEWNS, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 0x20, 0x1000, 0x4000, 0x40000
_NO_CONTEXT = 125


class Program:
    """A program without any needs; the others say what is different about theirs."""

    def require(self, changes: Sequence[Change]) -> None:
        """Raise FileSetError when the program isn't there. Called before anything is written."""

    def validate(self, changes: Sequence[Change]) -> None:
        """Raise FileSetError with the program's own words when it would not take the staged changes."""

    def snapshot(self, changes: Sequence[Change]) -> dict[str, Any]:
        """Return for JSON what `withdraw` and `restore` need, maybe in a later run. Nothing has changed yet."""
        return {}

    def prepare(self, changes: Sequence[Change]) -> None:
        """Do what must happen while the old files are still in place."""

    def apply(self, changes: Sequence[Change]) -> None:
        """Make the running program take the new files."""

    def verify(self) -> None:
        """Raise FileSetError when the running program did not take them."""

    def withdraw(self, before: Mapping[str, Any]) -> None:
        """Undo what can't be undone any more when the new files are gone. ``before``: the snapshots of all programs."""

    def restore(self, before: Mapping[str, Any]) -> None:
        """Make the running program take the files that were put back. Raises FileSetError when it does not."""

    def describe(self) -> list[str]:
        """Return in words what runs now."""
        return []

    def drift(self) -> list[str]:
        """Return in words what does not run as wanted although no file changes; must be cheap and change nothing."""
        return []


def run(argv: Sequence[str], context: dict[str, str] | None = None, timeout: float = 120.0) -> Completed:
    """Run a command with an English locale. ``context``: directory -> the one that this command sees in its place."""
    environment = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=environment,
            timeout=timeout,
            preexec_fn=(lambda: _show(context)) if context else None,
        )
    except FileNotFoundError:
        raise FileSetError(f"{argv[0]} is not installed on this host") from None
    except subprocess.TimeoutExpired:
        raise FileSetError(f"{' '.join(argv)} did not end within {timeout:.0f} s") from None
    if context and done.returncode == _NO_CONTEXT:
        raise FileSetError(f"{' '.join(argv)} could not be shown the change: {done.stderr.strip()}")
    return done


def must(argv: Sequence[str]) -> Completed:
    """Run a command that has to succeed. Raises FileSetError with its words."""
    done = run(argv)
    if done.returncode != 0:
        raise FileSetError(f"{' '.join(argv)} failed ({done.returncode}):\n{words(done)}")
    return done


def words(done: Completed) -> str:
    return (done.stderr + done.stdout).strip()


def installed(name: str) -> bool:
    return shutil.which(name, path=SYSTEM_PATH) is not None


def _show(context: dict[str, str]) -> None:
    """Bind the candidate over the real directory in a mount namespace of this process: see mount_namespaces(7).

    Runs between fork and exec, where an exception would lose its words.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(result: int, what: str) -> None:
        if result != 0:
            os.write(2, f"{what}: {os.strerror(ctypes.get_errno())}".encode())
            os._exit(_NO_CONTEXT)

    call(libc.unshare(_CLONE_NEWNS), "unshare")
    call(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount /")
    for target, source in context.items():
        call(libc.mount(source.encode(), target.encode(), None, _MS_BIND, None), f"mount {target}")
        # /run is noexec, which would show in what the program thinks of executable files.
        call(libc.mount(None, target.encode(), None, _MS_BIND | _MS_REMOUNT, None), f"remount {target}")


def in_context(
    directories: Iterable[str],
    changes: Sequence[Change],
    call: Callable[[dict[str, str]], None],
    scratch: Iterable[str] = (),
    without: bool = False,
) -> None:
    """Copy the directories, make the staged changes in the copies, and call with ``{directory: copy}``.

    With ``without`` the copies have nothing at all at the paths of the changes.
    Of the directories in ``scratch`` only the folders are copied: what the test leaves in them is lost.
    """
    with private_directory() as place:
        context = {}
        for number, directory in enumerate((*directories, *scratch)):
            directory = os.path.realpath(directory)
            if not os.path.isdir(directory):
                continue
            copy = context[directory] = f"{place}/{number}"
            if directory in scratch:
                _copy_folders(directory, copy)
                continue
            done = run(["cp", "--archive", "--no-target-directory", directory, copy])
            if done.returncode != 0:
                raise FileSetError(f"{directory} can't be copied for a test:\n{words(done)}")
            for change in changes:
                folder, name = os.path.split(change.path)
                path = f"{os.path.realpath(folder)}/{name}"
                if path.startswith(f"{directory}/"):
                    _make_in(f"{copy}{path[len(directory) :]}", "absent" if without else change.wanted.kind)
            _sweep(copy)
        call(context)


def _copy_folders(directory: str, copy: str) -> None:
    for where, _folders, _files in os.walk(directory):
        status = os.stat(where)
        inside = f"{copy}{where[len(directory) :]}"
        os.mkdir(inside)
        os.chown(inside, status.st_uid, status.st_gid)
        os.chmod(inside, status.st_mode & 0o7777)


def _make_in(path: str, kind: str) -> None:
    if kind == "absent":
        if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
            os.unlink(path)
    elif kind != "directory":
        os.rename(staging_name(path), path)


def _sweep(folder: str) -> None:
    """Remove staged files of other changes from a copy, where a program might read them."""
    for where, _folders, names in os.walk(folder):
        for name in names:
            if is_leftover(name):
                os.unlink(f"{where}/{name}")


class Commands(Program):
    """Commands that the user gave: argument lists to validate (in context), apply and verify."""

    def __init__(
        self,
        validate: Sequence[Sequence[str]],
        apply: Sequence[Sequence[str]],
        verify: Sequence[Sequence[str]],
        context: Sequence[str],
    ) -> None:
        self.validations, self.applications, self.verifications, self.directories = validate, apply, verify, context

    def require(self, changes: Sequence[Change]) -> None:
        for argv in (*self.validations, *self.applications, *self.verifications):
            if not installed(argv[0]):
                raise FileSetError(f"{argv[0]} is not installed on this host")

    def validate(self, changes: Sequence[Change]) -> None:
        if self.validations:
            in_context(self.directories, changes, self._check)

    def _check(self, context: dict[str, str]) -> None:
        for argv in self.validations:
            done = run(argv, context)
            if done.returncode != 0:
                raise FileSetError(f"{' '.join(argv)} refuses the change ({done.returncode}):\n{words(done)}")

    def apply(self, changes: Sequence[Change]) -> None:
        for argv in self.applications:
            must(argv)

    def restore(self, before: Mapping[str, Any]) -> None:
        for argv in self.applications:
            must(argv)

    def verify(self) -> None:
        for argv in self.verifications:
            must(argv)

    def drift(self) -> list[str]:
        reasons = []
        for argv in self.verifications:
            if not installed(argv[0]):
                reasons.append(f"{argv[0]} is not installed yet")
            elif run(argv).returncode != 0:
                reasons.append(f"{' '.join(argv)} fails")
        return reasons
