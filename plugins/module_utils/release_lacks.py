# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a release that died lacked of its sandbox or its limits, for the report of the failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_findings import sandbox_findings
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import read_service

# The steps that run the application in its own sandbox; a build has another.
_COMMANDS = ("check", "once", "before_switch")
_SERVICES = ("start", "probe", "processes", "timers")


def lacking(layout: Layout, app: Mapping[str, Any], release_id: str, error: ReleaseError, words: str) -> list[str]:
    """Return one sentence for each cure; ``words`` is what the unit said beside the error's own output."""
    # Under another process manager systemd runs the commands alone.
    if error.step not in (_COMMANDS if app.get("sandbox") else (*_COMMANDS, *_SERVICES)):
        return []
    lines = [*error.output.splitlines(), *words.splitlines()]
    found = sandbox_findings(layout.app, lines, service_of(layout, app, release_id))
    return [finding.fix for finding in found]


def service_of(layout: Layout, app: Mapping[str, Any], release_id: str) -> Mapping[str, Any]:
    """Return the [Service] section in which the commands and the server of a release run; {} when none is known."""
    unit = app.get("units", {}).get(f"{layout.app}@.service", {})
    given: Mapping[str, Any] = app.get("sandbox") or unit.get("Service", {})
    if given:
        return given
    try:
        with open(f"{layout.units(release_id)}/{layout.service(release_id)}", encoding="utf-8") as stream:
            return read_service(stream.read())
    except (OSError, UnicodeDecodeError):
        return {}
