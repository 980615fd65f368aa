# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ways to take an application off the host."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import remove_entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_cache import build_cache
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import (
    other_owner,
    owner_apps,
    record_owner,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_lock import lock_path, locked
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import stop_commands
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    installed_instances,
    release_units,
    remove_units,
)


def stop_unlisted(owner: str, names: list[str], who: str) -> list[dict[str, Any]]:
    """Stop and disable applications that their owner no longer lists; their files stay."""
    stopped = []
    for name in names:
        with locked(Layout(name, f"/srv/{name}"), who):
            for release_id, units in installed_instances(name).items():
                remove_units({*units, *release_units(Layout(name, f"/srv/{name}"), release_id)})
            record_owner(owner, name, "stopped")
            stopped.append({"app": name, "action": "stopped", "release": None, "reason": ["no longer listed"]})
    return stopped


def unlisted(owner: str, listed: set[str]) -> list[str]:
    """Return the applications of an owner that run and are no longer listed."""
    return sorted(name for name, state in owner_apps(owner).items() if state == "active" and name not in listed)


def remains(layout: Layout, log_dir: str, keep_data: bool) -> list[str]:
    """Return the paths that removing the application would delete."""
    paths = [
        layout.releases,
        layout.venvs,
        layout.mirror,
        layout.archives,
        layout.wheels,
        layout.current,
        layout.history,
    ]
    paths += [layout.previous, layout.journal, layout.marks, build_cache(layout.app)]
    if not keep_data:
        paths += [layout.shared, layout.secrets, log_dir]
        paths.append(layout.base)
    elif os.path.isdir(layout.base) and not (os.path.isdir(layout.shared) or os.path.isdir(layout.secrets)):
        paths.append(layout.base)
    return [path for path in paths if os.path.lexists(path)]


def all_units(layout: Layout) -> set[str]:
    """Return the units of all releases that are on the host."""
    found = installed_instances(layout.app).items()
    return {unit for release_id, names in found for unit in {*names, *release_units(layout, release_id)}}


def remove(name: str, base: str, log_dir: str, owner: str, keep_data: bool, who: str, predict: bool) -> dict[str, Any]:
    """Take an application off the host: units, releases, environments; its shared/, its own secrets and its
    logs too when not kept.
    """
    layout = Layout(name, base)
    units = all_units(layout)
    paths = remains(layout, log_dir, keep_data)
    if (foreign := other_owner(owner, name)) is not None:
        raise ReleaseError("definition", f"the application {name} belongs to another owner on this host: {foreign}")
    listed = name in owner_apps(owner)
    result = {
        "app": name,
        "action": "removed" if units or paths or listed else "none",
        "removed": sorted([*units, *paths]),
    }
    if predict or result["action"] == "none":
        return result
    with locked(layout, who):
        stop_commands(name)
        # Seen anew: a deploy may have been waited for.
        remove_units(all_units(layout))
        for path in remains(layout, log_dir, keep_data):
            remove_entry(path)
        if listed:
            record_owner(owner, name, None)
    with contextlib.suppress(OSError):
        os.unlink(lock_path(name))
        os.rmdir(f"/run/{name}")
    return result
