# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The transaction: stage, validate, keep, swap, apply, verify; or restore. The journal's STEPS are in that order."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import (
    Change,
    changes_as_text,
    check_changes,
    find_changes,
    finish,
    keep,
    look_before,
    put_back,
    stage,
    swap,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_diff import difference, redact
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import (
    FileSetError,
    Seen,
    Wanted,
    look,
    unsafe_parent,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_journal import RESTORED, Store, host_lock
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import Program

Journal = dict[str, Any]


@dataclass
class Outcome:
    """What was done, or in check mode what would be."""

    changed: bool = False
    changed_paths: list[str] = field(default_factory=list)
    applied: bool = False
    recovered: bool = False
    owners: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)


def apply_set(store: Store, wanted: Sequence[Wanted], programs: Sequence[Program], check: bool = False) -> Outcome:
    """Bring an owner's whole set to the host as one unit. Raises FileSetError; then what ran before runs again."""
    if check:
        return _predict(store, wanted, programs)
    with host_lock(store.owner):
        recovered = _recover_all(store, programs)
        record = store.record()
        _check_paths(store, wanted)
        changes = find_changes(wanted, record["paths"], look, store.claimed_by_others())
        needs = [reason for program in programs for reason in program.drift()]
        outcome = _outcome(changes, needs, record["pending"])
        outcome.recovered, outcome.owners = recovered, _owners(store)
        if outcome.changed:
            _commit(store, wanted, changes, programs)
            outcome.applied = True
        elif (managed := _managed(store, wanted, changes)) != record["paths"]:
            store.write_record(managed, pending=False)
        return outcome


def _predict(store: Store, wanted: Sequence[Wanted], programs: Sequence[Program]) -> Outcome:
    """Compare with what a recovery would leave, and write nothing, not even a lock."""
    before: dict[str, Seen] = {}
    for other in (store, *store.others()):
        journal = other.journal()
        if journal and not _is_done(journal):
            before.update({entry["path"]: look_before(entry) for entry in journal["changes"]})
    record, own = store.record(), store.journal()
    if own and _is_done(own):
        record = {"paths": own["record"], "pending": False}
    _check_paths(store, wanted)

    def look_back(path: str) -> Seen:
        return before.get(path) or look(path)

    changes = find_changes(wanted, record["paths"], look_back, store.claimed_by_others())
    check_changes(changes, look_back, users=False)
    needs = [reason for program in programs for reason in program.drift()]
    pending = record["pending"] or (own is not None and _was_touched(own) and not _is_done(own))
    outcome = _outcome(changes, needs, bool(pending))
    outcome.owners = _owners(store)
    return outcome


def _owners(store: Store) -> list[str]:
    """Return the other owners who have a file or link on this host."""
    return sorted({owner for owner, kind in store.claimed_by_others().values() if kind != "directory"})


def _outcome(changes: Sequence[Change], needs: Sequence[str], pending: bool) -> Outcome:
    listed = [change for change in changes if not change.implied]
    outcome = Outcome(
        changed=bool(changes or needs or pending),
        changed_paths=[change.path for change in listed],
        diff=[difference(change) for change in listed],
    )
    if needs:
        header = {"before_header": "running", "after_header": "running"}
        outcome.diff.append({**header, "before": "\n".join(needs) + "\n", "after": "as wanted\n"})
    return outcome


def _is_done(journal: Journal) -> bool:
    return "verified" in journal["steps"]


def _was_touched(journal: Journal) -> bool:
    return "kept" in journal["steps"]


def _before(journal: Journal) -> dict[str, Any]:
    """Return the snapshots, and whether a program may have read the new files since."""
    return {"units": {}, **journal["before"], "swapped": "swapped" in journal["steps"]}


def _recover_all(store: Store, programs: Sequence[Program]) -> bool:
    """Put right what runs that were cut off left behind, whoever's they are; tell whether one of this owner's was.

    Another owner's files are put back, so that no program reads half of a change. Its next run does the rest.
    """
    for other in store.others():
        if (journal := other.journal()) is not None:
            if _is_done(journal):
                _finish(other, journal)
            else:
                _restore_files(other, journal)
    journal = store.journal()
    if journal is None:
        return False
    if _is_done(journal):
        _finish(store, journal)
        return True
    if _was_touched(journal):
        with contextlib.suppress(OSError, FileSetError):
            for program in programs:
                program.withdraw(_before(journal))
        _restore_files(store, journal)
        # Its success is not taken for granted: what is pending is applied once more, and verified.
        with contextlib.suppress(OSError, FileSetError):
            for program in programs:
                program.restore(_before(journal))
        store.write_record(store.record()["paths"], pending=True)
    else:
        _restore_files(store, journal)
    store.forget_journal()
    return True


def _restore_files(store: Store, journal: Journal) -> None:
    if RESTORED in journal["steps"]:
        return
    for entry in reversed(journal["changes"]):
        put_back(entry)
    # A full disk must not stop this; without the note the next run does the same again.
    with contextlib.suppress(OSError):
        store.advance(journal, RESTORED)


def _finish(store: Store, journal: Journal) -> None:
    """From "verified" on the new state is the right one: remember it and forget the originals."""
    store.write_record(journal["record"], pending=False)
    if "recorded" not in journal["steps"]:
        store.advance(journal, "recorded")
    for entry in journal["changes"]:
        finish(entry)
    store.forget_journal()


def _check_paths(store: Store, wanted: Sequence[Wanted]) -> None:
    claimed = store.claimed_by_others()
    problems = []
    for entry in wanted:
        owner, kind = claimed.get(entry.path, ("", ""))
        own = "shared" if entry.shared else entry.kind
        if owner and not (own == kind and kind in ("directory", "shared")):
            problems.append(f"{entry.path} belongs to {owner} on this host: two owners can't manage one file")
        if problem := unsafe_parent(entry.path):
            problems.append(f"{entry.path}: {problem}")
    if problems:
        raise FileSetError("\n".join(problems))


def _commit(store: Store, wanted: Sequence[Wanted], changes: Sequence[Change], programs: Sequence[Program]) -> None:
    check_changes(changes)
    for program in programs:
        program.require(changes)
    before: dict[str, Any] = {}
    for program in programs:
        before.update(program.snapshot(changes))
    journal: Journal = {
        "changes": changes_as_text(changes),
        "record": _managed(store, wanted, changes),
        "before": before,
        "steps": [],
    }
    try:
        _carry_out(store, journal, changes, programs)
    except BaseException as error:
        message = redact(_restore(store, journal, programs, error), changes)
        if not isinstance(error, Exception):
            raise
        raise FileSetError(message) from error


def _carry_out(store: Store, journal: Journal, changes: Sequence[Change], programs: Sequence[Program]) -> None:
    store.advance(journal, "begun")
    stage(changes)
    store.advance(journal, "staged")
    for program in programs:
        program.validate(changes)
    store.advance(journal, "validated")
    keep(changes)
    store.advance(journal, "kept")
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
    _finish(store, journal)


def _restore(store: Store, journal: Journal, programs: Sequence[Program], error: BaseException) -> str:
    """Put everything back and return the words for a person: what was wrong, and what runs now."""
    words = _words(error)
    if _is_done(journal):
        return f"{words}\nThe change is live and works; the next run tidies up."
    touched = _was_touched(journal)
    runs: list[str] = []
    try:
        # Whatever fails, the files come back.
        trouble = _attempt([program.withdraw for program in programs], journal) if touched else []
        _restore_files(store, journal)
        if touched:
            for program in programs:
                trouble += _attempt([program.restore], journal)
                runs += program.describe()
            store.write_record(store.record()["paths"], pending=bool(trouble) or store.record()["pending"])
        store.forget_journal()
    except (OSError, FileSetError) as problem:
        return f"{words}\nRestoring what was there before failed, too; the next run tries it again: {_words(problem)}"
    if trouble:
        return "\n".join([words, "All files were put back, but not everything runs as before:", *trouble, *runs])
    if not touched:
        return f"{words}\nNothing on the host was changed: what ran before still runs."
    return "\n".join([words, "Everything was put back, and what ran before runs again.", *runs])


def _attempt(calls: Sequence[Any], journal: Journal) -> list[str]:
    problems = []
    for call in calls:
        try:
            call(_before(journal))
        except (OSError, FileSetError) as problem:
            problems.append(_words(problem))
    return problems


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"{error.strerror}: {os.path.dirname(str(error.filename))} is full"
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, (OSError, FileSetError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _managed(store: Store, wanted: Sequence[Wanted], changes: Sequence[Change]) -> dict[str, dict[str, Any]]:
    """Return what is managed when the changes are made: the set, directories made on the way to it, and those that
    were, as long as somebody else's files keep them."""
    going = {change.path for change in changes if change.wanted.kind == "absent"}
    made = {change.path for change in changes if change.implied}
    others = store.claimed_by_others()
    left = {
        path
        for path, entry in store.record()["paths"].items()
        if entry["kind"] == "directory" and path not in going | others.keys() and look(path).kind == "directory"
    }
    folders = {path: {"kind": "directory", "sensitive": False} for path in sorted(made | left)}
    return {
        **folders,
        **{
            entry.path: {
                "kind": entry.kind,
                "sensitive": entry.sensitive,
                **({"shared": True} if entry.shared else {}),
            }
            for entry in wanted
            if entry.kind != "absent"
        },
    }
