# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a check of the doctor is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding

Facts = Mapping[str, Any]
Judge = Callable[[Facts], list[Finding]]


@dataclass(frozen=True)
class Check:
    """One check: its name, what it looks at and why, the facts that it needs, and who judges them; ``left_out`` says of
    what it could not look at, and why, an empty text when there is nothing.

    Its findings bear its name, or begin with it and a hyphen.
    """

    name: str
    looks_at: str
    why: str
    needs: tuple[str, ...]
    judge: Judge
    left_out: Callable[[Facts], str] = lambda facts: ""

    def owns(self, finding: Finding) -> bool:
        """Tell whether a finding is one of this check: one judge may serve several."""
        return finding.check == self.name or finding.check.startswith(f"{self.name}-")
