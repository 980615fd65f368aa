# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text of systemd units from plain data.

A unit is ``{section: {directive: value}}``. A value is text, a number, a boolean (written ``yes`` or ``no``) or a list
of those (the directive is repeated; an empty string as first element resets what systemd had before).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import closest

Scalar: TypeAlias = "str | int | bool"
Value: TypeAlias = "Scalar | Sequence[Scalar]"
Sections = Mapping[str, Mapping[str, Value]]

SECTIONS = ("Unit", "Service", "Socket", "Timer", "Path", "Mount", "Automount", "Swap", "Slice", "Scope", "Install")

# The section that belongs to each suffix, besides [Unit] and [Install] (systemd.unit(5)).
SUFFIXES = MappingProxyType(
    {
        "service": "Service",
        "socket": "Socket",
        "timer": "Timer",
        "path": "Path",
        "mount": "Mount",
        "automount": "Automount",
        "swap": "Swap",
        "slice": "Slice",
        "target": None,
    }
)

# Directives with one home. systemd ignores them elsewhere with a log line nobody reads, and some (StartLimitInterval in
# [Service]) work only for compatibility with old units (systemd.unit(5)).
_HOMES = {
    **dict.fromkeys(
        (
            "Description",
            "Documentation",
            "Wants",
            "Requires",
            "Requisite",
            "BindsTo",
            "PartOf",
            "Upholds",
            "Conflicts",
            "Before",
            "After",
            "OnFailure",
            "OnSuccess",
            "RequiresMountsFor",
            "DefaultDependencies",
            "StopWhenUnneeded",
            "RefuseManualStart",
            "RefuseManualStop",
            "StartLimitInterval",
            "StartLimitIntervalSec",
            "StartLimitBurst",
            "StartLimitAction",
            "FailureAction",
            "SuccessAction",
        ),
        "Unit",
    ),
    **dict.fromkeys(("WantedBy", "RequiredBy", "UpheldBy", "Also", "Alias", "DefaultInstance"), "Install"),
    **dict.fromkeys(
        (
            "Type",
            "ExecStart",
            "ExecReload",
            "ExecStop",
            "Restart",
            "RestartSec",
            "NotifyAccess",
            "WatchdogSec",
            "Sockets",
            "PIDFile",
            "SuccessExitStatus",
        ),
        "Service",
    ),
    **dict.fromkeys(
        ("ListenStream", "ListenDatagram", "SocketUser", "SocketGroup", "SocketMode", "RemoveOnStop", "Accept"),
        "Socket",
    ),
    **dict.fromkeys(("OnCalendar", "OnBootSec", "OnUnitActiveSec", "Persistent", "RandomizedDelaySec"), "Timer"),
}

_DIRECTIVE = re.compile(r"^(X-)?[A-Za-z][A-Za-z0-9]*$")
_UNIT_NAME = re.compile(r"^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.([a-z]+)$")
_FREE_TEXT = {"Description", "Documentation"}


class UnitError(ValueError):
    """A unit that can't be written; ``problems`` holds one sentence per fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def merge_sections(base: Sections, override: Mapping[str, Mapping[str, Value | None]]) -> dict[str, dict[str, Value]]:
    """Return ``base`` with the directives of ``override`` put over it; neither is changed.

    A directive is replaced as a whole, lists too. ``None`` removes it.
    """
    merged: dict[str, dict[str, Value]] = {section: dict(directives) for section, directives in base.items()}
    for section, directives in override.items():
        target = merged.setdefault(section, {})
        for name, value in directives.items():
            if value is None:
                target.pop(name, None)
            else:
                target[name] = value
    return {section: directives for section, directives in merged.items() if directives}


def check_unit_name(name: str) -> list[str]:
    """Return what is wrong with a unit's file name (a name without a known suffix, a path, an instance is fine)."""
    matched = _UNIT_NAME.match(name)
    if not matched:
        return [f"'{name}' is not a unit name: write it with its suffix, like blog.service"]
    if matched.group(2) not in SUFFIXES:
        return [f"'{name}' ends in none of the suffixes that systemd reads: .{', .'.join(SUFFIXES)}"]
    return []


def check_unit(sections: Sections, name: str = "") -> list[str]:
    """Return one sentence for each fault of a unit; an empty list when it can be written.

    With ``name`` it is also checked that the sections belong to its suffix: systemd ignores a [Service] in a .socket.
    """
    problems = check_unit_name(name) if name else []
    own = SUFFIXES.get(name.rpartition(".")[2])
    for section, directives in sections.items():
        if section not in SECTIONS and not section.startswith("X-"):
            problems.append(f"[{section}] is no section of a unit{_hint(section, SECTIONS)}")
            continue
        if name and not problems and not (section in ("Unit", "Install", own) or section.startswith("X-")):
            problems.append(f"[{section}] means nothing in {name}")
        if not isinstance(directives, Mapping):
            problems.append(f"[{section}] must be a dictionary of directives")
            continue
        for directive, value in directives.items():
            problems.extend(
                f"[{section}] {directive}: {fault}" for fault in _check_directive(section, directive, value)
            )
    return problems


def render_unit(sections: Sections, name: str = "") -> str:
    """Return the text of a unit file. Raises UnitError with all faults."""
    problems = check_unit(sections, name)
    if problems:
        raise UnitError(problems)
    order = [section for section in SECTIONS if section in sections]
    order += [section for section in sections if section not in order]
    blocks = []
    for section in order:
        lines = [f"[{section}]"]
        for directive, value in sections[section].items():
            lines += [f"{directive}={_text(item)}" for item in _items(value)]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _items(value: Value) -> list[Scalar]:
    return [value] if isinstance(value, (str, int, bool)) else list(value)


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).strip()


def _check_directive(section: str, directive: str, value: Any) -> list[str]:
    if not _DIRECTIVE.match(str(directive)):
        return ["a directive's name has only letters and digits"]
    home = _HOMES.get(directive)
    if home and home != section and not section.startswith("X-"):
        return [f"belongs in [{home}]; systemd ignores it here"]
    if home is None and (close := _near_directive(directive)):
        return [f"is no directive{close}"]
    if not isinstance(value, (str, int, float, bool, list, tuple)):
        return ["must be text, a number, a boolean or a list of those"]
    faults = []
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(item, (bool, int)):
            continue
        if not isinstance(item, str):
            faults.append(f"{item!r} must be written as text")
        elif re.search(r"[\n\r\0]", item):
            faults.append("a value has no line breaks: give a list to repeat the directive")
        elif item.endswith("\\"):
            faults.append("a backslash at the end would swallow the next line")
        elif directive not in _FREE_TEXT and _has_comment(item):
            faults.append("systemd knows no comments after a value: the text behind # would become part of it")
    return faults


def _has_comment(value: str) -> bool:
    """Tell whether an unquoted word starts with ``#``."""
    unquoted = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'', "Q", value)
    return bool(re.search(r"(^|\s)#", unquoted))


@functools.cache
def _near_directive(directive: str) -> str:
    """Comparing with all directives is slow, and many applications ask for the same few again and again."""
    return _hint(directive, _HOMES, cutoff=0.93)


def _hint(word: str, known: Any, cutoff: float = 0.6) -> str:
    near = closest(word, known, cutoff)
    return f" (did you mean {near}?)" if near else ""
