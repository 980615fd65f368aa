# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A diagnosis as text for people. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import LEVELS
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import clean

Said = Mapping[str, Any]
KEYS = ("time", "apps", "checks", "worst", "findings", "unchecked")


def plain_diagnosis(said: Said) -> dict[str, Any]:
    """Return what the module returned, without what Ansible adds; ``{"error": text}`` when it returned nothing."""
    if "findings" in said:
        return {key: said[key] for key in KEYS if key in said}
    return {"error": str(said.get("error") or said.get("msg") or "it was not asked")}


def report(hosts: Mapping[str, Said]) -> str:
    """Return what there is to say of hosts: name -> what ``plain_diagnosis`` returns."""
    return "\n\n".join("\n".join(_about(host, said)) for host, said in hosts.items())


def counted(findings: list[Said]) -> str:
    """Return how many findings there are of each level, in words."""
    numbers = {level: sum(1 for one in findings if one["level"] == level) for level in LEVELS}
    words = {"error": "errors", "warning": "warnings", "info": "remarks"}
    one = {"error": "error", "warning": "warning", "info": "remark"}
    parts = [f"{count} {one[level] if count == 1 else words[level]}" for level, count in numbers.items() if count]
    return ", ".join(parts) or "nothing found"


def _about(host: str, said: Said) -> list[str]:
    if said.get("error"):
        return [f"{clean(host)}: unknown: {clean(said['error'])}"]
    findings = said["findings"]
    apps = said.get("apps") or []
    looked = f"{said['checks']} checks" + (f"; {', '.join(map(clean, apps))}" if apps else "; no application")
    lines = [f"{clean(host)}: {counted(findings)} ({looked})"]
    for app in ["", *apps]:
        own = [finding for finding in findings if finding["app"] == app]
        if not findings:
            break
        lines.append(f"  {clean(app) or 'the host'}: {counted(own) if own else 'nothing found'}")
        for finding in own:
            lines.append(f"    {finding['level']:<8} {clean(finding['check'])}: {clean(finding['evidence'])}")
            lines.append(f"    {'':<8} fix: {clean(finding['fix'])}")
    if unchecked := said.get("unchecked"):
        lines.append("  not looked at:")
        lines += [f"    {clean(item['check'])}: {clean(item['why'])}" for item in unchecked]
    return lines
