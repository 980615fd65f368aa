# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings of other parts of the collection, which know best what is wrong with their own: pure, as all judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.docker_ports import docker_findings
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_findings import sandbox_findings

Facts = Mapping[str, Any]


def sandbox(facts: Facts) -> list[Finding]:
    """What an application said that it needs beyond its sandbox and its limits, once for each remedy."""
    return [
        finding
        for app, said in facts["apps"].items()
        for finding in sandbox_findings(
            app, said.get("lines") or [], said.get("service") or {}, said.get("system") or []
        )
    ]


def docker(facts: Facts) -> list[Finding]:
    """Ports of containers that others reach although the firewall does not let them."""
    firewall = facts["firewall"]
    return docker_findings(facts["docker"], firewall["active"], firewall["rules"])
