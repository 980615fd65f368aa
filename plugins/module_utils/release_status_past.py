# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an application's history says: since when a release is live, how the others ended, what failed.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]
# A program's output may hang on a problem; a status is no place for all of it.
LONGEST_PROBLEM = 2000


def went_live(history: Sequence[Entry], release: str) -> Entry | None:
    """Return the entry with which a release went live for the last time.

    A start of the release that was live anyway does not count, unless nothing else is known.
    """
    lived = _live(history)
    last = next((index for index in reversed(range(len(lived))) if lived[index]["release"] == release), None)
    if last is None:
        return None
    first = last
    while first > 0 and lived[first - 1]["release"] == release:
        first -= 1
    turns = [entry for entry in lived[first : last + 1] if entry.get("action") != "started"]
    return turns[-1] if turns else lived[first]


def replaced_by(history: Sequence[Entry], release: str) -> Entry | None:
    """Return the entry of the release that followed when this one was live for the last time, if any did."""
    following: Entry | None = None
    for entry in reversed(_live(history)):
        if entry["release"] == release:
            return following
        following = entry
    return None


def kept_releases(
    records: Mapping[str, Entry], history: Sequence[Entry], marks: Mapping[str, Any], live: str | None
) -> list[dict[str, Any]]:
    """Return the finished releases, the youngest first, each with how its time as the live one ended.

    ``ended`` is ``live`` (it has not), ``replaced``, ``rolled back``, ``stopped`` (nothing followed) or ``never live``.
    """
    kept = []
    for release, record in sorted(records.items(), reverse=True):
        begun, following = went_live(history, release), replaced_by(history, release)
        mark = marks.get(release)
        kept.append(
            {
                "id": release,
                **version_of(record, begun or {}),
                "created": record.get("created") or None,
                "by": record.get("by") or None,
                "live_from": begun.get("time") if begun else None,
                "live_until": following.get("time") if following and release != live else None,
                "ended": _ended(release, live, begun, following),
                "rolled_back": {key: mark.get(key) for key in ("time", "by", "to")}
                if isinstance(mark, Mapping)
                else None,
            }
        )
    return kept


def last_failures(history: Sequence[Entry], count: int = 3) -> list[dict[str, Any]]:
    """Return the last deploys that failed or were cut short, the newest first."""
    failed = [entry for entry in history if entry.get("outcome") in ("failed", "interrupted")]
    return [
        {
            "time": entry.get("time"),
            "release": entry.get("release"),
            "version": entry.get("asked") or entry.get("version") or None,
            "by": entry.get("by") or None,
            "outcome": entry["outcome"],
            "step": entry.get("step") or None,
            "problem": str(entry.get("problem") or "")[:LONGEST_PROBLEM] or None,
        }
        for entry in failed[::-1][:count]
    ]


def version_of(record: Entry, entry: Entry) -> dict[str, str | None]:
    """Return the version that the inventory asked for, and the commit or digest that it was."""
    source = record.get("source")
    source = source if isinstance(source, Mapping) else {}
    return {
        "asked": str(entry.get("asked") or source.get("version") or "") or None,
        "version": str(source.get("resolved") or entry.get("version") or "") or None,
    }


def probe_seconds(entry: Entry | None) -> float | None:
    """Return how long the release's first good answer took when it went live."""
    phases = (entry or {}).get("phases")
    seconds = phases.get("probe") if isinstance(phases, Mapping) else None
    return float(seconds) if isinstance(seconds, (int, float)) else None


def _live(history: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in history if entry.get("outcome") == "live" and entry.get("release")]


def _ended(release: str, live: str | None, begun: Entry | None, following: Entry | None) -> str:
    if release == live:
        return "live"
    if begun is None:
        return "never live"
    if following is None:
        return "stopped"
    return "rolled back" if following.get("action") == "rolled_back" else "replaced"
