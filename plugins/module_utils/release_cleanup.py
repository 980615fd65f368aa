# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking back what did not go live, finishing what a crash cut short, and deleting what is no longer needed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs_seal
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_cutover import (
    Candidate,
    let_finish,
    others,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import (
    append_history,
    finished_releases,
    read_history,
    read_marks,
    releases_to_remove,
    write_marks,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import RELEASE_ID, Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import DONE, Run, end_journal, read_journal
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run, stop_commands
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_secrets import adopt
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    installed_instances,
    release_units,
    remove_units,
)


def heal(layout: Layout, group: int, change: Run) -> list[str]:
    """Finish or take back what an interrupted change left: its commands, its line in the history, its mark, instances
    that are not live, releases that were never finished. Returns in words what there was.
    """
    stop_commands(layout.app)
    found = _settle_journal(layout, group)
    finished = finished_releases(layout)
    stray = others(layout)
    for release_id, names in stray.items():
        # Killed after the switch: this one was live and may still be answering.
        record = finished.get(release_id, {"id": release_id})
        let_finish(layout, release_id, names, Candidate.of_record(layout, record).graceful, change)
        remove_units(names)
    unfinished = [name for name in layout.ids() if name != layout.live() and name not in finished]
    for release_id in unfinished:
        discard(layout, release_id)
    return [*found, *stray, *unfinished]


def _settle_journal(layout: Layout, group: int) -> list[str]:
    journal = read_journal(layout)
    if not journal:
        end_journal(layout)
        return []
    release_id, live, step = str(journal.get("release")), layout.live(), str(journal.get("step"))
    known: dict[str, Any] = {
        key: journal[key] for key in ("by", "version", "asked", "action", "reason", "from", "rotated") if key in journal
    }
    known["action"] = DONE.get(str(known.get("action")), "none")
    outcome = "live" if live == release_id else "interrupted"
    since = str(journal.get("since", ""))
    told = any(
        entry.get("release") == release_id and str(entry.get("time", "")) >= since for entry in read_history(layout)
    )
    if not told:
        append_history(
            layout, {**known, "release": release_id, "outcome": outcome, "step": step, "interrupted": True}, group
        )
    if outcome == "live":
        adopt(layout, finished_releases(layout).get(release_id, {}), known.get("rotated", ()))
        settle_marks(layout, str(journal["from"]) if journal.get("from") else None, str(journal.get("by")), since)
    end_journal(layout)
    return [f"a change that was cut short at the step '{step}'"]


def settle_marks(layout: Layout, rolled_back: str | None, by: str, moment: str) -> None:
    """Mark the release that was rolled back from; the live one has no mark."""
    marks, live = read_marks(layout), layout.live()
    if rolled_back:
        record = finished_releases(layout).get(rolled_back, {})
        digests = {key: record.get(key) for key in ("digest", "secrets_digest")}
        marks[rolled_back] = {"time": moment, "by": by, "to": live, **digests}
    marks.pop(str(live), None)
    write_marks(layout, marks)


def undo(layout: Layout, release_id: str, built_now: bool) -> None:
    """Take back a release that did not go live: its units, and its directory when this run made it."""
    stop_commands(layout.app)
    remove_units({*installed_instances(layout.app).get(release_id, []), *release_units(layout, release_id)})
    if built_now:
        discard(layout, release_id)


def discard(layout: Layout, release_id: str) -> None:
    """Delete a release, its record first: what a killed deletion leaves must not look finished."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(layout.record(release_id))
    shutil.rmtree(layout.release(release_id), ignore_errors=True)


def prune(layout: Layout, keep: int) -> list[str]:
    """Delete releases beyond ``keep`` and environments that no release needs; return the deleted releases."""
    in_use = {*installed_instances(layout.app), *commands_in(layout), layout.live() or "", layout.before() or ""}
    gone = releases_to_remove(layout.ids(), read_history(layout), keep, in_use)
    for release_id in gone:
        discard(layout, release_id)
    _prune_environments(layout, finished_releases(layout).values())
    return gone


def commands_in(layout: Layout) -> set[str]:
    """Return the releases in which somebody runs a command at the moment (flaskworks APP run)."""
    shown = run(["systemctl", "show", "--property=WorkingDirectory", f"flaskworks-run.{layout.app}.*"]).stdout
    return {word for line in shown.splitlines() for word in line.split("/") if RELEASE_ID.match(word)}


def _prune_environments(layout: Layout, records: Collection[Mapping[str, Any]]) -> None:
    used = {str(record.get("venv")) for record in records}
    for name in os.listdir(layout.venvs) if os.path.isdir(layout.venvs) else []:
        if name not in used:
            venvs_seal.discard(f"{layout.venvs}/{name}")
