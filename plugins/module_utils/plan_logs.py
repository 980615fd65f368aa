# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rotation of the logs of applications, for the role logrotate_policies."""

from __future__ import annotations

from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_paths import base_of, logs_of, logs_to_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import SUPERVISOR_LOGS


def policies(entries: dict[str, Entry]) -> dict[str, dict[str, Any]]:
    """Return the rotation of all logs, for the role logrotate_policies."""
    found = {name: policy(name, entry) for name, entry in entries.items()}
    made = {name: found[name] for name, entry in entries.items() if logs_to_files(entry)}
    for name, entry in entries.items():
        if entry["process_manager"] == "supervisor":
            # No application has a dot in its name.
            made[f"{name}.supervisor"] = {
                **{key: found[name][key] for key in ("frequency", "rotate", "compress", "maxsize", "method")},
                "paths": [f"{SUPERVISOR_LOGS}/{name}/*.log"],
                "create": "0640 root adm",
                # It opens the logs of all its programs again. A rotation without it is no error.
                "postrotate": [
                    "! systemctl --quiet is-active supervisor.service"
                    " || systemctl kill --signal=USR2 --kill-whom=main supervisor.service"
                ],
            }
    return made


def policy(name: str, entry: Entry) -> dict[str, Any]:
    """Return the rotation of an application's logs, for the role logrotate_policies."""
    logs = entry["logs"]
    return {
        "paths": [f"{logs_of(name)}/*.log"],
        "frequency": logs["frequency"],
        "rotate": logs["rotate"],
        "compress": logs["compress"],
        "maxsize": logs["maxsize"],
        # The directory is the application's, and its group adm's (setgid): root follows no link in it.
        "su": f"{name} adm",
        "create": f"0640 {name} adm",
        "method": "reopen",
        # Every instance, the one that drains too; none at all is no error.
        "postrotate": [
            f"systemctl kill --signal=USR1 --kill-whom=main '{name}@*.service'",
            # Under supervisor and cron, as the application: root signals nobody whose number an application wrote down.
            f"for launch in {base_of(name)}/releases/*/launch; do"
            f' test ! -e "$launch" || runuser -u {name} -- "$launch" reopen; done',
        ],
    }
