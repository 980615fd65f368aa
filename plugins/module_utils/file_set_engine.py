# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The transaction: stage, validate, swap, apply, verify; or restore. `STEPS` is what is written down on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import (
    Change,
    befores,
    changes_as_text,
    check_changes,
    difference,
    find_changes,
    put_back,
    stage,
    swap,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import (
    FileSetError,
    Wanted,
    look,
    unsafe_parent,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import Store, host_lock
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import Program


@dataclass
class Outcome:
    """What was done, or in check mode what would be."""

    changed: bool = False
    changed_paths: list[str] = field(default_factory=list)
    applied: bool = False
    recovered: bool = False
    diff: list[dict[str, str]] = field(default_factory=list)


def apply_set(store: Store, wanted: Sequence[Wanted], programs: Sequence[Program], check: bool = False) -> Outcome:
    """Bring an owner's whole set to the host as one unit. Raises FileSetError; then what ran before runs again."""
    with host_lock():
        journal = store.journal()
        if journal and not check:
            recover(store, journal)
        record = store.record()
        _check_paths(store, wanted)
        before = befores(journal) if journal and check and journal["step"] != "recorded" else {}
        changes = find_changes(wanted, record["paths"], lambda path: before.get(path) or look(path))
        needs = [reason for program in programs for reason in program.drift(check)]
        pending = bool(record["pending"] or (journal and _was_swapped(journal)))
        outcome = Outcome(
            changed=bool(changes or needs or pending),
            changed_paths=[change.path for change in changes],
            recovered=bool(journal) and not check,
            diff=[difference(change) for change in changes],
        )
        if needs:
            outcome.diff.append(
                {
                    "before_header": "running",
                    "after_header": "running",
                    "before": "\n".join(needs) + "\n",
                    "after": "as wanted\n",
                }
            )
        if check:
            return outcome
        if outcome.changed:
            _commit(store, wanted, changes, programs)
            outcome.applied = True
        elif not _managed(wanted).items() <= record["paths"].items():
            _remember(store, wanted, [])
        return outcome


def recover(store: Store, journal: dict[str, Any]) -> None:
    """Undo what a transaction that was cut off had changed; what it left to apply is noted in the record."""
    if journal["step"] != "recorded":
        for path, seen in reversed(befores(journal).items()):
            put_back(path, seen)
        if _was_swapped(journal):
            store.write_record(store.record()["paths"], pending=True)
    store.forget_journal()


def _was_swapped(journal: dict[str, Any]) -> bool:
    return journal["step"] in ("swapping", "swapped", "applied", "verified")


def _check_paths(store: Store, wanted: Sequence[Wanted]) -> None:
    claimed = store.claimed_by_others()
    problems = [
        f"{entry.path} belongs to {claimed[entry.path]} on this host: two owners can't manage one file"
        for entry in wanted
        if entry.path in claimed and entry.kind in ("file", "link")
    ]
    problems += [
        f"{entry.path}: {parent} is a link that is not root's, so its user could lead it anywhere"
        for entry in wanted
        if (parent := unsafe_parent(entry.path))
    ]
    if problems:
        raise FileSetError("\n".join(problems))


def _commit(store: Store, wanted: Sequence[Wanted], changes: Sequence[Change], programs: Sequence[Program]) -> None:
    check_changes(changes)
    for program in programs:
        program.require(changes)
    journal: dict[str, Any] = {"changes": changes_as_text(changes)}
    store.advance(journal, "begun")
    try:
        stage(changes)
        store.advance(journal, "staged")
        for program in programs:
            program.validate(changes)
        store.advance(journal, "validated")
        store.advance(journal, "swapping")
        for program in programs:
            program.prepare(changes)
        for change in changes:
            swap(change)
        store.advance(journal, "swapped")
        for program in programs:
            program.apply(changes)
        store.advance(journal, "applied")
        for program in programs:
            program.verify()
        store.advance(journal, "verified")
        _remember(store, wanted, changes)
        store.advance(journal, "recorded")
        store.forget_journal()
    except (OSError, FileSetError) as error:
        raise FileSetError(_restore(store, journal, changes, programs, error)) from error


def _restore(
    store: Store, journal: dict[str, Any], changes: Sequence[Change], programs: Sequence[Program], error: Exception
) -> str:
    """Put everything back and return the words for a person: what was wrong, and what runs now."""
    words = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else str(error)
    swapped = _was_swapped(journal)
    try:
        recover(store, journal)
        if swapped:
            for program in programs:
                program.reapply(changes)
            store.write_record(store.record()["paths"], pending=False)
    except (OSError, FileSetError) as trouble:
        return f"{words}\nRestoring what was there before failed as well, the next run tries it again: {trouble}"
    return f"{words}\n" + (
        "Everything was put back, and what ran before runs again." if swapped else "Nothing on the host was changed."
    )


def _managed(wanted: Sequence[Wanted]) -> dict[str, dict[str, Any]]:
    return {
        entry.path: {"kind": entry.kind, "sensitive": entry.sensitive} for entry in wanted if entry.kind != "absent"
    }


def _remember(store: Store, wanted: Sequence[Wanted], changes: Sequence[Change]) -> None:
    """Record what is managed now: the set, directories made on the way to it, and those that could not go yet."""
    made = {
        change.path: {"kind": "directory", "sensitive": False}
        for change in changes
        if change.wanted.kind == "directory" and change.before.kind == "none"
    }
    left = {
        path: entry
        for path, entry in store.record()["paths"].items()
        if entry["kind"] == "directory" and look(path).kind == "directory"
    }
    store.write_record({**made, **left, **_managed(wanted)}, pending=False)
