# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One deploy from the lock to the history line, and the ways to take an application off the host."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_application import log_position, log_since
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_build import Order, build_release
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_cutover import (
    clear_leftovers,
    drain_limit,
    go_live,
    prune,
    retire_others,
    undo,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import (
    ReleaseError,
    failure_report,
    scrub,
    standing_of,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_git import prepare_git
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import (
    append_history,
    make_host_key,
    other_owner,
    owner_apps,
    record_owner,
    timestamp,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_inspect import (
    Finding,
    find_abi,
    inspect_app,
    make_order,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    RUN_DIRECTORY,
    Layout,
    new_release_id,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import run
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    installed_instances,
    journal,
    release_units,
    remove_units,
    unit_states,
)

_DONE = {"deploy": "deployed", "reactivate": "reactivated", "start": "started", "none": "none"}


@contextlib.contextmanager
def locked(app: str, who: str) -> Iterator[None]:
    """Hold the application's lock.

    The kernel frees it when its holder dies. Raises ReleaseError while somebody else has it.
    """
    os.makedirs(RUN_DIRECTORY, mode=0o700, exist_ok=True)
    with open(f"{RUN_DIRECTORY}/{app}.lock", "a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            raise ReleaseError(
                "lock", f"another deploy of {app} is running: {stream.read().strip() or 'it just began'}"
            ) from None
        stream.truncate(0)
        stream.write(f"{who}, since {timestamp()}, process {os.getpid()}")
        stream.flush()
        yield


def deploy(
    name: str, app: Mapping[str, Any], version: str, owner: str, build_env: Mapping[str, str], archive: str, who: str
) -> dict[str, Any]:
    """Bring one application to its wanted release and return what was done.

    Raises ReleaseError with the whole report as its problem.
    """
    started = time.monotonic()
    with locked(name, who):
        _prepare_host(owner, name)
        order = make_order(
            name, app, version, build_env, find_abi(str(app["python"].get("interpreter", "python3"))), make_host_key()
        )
        order.archive, order.by = archive, who
        cleared = clear_leftovers(order.layout, drain_limit(order.app))
        finding = inspect_app(order)
        if finding.action == "none":
            # What the inspection found was a leftover, gone now, or somebody else was faster.
            return {
                **_summary(finding, "started" if cleared else "none", finding.release),
                "seconds": round(time.monotonic() - started, 2),
            }
        target = finding.release or new_release_id(order.digest, order.layout.ids())
        position = log_position(_error_log(order))
        try:
            _carry_out(order, finding, target)
        except ReleaseError as error:
            raise _failed(order, finding, target, error, started, position) from error
        except OSError as error:
            trouble = ReleaseError("host", f"{error.strerror}: {error.filename}")
            raise _failed(order, finding, target, trouble, started, position) from error
        seconds = round(time.monotonic() - started, 2)
        entry = {
            "release": target,
            "by": who,
            "version": version,
            "action": _DONE[finding.action],
            "reason": finding.reason,
        }
        append_history(
            order.layout, {**entry, "seconds": seconds, "phases": order.seconds, "outcome": "live"}, order.group
        )
        removed = prune(order.layout, int(app.get("keep", 5)))
        return {
            **_summary(finding, _DONE[finding.action], target),
            "seconds": seconds,
            "phases": order.seconds,
            "removed": removed,
        }


def _error_log(order: Order) -> str:
    """Return where gunicorn writes errors: a failed start is explained there when it isn't in the journal."""
    return str(order.app["gunicorn"]["settings"].get("errorlog") or "-")


def _carry_out(order: Order, finding: Finding, target: str) -> None:
    if finding.action == "deploy":
        build_release(order, target)
    go_live(order, target)
    retire_others(order)


def _summary(finding: Finding, action: str, release: str | None) -> dict[str, Any]:
    return {
        "app": finding.app,
        "action": action,
        "release": release,
        "previous": finding.live,
        "reason": finding.reason,
    }


def _failed(
    order: Order, finding: Finding, target: str, error: ReleaseError, started: float, position: int
) -> ReleaseError:
    """Take back what did not go live, write it down, and return the error with the text for a person."""
    layout = order.layout
    began = time.time() - (time.monotonic() - started)
    words = ""
    if error.step in ("start", "probe"):
        words = journal(layout.service(target), began) + log_since(_error_log(order), position)
    if layout.live() != target:
        with contextlib.suppress(OSError, ReleaseError):
            undo(layout, target, built_now=finding.action == "deploy")
    live = layout.live()
    service = layout.service(live or "")
    standing = standing_of(live, target, unit_states([service]).get(service, ("", ""))[0])
    secrets = order.secret_values()
    entry = {"release": target, "by": order.by, "version": order.version, "step": error.step, "outcome": "failed"}
    with contextlib.suppress(OSError):
        problem = scrub(error.problem, secrets)
        append_history(
            layout, {**entry, "problem": problem, "seconds": round(time.monotonic() - started, 2)}, order.group
        )
    report = failure_report(layout.app, error.step, error.problem, error.output, words, standing, secrets)
    return ReleaseError(error.step, report)


def _prepare_host(owner: str, name: str) -> None:
    prepare_git()
    record_owner(owner, name, "active")


def stop_unlisted(owner: str, names: list[str], who: str) -> list[dict[str, Any]]:
    """Stop and disable applications that their owner no longer lists; their files stay."""
    stopped = []
    for name in names:
        with locked(name, who):
            for release_id, units in installed_instances(name).items():
                remove_units({*units, *release_units(Layout(name, f"/srv/{name}"), release_id)})
            record_owner(owner, name, "stopped")
            stopped.append({"app": name, "action": "stopped", "release": None, "reason": ["no longer listed"]})
    return stopped


def unlisted(owner: str, listed: set[str]) -> list[str]:
    """Return the applications of an owner that run and are no longer listed."""
    return sorted(name for name, state in owner_apps(owner).items() if state == "active" and name not in listed)


def remains(layout: Layout, log_dir: str, keep_data: bool) -> list[str]:
    """Return the paths that removing the application would delete."""
    paths = [layout.releases, layout.venvs, layout.mirror, layout.current, layout.history]
    if not keep_data:
        paths += [layout.shared, log_dir]
        paths.append(layout.base)
    elif os.path.isdir(layout.base) and not os.path.isdir(layout.shared):
        paths.append(layout.base)
    return [path for path in paths if os.path.lexists(path)]


def remove(name: str, base: str, log_dir: str, owner: str, keep_data: bool, who: str, predict: bool) -> dict[str, Any]:
    """Take an application off the host: units, releases, environments; its shared/ and its logs too when not kept."""
    layout = Layout(name, base)
    units = {
        unit
        for release, names in installed_instances(name).items()
        for unit in {*names, *release_units(layout, release)}
    }
    paths = remains(layout, log_dir, keep_data)
    if (foreign := other_owner(owner, name)) is not None:
        raise ReleaseError("definition", f"the application {name} belongs to another owner on this host: {foreign}")
    listed = name in owner_apps(owner)
    result = {
        "app": name,
        "action": "removed" if units or paths or listed else "none",
        "removed": sorted([*units, *paths]),
    }
    if predict or result["action"] == "none":
        return result
    with locked(name, who):
        clear_leftovers(layout, 0)
        remove_units(units)
        for path in paths:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif os.path.lexists(path):
                os.unlink(path)
        if listed:
            record_owner(owner, name, None)
    run(["systemctl", "stop", f"flaskworks.{name}.*"])
    with contextlib.suppress(OSError):
        os.unlink(f"{RUN_DIRECTORY}/{name}.lock")
        os.rmdir(f"/run/{name}")
    return result
