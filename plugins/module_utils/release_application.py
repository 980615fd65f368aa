# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What belongs to the application itself: its directories, its shared data, and commands run as its user in its own
sandbox.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import servers
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    WEB_GROUP,
    Layout,
    relative_path,
    shared_served,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import (
    SYSTEMD_SAYS_WHY,
    Completed,
    application_properties,
    command_unit,
    expanded,
    run_as,
    run_transient,
    transient_words,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_seal import ensure_directory


def graceful_timeout(app: Mapping[str, Any]) -> float:
    """Return how long the server lets requests in progress take when it stops (seconds)."""
    return float(servers.graceful_timeout(app.get("server", {})))


def ensure_base(layout: Layout, app: Mapping[str, Any], account: pwd.struct_passwd) -> None:
    """Make the directories that hold all releases, and the application's log directory."""
    os.makedirs(layout.shared, exist_ok=True)
    # A removal has closed what it kept: it stays closed until none of it belongs to a number that others may have now.
    adopt_data(layout.shared, account)
    for path in (layout.base, layout.releases, layout.venvs):
        os.makedirs(path, exist_ok=True)
        os.chown(path, 0, 0)
        os.chmod(path, 0o711)
    os.chown(layout.shared, account.pw_uid, account.pw_gid)
    os.chmod(layout.shared, 0o751)
    if app.get("log_dir"):
        os.makedirs(app["log_dir"], exist_ok=True)
        os.chown(app["log_dir"], account.pw_uid, _group("adm"))
        os.chmod(app["log_dir"], 0o2750)


def adopt_data(shared: str, account: pwd.struct_passwd) -> None:
    """Give the data of a removed application to the user it has now: an account made anew may have other numbers."""
    left = os.stat(shared)
    if left.st_uid in (0, account.pw_uid):
        return
    for _folder, folders, files, opened in os.fwalk(shared):
        for name in (*folders, *files):
            found = os.stat(name, dir_fd=opened, follow_symlinks=False)
            owner = account.pw_uid if found.st_uid == left.st_uid else -1
            group = account.pw_gid if found.st_gid == left.st_gid else -1
            os.chown(name, owner, group, dir_fd=opened, follow_symlinks=False)


def ensure_shared(layout: Layout, app: Mapping[str, Any], account: pwd.struct_passwd) -> None:
    """Make the shared directories; those that nginx serves belong to its group, and new files in them inherit it."""
    served = shared_served(app)
    for name in app.get("shared", []):
        path = relative_path(name, "a shared directory")
        if name in served:
            ensure_directory(layout.shared, path, account.pw_uid, _group(WEB_GROUP), 0o2750, links=False)
        else:
            ensure_directory(layout.shared, path, account.pw_uid, account.pw_gid, 0o750)


def link_shared(layout: Layout, app: Mapping[str, Any], release_id: str) -> None:
    """Link the shared directories into the release's source, and fill new ones with what the project tracks there."""
    source, seed = layout.source(release_id), f"{layout.release(release_id)}/seed"
    for name in app.get("shared", []):
        path = relative_path(name, "a shared directory")
        target = f"{layout.shared}/{path}"
        os.makedirs(os.path.dirname(f"{source}/{path}"), mode=0o751, exist_ok=True)
        os.symlink(target, f"{source}/{path}")
        if os.path.isdir(f"{seed}/{path}") and not os.listdir(target):
            # As the application: nothing that root does may follow a link in a directory that the application owns.
            copy = ["cp", "-R", "--no-preserve=all", f"{seed}/{path}/.", target]
            copied = run_as(app["user"], copy, umask=0o027)
            if copied.returncode != 0:
                raise ReleaseError("shared", f"the tracked files of {name} can't be copied to {target}", copied.stderr)


def run_commands(layout: Layout, app: Mapping[str, Any], release_id: str, release_commands: bool) -> None:
    """Check that the application can be imported, then run its once and, where wanted, before_switch commands.

    Raises ReleaseError.
    """
    if "credential" in app.get("handed", {}).values():
        _check_credentials(layout, app, release_id)
    words = servers.check_words(app["server"], layout.release(release_id))
    checked = run_application(layout, app, release_id, "check", words)
    if checked.returncode != 0:
        raise ReleaseError(
            "check", f"{app['server']['type']} can't load the application", checked.stdout + checked.stderr
        )
    commands = app.get("commands", {})
    for once in commands.get("once", []):
        if not os.path.lexists(_created_path(layout, release_id, once["creates"])):
            _run_command(layout, app, release_id, "once", once["run"])
            if not os.path.lexists(_created_path(layout, release_id, once["creates"])):
                raise ReleaseError(
                    "once", f"the command '{once['run']}' ended well but did not create {once['creates']}"
                )
    for command in commands.get("before_switch", []) if release_commands else []:
        _run_command(layout, app, release_id, "before_switch", command)


def _check_credentials(layout: Layout, app: Mapping[str, Any], release_id: str) -> None:
    """See that systemd hands credentials over: in a container whose mounts are private it fails without a word."""
    found = run_application(layout, app, release_id, "check", ["/bin/sh", "-c", 'test -d "$CREDENTIALS_DIRECTORY"'])
    if found.returncode != 0:
        raise ReleaseError(
            "check",
            "systemd hands no credentials to services on this host, as in containers whose /run is not a shared mount:"
            " write as: file, or run mount --make-shared /run at each boot, before any service",
            found.stdout + found.stderr,
        )


def application_command(layout: Layout, app: Mapping[str, Any], release_id: str) -> dict[str, Any]:
    """Return how one command runs as the application: user, directory, and the environment and sandbox as properties
    for systemd-run.
    """
    service = app.get("sandbox") or app["units"][f"{layout.app}@.service"]["Service"]
    directory = expanded(str(service.get("WorkingDirectory", layout.source(release_id))), release_id)
    return {
        "user": app["user"],
        "directory": directory,
        "properties": application_properties(service, release_id),
    }


def run_application(layout: Layout, app: Mapping[str, Any], release_id: str, step: str, argv: list[str]) -> Completed:
    """Run a program as the application, with its environment, limits and sandbox."""
    given = application_command(layout, app, release_id)
    unit, began = command_unit(layout.app, step), time.time()
    result = run_transient(unit, argv, given["properties"], given["directory"])
    # One that could not be started ends with 1, and has said nothing.
    silent = result.returncode != 0 and not (result.stdout + result.stderr).strip()
    if silent or result.returncode >= SYSTEMD_SAYS_WHY:
        result.stderr += transient_words(unit, began)
    return result


def _run_command(layout: Layout, app: Mapping[str, Any], release_id: str, step: str, command: str) -> None:
    result = run_application(layout, app, release_id, step, ["/bin/sh", "-c", command])
    if result.returncode != 0:
        raise ReleaseError(step, f"the command '{command}' failed ({result.returncode})", result.stdout + result.stderr)


def _created_path(layout: Layout, release_id: str, creates: str) -> str:
    """A path below shared/ (with or without that word in front: the source has a link to it) or in the source."""
    path = relative_path(creates, "creates")
    return f"{layout.base}/{path}" if path.startswith("shared/") else f"{layout.source(release_id)}/{path}"


def log_position(path: str) -> int:
    """Return the size of a log file now, 0 when there is none."""
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def log_since(path: str, position: int) -> str:
    """Return what was written to a log file since; the file is the application's, so no link is followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(min(position, end), end - 65536))
        return stream.read().decode(errors="replace")


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ReleaseError("accounts", f"the group {name} does not exist on this host (nginx brings it)") from None
