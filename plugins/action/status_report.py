# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows a status on the controller's terminal, as it is, and keeps it in a file there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.status_report import plain_status, report
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.reports import ReportAction


class ActionModule(ReportAction):
    """Runs nothing on a host."""

    KIND = "status"
    FORM = "table"

    def plain(self, said: Mapping[str, Any]) -> dict[str, Any]:
        return plain_status(said)

    def report(self, hosts: Mapping[str, Any]) -> str:
        return report(hosts)
