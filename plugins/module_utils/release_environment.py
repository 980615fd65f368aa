# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text of a file for systemd's EnvironmentFile=, for any value.

Rules of systemd's parser (src/basic/env-file.c, the same in 252 and 257): inside double quotes a backslash takes the
special meaning from the four characters ``" \\ ` $`` and joins lines before a line break; everything else, line
breaks included,
stands for itself. The text must be UTF-8, and neither specifiers (%) nor variables are expanded in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_SPECIAL = re.compile(r'(["\\`$])')


def environment_problems(variables: Mapping[str, str]) -> list[str]:
    """Return one sentence for each variable that no process environment could hold; values are never quoted."""
    problems = []
    for name, value in variables.items():
        if not _NAME.match(name):
            problems.append(f"{name!r} is no name of an environment variable")
        elif "\0" in value:
            problems.append(f"the value of {name} holds a NUL byte")
        elif any("\ud800" <= character <= "\udfff" for character in value):
            problems.append(f"the value of {name} is not valid Unicode")
    return problems


def environment_text(variables: Mapping[str, str]) -> str:
    """Return the file's text, one assignment per variable, sorted by name. Raises ValueError for impossible ones."""
    problems = environment_problems(variables)
    if problems:
        raise ValueError("; ".join(problems))
    return "".join(f'{name}="{_SPECIAL.sub(_escaped, value)}"\n' for name, value in sorted(variables.items()))


def read_environment(text: str) -> dict[str, str]:
    """Return the variables of a text that environment_text() made."""
    found = re.findall(r'^([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"$', text, re.MULTILINE | re.DOTALL)
    return {name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for name, value in found}


def _escaped(matched: re.Match[str]) -> str:
    return "\\" + matched.group(1)
