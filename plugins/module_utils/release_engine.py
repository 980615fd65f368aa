# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One change of an application from the lock to the history line: a deploy, or the way back to an earlier release."""

from __future__ import annotations

import contextlib
import errno
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.git_run import prepare_git
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_application import (
    graceful_timeout,
    log_position,
    log_since,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_build import build_release
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_cleanup import heal, prune, settle_marks, undo
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_cutover import (
    Candidate,
    go_live,
    retire_others,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import (
    ReleaseError,
    failure_report,
    scrub,
    standing_of,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import (
    append_history,
    finished_releases,
    make_host_key,
    read_text_if_any,
    record_owner,
    timestamp,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_inspect import (
    Finding,
    find_abi,
    inspect_app,
    make_order,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_lacks import lacking
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout, new_release_id
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_lock import Patience, locked
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_logs import without_access
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_order import Order
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_probe import Health
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_rollback import (
    choose,
    plan_rollback,
    unfinished,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import DONE, Run
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import account_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_secrets import (
    adopt,
    completed,
    settled,
    values_of,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    NOT_FOR_PRODUCTION,
    main_unit,
    unit_journal,
    unit_states,
)


@dataclass(frozen=True)
class Caller:
    """Who asks for a change, and how it is told; ``seen`` is the file that a waiting controller touches."""

    by: str
    patience: Patience = field(default_factory=Patience)
    seen: str = ""
    report: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Wanted:
    """What a deploy is to bring live. ``commands``: whether this host is the first one of the application."""

    name: str
    app: Mapping[str, Any]
    version: str
    owner: str
    build_env: Mapping[str, str]
    archive: str = ""
    wheels: str = ""
    commands: bool = True
    force: bool = False
    rotate: Sequence[str] = ()


def deploy(wanted: Wanted, caller: Caller) -> dict[str, Any]:
    """Bring one application to its wanted release and return what was done.

    Raises ReleaseError with the whole report as its problem.
    """
    layout = Layout(wanted.name, wanted.app["base"])
    with locked(layout, caller.by, caller.seen, caller.patience, caller.report):
        prepare_git()
        record_owner(wanted.owner, wanted.name, "active")
        abi = find_abi(str(wanted.app["python"].get("interpreter", "python3")))
        run = Run(layout, caller.by, caller.report)
        # Before its secrets are read: a rotation that was cut short is finished here.
        healed = heal(layout, account_of(str(wanted.app["user"])).pw_gid, run)
        values, rotated = settled(layout, wanted.app, wanted.rotate)
        app = completed(wanted.app, values)
        order = make_order(wanted.name, app, wanted.version, wanted.build_env, abi, make_host_key())
        order.archive, order.wheels, order.by = wanted.archive, wanted.wheels, caller.by
        order.release_commands = wanted.commands or order.app.get("before_switch_on") == "each_host"
        finding = inspect_app(order)
        if finding.action == "refused" and wanted.force:
            finding = inspect_app(order, force=True)
        if finding.action == "refused":
            raise ReleaseError("inspect", f"{layout.app}: {'; '.join(finding.reason)}")
        if finding.action == "none":
            # What the inspection found was a leftover, gone now, or somebody else was faster.
            done = "started" if healed else "none"
            return {**_summary(finding, done, finding.release), "seconds": run.elapsed()}
        target = finding.release or new_release_id(order.digest, layout.ids())
        facts: dict[str, Any] = {"version": order.version, "asked": order.asked, "reason": finding.reason}
        if rotated:
            facts["rotated"] = rotated
        run.begin(finding.action, target, **facts)
        health = Health.of(order.app.get("health", {}))
        candidate = Candidate(layout, target, health, graceful_timeout(order.app))
        with _reported(order, finding, candidate, run):
            if finding.action == "deploy":
                build_release(order, target, run)
            removed = _bring_live(candidate, run, order.group, {**facts, "action": DONE[finding.action]}, order.keep)
        return {
            **_summary(finding, DONE[finding.action], target),
            "seconds": run.elapsed(),
            "phases": run.seconds,
            "removed": removed,
            "warnings": order.warnings,
        }


def rollback(name: str, base: str, release: str, caller: Caller) -> dict[str, Any]:
    """Bring an earlier release live, as it was: code, environment, settings, units. Raises ReleaseError."""
    layout = Layout(name, base)
    # Before the lock: an application that is not there gets no lock file.
    choose(layout, release or unfinished(layout))
    with locked(layout, caller.by, caller.seen, caller.patience, caller.report):
        run = Run(layout, caller.by, caller.report)
        begun = "" if release else unfinished(layout)
        heal(layout, _group_of(layout), run)
        finding, record = plan_rollback(layout, release or begun)
        if finding.action == "none":
            healed = DONE["rollback"] if begun else "none"
            return {**_summary(finding, healed, finding.release), "seconds": run.elapsed()}
        candidate = Candidate.of_record(layout, record)
        group = account_of(str(record.get("user", name))).pw_gid
        facts = {"version": finding.version, "asked": record.get("source", {}).get("version", "")}
        # To an older one, or to where no name was needed: that is back. By name to a younger one is on.
        back = finding.live and (not release or candidate.release < finding.live)
        back_from = finding.live if back and candidate.release != finding.live else None
        run.begin(
            "rollback", candidate.release, reason=finding.reason, **facts, **({"from": back_from} if back_from else {})
        )
        order = _kept_order(layout, record, group)
        with _reported(order, finding, candidate, run):
            entry = {**facts, "action": DONE["rollback"], "reason": finding.reason, "from": finding.live}
            _bring_live(candidate, run, group, entry, None, back_from)
        done = _summary(finding, DONE["rollback"], candidate.release)
        warnings = [f"{name} {NOT_FOR_PRODUCTION}"] if record.get("manager") == "cron" else []
        return {**done, "marked": back_from, "seconds": run.elapsed(), "phases": run.seconds, "warnings": warnings}


def _bring_live(
    candidate: Candidate, run: Run, group: int, facts: Mapping[str, Any], keep: int | None, back_from: str | None = None
) -> list[str]:
    """Switch, let the old release end, and write all down; return the releases that were pruned."""
    layout = candidate.layout
    go_live(candidate, run)
    retire_others(layout, run)
    with run.step("history"):
        adopt(layout, finished_releases(layout).get(candidate.release, {}), facts.get("rotated", ()))
        settle_marks(layout, back_from, run.by, timestamp())
        entry = {"release": candidate.release, "by": run.by, **facts}
        append_history(
            layout, {**entry, "seconds": run.elapsed(), "phases": dict(run.seconds), "outcome": "live"}, group
        )
    removed = []
    if keep is not None:
        with run.step("prune"):
            removed = prune(layout, keep)
    run.end()
    return removed


@contextlib.contextmanager
def _reported(order: Order, finding: Finding, candidate: Candidate, run: Run) -> Iterator[None]:
    """Turn a failure within into the report of it; what did not go live is taken back."""
    position = log_position(order.error_log)
    try:
        yield
    except ReleaseError as error:
        raise _failed(order, finding, candidate, run, error, position) from error
    except OSError as error:
        raise _failed(order, finding, candidate, run, host_error(error), position) from error
    except Exception as error:  # pylint: disable=broad-except
        # A fault of this code, or a broken archive: what was begun is taken back all the same.
        fault = ReleaseError("module", f"{type(error).__name__}: {error}", traceback.format_exc())
        raise _failed(order, finding, candidate, run, fault, position) from error


def host_error(error: OSError) -> ReleaseError:
    """Return what went wrong with the host itself, in words."""
    cures = {
        errno.ENOSPC: "free some space, then run again",
        errno.EDQUOT: "free some space, then run again",
        errno.EROFS: "the file system is mounted read-only: see what the kernel says with `dmesg`, mount it writable",
    }
    cure = cures.get(error.errno or 0)
    return ReleaseError("host", f"{error.strerror}: {error.filename or ''}{f' ({cure})' if cure else ''}")


def _kept_order(layout: Layout, record: Mapping[str, Any], group: int) -> Order:
    """Return what a failure report needs of a release whose definition is no longer known: above all its secrets."""
    release_id = str(record["id"])
    files = {name: read_text_if_any(f"{layout.source(release_id)}/{name}") for name in record.get("files", [])}
    app = {
        "user": record.get("user", layout.app),
        "base": layout.base,
        "server": {"settings": {"errorlog": record.get("error_log", f"/var/log/{layout.app}/error.log")}},
        "secrets": values_of(layout, record),
        "files": files,
    }
    return Order(app, layout, str(finding_version(record)), {}, "", "", "", {}, {}, known_group=group)


def _group_of(layout: Layout) -> int:
    """Return the group that reads the application's history."""
    try:
        return os.stat(layout.history).st_gid
    except OSError:
        return 0


def finding_version(record: Mapping[str, Any]) -> str:
    return str(record.get("source", {}).get("resolved", ""))


def _summary(finding: Finding, action: str, release: str | None) -> dict[str, Any]:
    return {
        "app": finding.app,
        "action": action,
        "release": release,
        "previous": finding.live,
        "reason": finding.reason,
    }


def _failed(
    order: Order, finding: Finding, candidate: Candidate, run: Run, error: ReleaseError, position: int
) -> ReleaseError:
    """Take back what did not go live, write it down, and return the error with the text for a person."""
    layout, target = candidate.layout, candidate.release
    words = ""
    if error.step in ("start", "probe"):
        words = unit_journal(main_unit(layout, target), run.began, without_access(layout, target))
        words += log_since(order.error_log, position)
    switched = layout.live() == target
    # Before it is taken back: a rollback knows the unit from the release alone.
    cures = lacking(layout, order.app, target, error, words)
    if not switched:
        with contextlib.suppress(OSError, ReleaseError):
            undo(layout, target, built_now=finding.action == "deploy")
    live = layout.live()
    service = main_unit(layout, live or "")
    standing = standing_of(live, target, unit_states([service]).get(service, ("", ""))[0])
    secrets = order.secret_values()
    entry = {
        "release": target,
        "by": run.by,
        "version": order.version,
        "asked": order.asked,
        "step": error.step,
        "outcome": "live" if switched else "failed",
    }
    with contextlib.suppress(OSError):
        problem = scrub(error.problem, secrets)
        append_history(layout, {**entry, "problem": problem, "seconds": run.elapsed()}, order.group)
    if not switched:
        with contextlib.suppress(OSError):
            run.end()
    return ReleaseError(
        error.step,
        failure_report(layout.app, error.step, error.problem, error.output, words, standing, secrets, cures),
    )
