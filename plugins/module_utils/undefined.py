# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of an inventory that are not there: all of them are told at once, each by its place.

Ansible itself stops at the first one. A filter that accepts its markers turns each into an ``Undefined``, which the
plan takes out of what it checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import Problem

RULE = "undefined"
# Stands for a secret that is not there, so that its own checks have nothing to say of it.
STAND_IN = "flaskworks-stands-for-an-undefined-value"


@dataclass(frozen=True)
class Undefined:
    """A value that can't be had; ``why`` are Ansible's words, which name the variable."""

    why: str


def without_undefined(said: Any, path: str) -> tuple[Any, list[Problem]]:
    """Return the options of an application without what is undefined in them, and a problem for each of those."""
    problems: list[Problem] = []
    return _taken_out(said, path, path, problems), problems


def _taken_out(value: Any, path: str, root: str, problems: list[Problem]) -> Any:
    if isinstance(value, Undefined):
        secret = _is_secret(path, root)
        cure = "; put it into the vault, or have it made on the host with {generate: 50}" if secret else ""
        problems.append(Problem(path, f"has no value: {value.why.strip().rstrip('.')}{cure}", RULE))
        return STAND_IN if secret else None
    if isinstance(value, Mapping):
        return {key: _taken_out(item, f"{path}.{key}", root, problems) for key, item in value.items()}
    if isinstance(value, list):
        items = [_taken_out(item, f"{path}[{index}]", root, problems) for index, item in enumerate(value)]
        return [item for item, before in zip(items, value, strict=True) if not isinstance(before, Undefined)]
    return value


def _is_secret(path: str, root: str) -> bool:
    """Tell whether a path is that of a secret's value: ``secrets.NAME``, or ``secrets.NAME.value``."""
    parts = path.removeprefix(root).lstrip(".").split(".")
    return parts[0] == "secrets" and (len(parts) == 2 or parts[2:] == ["value"])
