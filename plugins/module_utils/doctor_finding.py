# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a check of the doctor found. Pure; whatever judges facts returns a list of these."""

from __future__ import annotations

from dataclasses import asdict, dataclass

# The worst first. error: something does not work, or is open to others. warning: it will fail, or it is weaker than it
# needs to be. info: worth knowing, and fine for somebody who wants it so.
LEVELS = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong on a host, in words for people. No field ever holds a secret.

    Attributes:
        level: one of LEVELS.
        app: the application it is about; "" for the host.
        check: name of the check in kebab-case, as in the table of docs/doctor.md.
        evidence: what was seen, with the numbers and names that prove it; one sentence without a full stop.
        fix: what to do, with the key of the inventory or the command; one sentence without a full stop.
    """

    level: str
    app: str
    check: str
    evidence: str
    fix: str

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level {self.level!r} of check {self.check!r} is none of {', '.join(LEVELS)}")

    @property
    def rank(self) -> int:
        """The place of its level: 0 is the worst."""
        return LEVELS.index(self.level)

    def data(self) -> dict[str, str]:
        """Return the finding as plain data, for a module's result."""
        return asdict(self)


def ordered(findings: list[Finding]) -> list[Finding]:
    """Return findings without repetitions: the host's before the applications', the worst first, then by check."""
    return sorted(set(findings), key=lambda one: (one.app, one.rank, one.check, one.evidence))
