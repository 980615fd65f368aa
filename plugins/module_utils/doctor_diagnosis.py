# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From facts to findings, through all checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_check import Check
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_checks import CHECKS
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding, ordered


def diagnose(facts: Mapping[str, Any]) -> tuple[list[Finding], list[dict[str, str]]]:
    """Return all findings, and the checks whose facts are not known, or not all, each with ``check`` and ``why``.

    ``facts["missing"]``: key of a fact -> why it is not known.
    """
    found: list[Finding] = []
    unchecked: list[dict[str, str]] = []
    for check in CHECKS:
        missing = [key for key in check.needs if key in facts["missing"]]
        if missing:
            unchecked.append({"check": check.name, "why": facts["missing"][missing[0]]})
            continue
        judged, reasons = _judged(check, facts)
        found += judged
        unchecked += reasons
    for name, said in sorted(facts.get("apps", {}).items()):
        unchecked += [{"check": f"{name}: {what}", "why": why} for what, why in (said.get("missing") or {}).items()]
    return ordered(found), unchecked


def _judged(check: Check, facts: Mapping[str, Any]) -> tuple[list[Finding], list[dict[str, str]]]:
    """Return the findings of a check, and what it can't judge: no application hides what is wrong elsewhere."""
    apps = facts["apps"] if "apps" in check.needs else {}
    found, left_out, failure = _tried(check, facts)
    failures: dict[str, str] = {}
    if failure and apps:
        failures = {name: _tried(check, {**facts, "apps": {name: said}})[2] for name, said in apps.items()}
        good = {name: said for name, said in apps.items() if not failures[name]}
        found, left_out, failure = _tried(check, {**facts, "apps": good})
    unchecked = [
        {"check": f"{name}: {check.name}" if name else check.name, "why": f"its facts can't be judged ({why})"}
        for name, why in sorted({**failures, "": failure}.items())
        if why
    ]
    return found, unchecked + ([{"check": check.name, "why": left_out}] if left_out else [])


def _tried(check: Check, facts: Mapping[str, Any]) -> tuple[list[Finding], str, str]:
    """Return the findings of a check, what it left out, and the kind of error with which it ended, or nothing."""
    try:
        return [one for one in check.judge(facts) if check.owns(one)], check.left_out(facts), ""
    except Exception as error:  # pylint: disable=broad-except
        # Its words may hold what was read.
        return [], "", type(error).__name__
