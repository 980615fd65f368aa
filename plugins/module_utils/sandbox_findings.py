# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an application needs beyond its sandbox and its limits, read from what it said. Pure: lines in, findings out.

A sentence ends with the very words to write into the inventory. Whether a directive is to blame is known from the unit
itself: without it, the same words of a program mean something else, and nothing is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_presets import words_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_rules import (
    PROGRAM_RULES,
    RULES,
    SYSTEM_RULES,
    Rule,
    Said,
)

_LONGEST = 200
# Characters of a line that are looked at: an application may write megabytes without a line break.
_LOOKED_AT = 2000


def sandbox_findings(
    app: str, journal_lines: Iterable[str], settings: Mapping[str, Any], system: Iterable[str] | None = None
) -> list[Finding]:
    """Return what the application needs, once for each cure, in the order in which it was said, first by systemd.

    ``settings``: the [Service] section of its unit, with values as text, boolean or lists (``read_service``).
    ``system``: what systemd said itself. Its sentences are believed of nobody else then: an application may repeat what
    a visitor sends.
    """
    service = {name: words_of(value) for name, value in settings.items()}
    parts: list[tuple[Iterable[str], Sequence[Rule]]] = [(journal_lines, RULES)]
    if system is not None:
        parts = [(system, SYSTEM_RULES), (journal_lines, PROGRAM_RULES)]
    found: dict[str, Finding] = {}
    for part, rules in parts:
        lines = [line[:_LOOKED_AT] for line in part]
        for number, line in enumerate(lines):
            for check, evidence, fix in _matches(line, Said(app, service, lines, number), rules):
                found.setdefault(fix, Finding("error", app, check, evidence, fix))
    return list(found.values())


def _matches(line: str, said: Said, rules: Iterable[Rule]) -> Iterator[tuple[str, str, str]]:
    for check, pattern, fix_of in rules:
        if (matched := pattern.search(line)) and (fix := fix_of(matched, said)):
            # What matched, and not the line: an application may say secrets in it.
            yield check, f"it said: {matched[0].strip()[:_LONGEST]}", fix
