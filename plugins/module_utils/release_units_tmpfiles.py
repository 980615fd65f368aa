# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The runtime directory of a release whose process manager has no sockets: an entry of tmpfiles.d(5).

``/run/<app>`` stays root's. Below it ``<id>/`` is the application's, which makes its socket there, and ``<id>.sock``
is root's link to that.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_instances import RUN, Instance
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import WEB_GROUP
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run

DIRECTORY = "/etc/tmpfiles.d"


def path_of(name: str) -> str:
    """Return where an entry lies: tmpfiles.d(5) reads nothing but *.conf."""
    return f"{DIRECTORY}/{name.removesuffix('.tmpfiles')}.conf"


def found(app: str) -> list[str]:
    """Return the application's own entries on the host."""
    paths = glob.glob(f"{DIRECTORY}/{app}@*.conf")
    return [os.path.basename(path).removesuffix(".conf") + ".tmpfiles" for path in paths]


def text(name: str, sections: Mapping[str, Any]) -> str:
    """Return the text of an entry: ``Runtime`` names the ``user`` and, where there is one, root's ``log_dir``."""
    runtime, app = sections["Runtime"], name.partition("@")[0]
    # The group is inherited by the socket, through which nginx reaches the server.
    lines = [
        f"d {RUN}/{app} 0755 root root -",
        f"d {RUN}/{app}/%i 2750 {runtime['user']} {WEB_GROUP} -",
        f"L {RUN}/{app}/%i.sock - - - - %i/sock",
    ]
    if runtime.get("log_dir"):
        lines.append(f"d {runtime['log_dir']} 0750 root adm -")
    return "# Written by flaskworks.deploy for one release; it goes with it.\n" + "".join(f"{line}\n" for line in lines)


def instance_text(template: str, release_id: str) -> str:
    """Return the text of one release's entry."""
    return template.replace("%i", release_id)


def load(names: Sequence[str]) -> None:
    """Make what the entries say. Raises ReleaseError."""
    made = run(["systemd-tmpfiles", "--create", *map(path_of, names)])
    if made.returncode != 0:
        raise ReleaseError("units", "the directory of the release below /run can't be made", made.stderr)


def show(names: Collection[str]) -> dict[str, dict[str, str]]:
    """Return unit -> property -> value: active as long as the directory is there."""
    shown = {}
    for name in names:
        there = os.path.isdir(directory := Instance.of_unit(name).directory) and os.path.islink(f"{directory}.sock")
        shown[name] = {
            "Id": name,
            "ActiveState": "active" if there else "inactive",
            "UnitFileState": "enabled" if os.path.exists(path_of(name)) else "",
        }
    return shown


def start(names: Sequence[str], step: str) -> None:
    """Make the directories again, should they be gone. Raises ReleaseError."""
    load(names)


def enable(names: Sequence[str]) -> None:
    """Nothing: what lies in the directory of entries is there at boot."""


def stop(names: Collection[str]) -> None:
    """Nothing: the directory goes with its entry."""


def stop_soon(names: Collection[str]) -> None:
    """Nothing."""


def remove(names: Collection[str]) -> None:
    """Delete the entries and what they made."""
    for name in names:
        directory = Instance.of_unit(name).directory
        for path in (path_of(name), f"{directory}.sock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        # It can't be led astray: the directory itself lies in one of root's, and links below it are not followed.
        shutil.rmtree(directory, ignore_errors=True)


def log_words(names: Collection[str], lines: int | None, since: float | None, follows: bool) -> list[list[str]]:
    """Return nothing: a directory has nothing to say."""
    return []
