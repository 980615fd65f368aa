# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From facts to findings, through all checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_checks import CHECKS
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding, ordered


def diagnose(facts: Mapping[str, Any]) -> tuple[list[Finding], list[dict[str, str]]]:
    """Return all findings, and the checks whose facts are not known, or not all, each with ``check`` and ``why``.

    ``facts["missing"]``: key of a fact -> why it is not known.
    """
    found: list[Finding] = []
    unchecked = []
    for check in CHECKS:
        missing = [key for key in check.needs if key in facts["missing"]]
        if missing:
            unchecked.append({"check": check.name, "why": facts["missing"][missing[0]]})
        else:
            found += [finding for finding in check.judge(facts) if check.owns(finding)]
            if why := check.left_out(facts):
                unchecked.append({"check": check.name, "why": why})
    for name, said in sorted(facts.get("apps", {}).items()):
        unchecked += [{"check": f"{name}: {what}", "why": why} for what, why in (said.get("missing") or {}).items()]
    return ordered(found), unchecked
