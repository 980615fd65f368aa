# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From checked entries of systemd_units to unit files and the states that the units are to have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import Problem
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import UNIT_DIRECTORY
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import PRESETS
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import (
    check_unit,
    merge_sections,
    render_unit,
)

Entry = Mapping[str, Any]

_HEAD = "# Written by the role flaskworks.deploy.systemd_units; changes made here are overwritten.\n"


def check_units(units: Mapping[str, Entry], variable: str = "systemd_units") -> list[Problem]:
    """Return all that is wrong with the units."""
    problems = []
    for name, unit in units.items():
        place = f"{variable}.{name}"
        faults = check_unit(_sections(unit), name)
        if unit["hardening"] != "none" and not name.endswith(".service"):
            faults.append("hardening is for services: remove it here")
        if "@." in name:
            if unit["enabled"] or unit["active"]:
                faults.append("is a template, which can't be enabled or run itself: name an instance of it")
        elif unit["enabled"] and "Install" not in unit["sections"]:
            faults.append("can't be enabled without an [Install] section: add WantedBy, or remove enabled")
        problems += [Problem(place, fault, "systemd-unit") for fault in faults]
    return problems


def unit_set(units: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """Return ``{"files": ..., "units": ...}``, as file_set takes them, for units that check_units found right."""
    files = {
        f"{UNIT_DIRECTORY}/{name}": {"content": _HEAD + render_unit(_sections(unit), name)}
        for name, unit in units.items()
    }
    states = {name: _state(unit) for name, unit in units.items() if "@." not in name}
    return {"files": files, "units": states}


def _sections(unit: Entry) -> Any:
    preset = PRESETS.get(unit["hardening"])
    base = {"Service": preset} if preset else {}
    given = {section: directives for section, directives in unit["sections"].items() if isinstance(directives, Mapping)}
    others = {section: directives for section, directives in unit["sections"].items() if section not in given}
    return {**merge_sections(base, given), **others}


def _state(unit: Entry) -> dict[str, Any]:
    """Return the wanted state. What nobody asked for stays open: a timer's service rests between two runs."""
    state = {"on_change": unit["on_change"]}
    if "Install" in unit["sections"]:
        state["enabled"] = unit["enabled"] is not False
    active = unit["active"] if unit["active"] is not None else state.get("enabled")
    return state if active is None else {**state, "active": active}
