# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where an application's directories lie on the host. Pure."""

from __future__ import annotations

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import SITES_DIRECTORY


def base_of(name: str) -> str:
    """Return the directory of an application."""
    return f"/srv/{name}"


def logs_of(name: str) -> str:
    """Return the directory of an application's logs."""
    return f"/var/log/{name}"


def logs_to_files(entry: Entry) -> bool:
    """Tell whether an application's logs are files; else they go to systemd's journal."""
    return bool(entry["logs"]["to"] == "file")


def own_nginx_files(name: str) -> str:
    """Return the directory whose ``*.conf`` an application's site reads, for what is the host's own state."""
    return f"{SITES_DIRECTORY}/{name}"
