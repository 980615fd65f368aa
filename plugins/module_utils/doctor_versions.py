# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a version of Python is one that a project accepts (its ``requires-python``). Pure functions."""

from __future__ import annotations

import re

Numbers = tuple[int, ...]
_CLAUSE = re.compile(r"^(~=|==|!=|<=|>=|<|>)\s*v?(\d+(?:\.\d+)*)(\.\*)?[A-Za-z0-9.+-]*$")


def numbers(version: str) -> Numbers:
    """Return the numbers at the beginning of a version: ``3.13.5+`` gives (3, 13, 5)."""
    matched = re.match(r"\d+(?:\.\d+)*", version.strip())
    return tuple(int(part) for part in matched[0].split(".")) if matched else ()


def accepts(wanted: str, version: str) -> bool | None:
    """Tell whether a specifier such as ``>=3.10,<4`` takes a version; None for what can't be understood.

    The rules are those of the specification of version specifiers (packaging.python.org) for final releases: other
    parts of a version do not occur in an interpreter that Debian ships.
    """
    there = numbers(version)
    clauses = [clause.strip() for clause in wanted.split(",") if clause.strip()]
    matched = [_CLAUSE.match(clause) for clause in clauses]
    if not there or not clauses or None in matched:
        return None
    return all(_holds(found[1], numbers(found[2]), bool(found[3]), there) for found in matched if found)


def _holds(operator: str, limit: Numbers, prefix: bool, there: Numbers) -> bool:
    if prefix:
        same = _padded(there, len(limit))[: len(limit)] == limit
        return same if operator == "==" else not same
    size = max(len(limit), len(there))
    left, right = _padded(there, size), _padded(limit, size)
    if operator == "~=":
        return left >= right and left[: len(limit) - 1] == limit[:-1]
    return {
        "==": left == right,
        "!=": left != right,
        "<=": left <= right,
        ">=": left >= right,
        "<": left < right,
        ">": left > right,
    }[operator]


def _padded(version: Numbers, size: int) -> Numbers:
    return version + (0,) * (size - len(version))
