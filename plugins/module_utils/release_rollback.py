# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which release a rollback means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import (
    finished_releases,
    previous_good,
    read_history,
    read_marks,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_inspect import (
    Finding,
    is_intact,
    not_running,
    record_facts,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import read_journal


def choose(layout: Layout, asked: str) -> Mapping[str, Any]:
    """Return the record of the release that is meant: ``asked`` by its id or a part of it, or else the previous good
    one. Raises ReleaseError.
    """
    if not os.path.isdir(layout.releases):
        raise ReleaseError("rollback", f"{layout.app} has no releases on this host: there is nothing to go back to")
    finished = finished_releases(layout)
    live, marks = layout.live(), read_marks(layout)
    kept = _listed(finished, live, marks)
    if asked:
        found = [release_id for release_id in finished if asked in release_id]
        if len(found) != 1:
            what = f"fits {len(found)} kept releases" if found else "is no kept release"
            raise ReleaseError("rollback", f"{asked!r} {what} of {layout.app}; there are:\n{kept}")
        return finished[found[0]]
    good = previous_good(read_history(layout), live, finished, marks)
    if good is None:
        raise ReleaseError(
            "rollback",
            f"{layout.app} has no earlier good release; there are:\n{kept}\nName one with -e release=ID, or deploy.",
        )
    return finished[good]


def unfinished(layout: Layout) -> str:
    """Return the release that an interrupted rollback has brought live already, or an empty text: the next rollback
    finishes that one and goes no further.
    """
    journal = read_journal(layout)
    live = layout.live()
    return str(live) if journal.get("action") == "rollback" and journal.get("release") == live else ""


def plan_rollback(layout: Layout, asked: str) -> tuple[Finding, Mapping[str, Any]]:
    """Return what a rollback does, and the record of its release. Raises ReleaseError when that can't be used."""
    record = choose(layout, asked)
    release_id, live = str(record["id"]), layout.live()
    version = str(record.get("source", {}).get("resolved", ""))
    before = finished_releases(layout).get(live or "", {})
    finding = Finding(
        layout.app, "rollback", version, release_id, live, before=record_facts(before), after=record_facts(record)
    )
    if not is_intact(layout, record, thoroughly=True):
        raise ReleaseError(
            "rollback",
            f"release {release_id} of {layout.app} was changed on the host since it was sealed: name another",
        )
    if release_id == live:
        finding.reason = not_running(layout, release_id)
        if not finding.reason:
            finding.action = "none"
        return finding, record
    finding.reason = [f"back from {live}" if live and (not asked or release_id < live) else f"on from {live}"]
    return finding, record


def _listed(finished: Mapping[str, Mapping[str, Any]], live: str | None, marks: Mapping[str, Any]) -> str:
    lines = []
    for release_id, record in finished.items():
        source = record.get("source", {})
        remark = " (live)" if release_id == live else " (rolled back from)" if release_id in marks else ""
        lines.append(f"  {release_id}  {source.get('version') or ''} {str(source.get('resolved', ''))[:12]}{remark}")
    return "\n".join(lines) or "  none"
