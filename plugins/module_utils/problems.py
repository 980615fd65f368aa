# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with an inventory: collected, ordered and told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One fault.

    path     where, as keys joined by dots: ``flask_apps.blog.server.workers``
    text     what is wrong and what to do, in words for the person who wrote the inventory; never a secret's value
    rule     the name of the rule that was broken
    """

    path: str
    text: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class InventoryError(ValueError):
    """An inventory that can't be used; ``problems`` holds all that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        count = len(self.problems)
        head = f"{count} problem{'s' if count > 1 else ''} in the inventory, nothing was changed:"
        super().__init__("\n".join([head, *(f"- {problem}" for problem in self.problems)]))
