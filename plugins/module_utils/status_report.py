# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole report on hosts and their applications: one table, then what is to be said of each. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_diff_text import diff_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import (
    COLUMNS,
    NOTHING,
    ago,
    clean,
    cut,
    row,
    size,
    table,
    version,
)

RIGHT = ("workers", "memory", "probe", "tls", "size", "restarts")
Status = Mapping[str, Any]


KEYS = ("time", "prepared", "apps", "missing")


def plain_status(said: Status) -> dict[str, Any]:
    """Return what release_info returned, without what Ansible adds; ``{"error": text}`` when it returned nothing."""
    if "apps" in said:
        return {key: said[key] for key in KEYS if key in said}
    return {"error": str(said.get("error") or said.get("msg") or "it was not asked")}


def report(hosts: Mapping[str, Status], details: bool = True, named: bool = True) -> str:
    """Return the table of all applications, remarks on hosts without any, and with ``details`` a part for each.

    ``hosts``: name -> what ``plain_status`` returns. ``named``: with the hosts' names.
    """
    rows = [row(host, app, _time(status)) for host, status in hosts.items() for app in status.get("apps", [])]
    # The last column is of those who have TLS.
    shown = slice(0 if named else 1, None if any(cells[-1] != NOTHING for cells in rows) else -1)
    parts = [table(COLUMNS[shown], (cells[shown] for cells in rows), RIGHT)] if rows else []
    parts += ["\n".join(words) for words in [list(remarks(hosts, named))] if words]
    if details:
        for host, status in hosts.items():
            for app in status.get("apps", []):
                title = clean(f"{host}: {app['app']}" if named else app["app"])
                text = "\n".join(about(app, _time(status)))
                parts += [f"{title}\n{_indented(text)}"] if text else []
    return "\n\n".join(parts)


def remarks(hosts: Mapping[str, Status], named: bool) -> Iterator[str]:
    """Yield a line for each host that has nothing to show, and for each application that it does not have."""
    for host, status in hosts.items():
        prefix = f"{clean(host)}: " if named else ""
        if status.get("error"):
            yield f"{prefix}unknown: {clean(status['error'])}"
            continue
        for name, meant in sorted((status.get("missing") or {}).items()):
            yield f"{prefix}there is no application '{clean(name)}': {clean(meant)}"
        if status.get("apps") or status.get("missing"):
            continue
        unprepared = "not prepared yet: no application was ever deployed here"
        yield prefix + ("no applications" if status.get("prepared") else unprepared)


def about(app: Status, now: str) -> Iterator[str]:
    """Yield what is to be said of one application beyond its line."""
    if activity := app.get("activity"):
        yield _activity(activity, now)
    yield from _probe(app)
    if app.get("tls"):
        yield _certificate(app["tls"])
    yield from _web(app.get("web"), now)
    yield from _sandbox(app.get("sandbox"))
    if running := [*_processes(app, now), *_timers(app, now)]:
        yield "processes and timers:"
        yield _indented(table(("name", "state", "since", "next", "last", "restarts", "memory"), running, RIGHT))
    if app.get("releases"):
        yield "kept releases:"
        yield _indented(releases(app, now))
    if app.get("diff"):
        yield "difference of two releases:"
        yield _indented(diff_text(app["diff"]))
    if app.get("failures"):
        yield "last failures:"
        yield from (f"  {_failure(failure, now)}" for failure in app["failures"])
    for venv in app.get("venvs") or []:
        count = len(venv["releases"])
        yield f"environment {clean(venv['name'])}: {size(venv.get('bytes'))}, of {count} release{'s'[: count != 1]}"


def releases(app: Status, now: str) -> str:
    """Return the table of the kept releases."""
    sized = any("bytes" in release for release in app.get("releases", []))
    head = ("release", "version", "created", "live until", "ended", "by", *(("size",) if sized else ()))
    rows = []
    for release in app.get("releases", []):
        ended = clean(release.get("ended"))
        if (mark := release.get("rolled_back")) and release.get("ended") != "live":
            ended = f"rolled back by {clean(mark.get('by') or 'somebody')}"
        until = "now" if release.get("ended") == "live" else ago(release.get("live_until"), now)
        cells = [release["id"], version(release), ago(release.get("created"), now), until, ended, release.get("by")]
        rows.append([clean(cell or NOTHING) for cell in cells] + ([size(release.get("bytes"))] if sized else []))
    return table(head, rows, RIGHT)


def _activity(activity: Status, now: str) -> str:
    what = f"{clean(activity.get('action') or 'deploy')} of {clean(activity.get('release') or 'a release')}"
    who = f"by {clean(activity.get('by') or 'somebody')}, begun {ago(activity.get('since'), now)}"
    step = f" at the step '{clean(activity['step'])}'" if activity.get("step") else ""
    if activity.get("state") == "running":
        return f"going on: {what} {who}, now{step or ' at its beginning'}"
    return f"interrupted: {what} {who}, cut off{step}; the next deploy finishes it or takes it back"


def _probe(app: Status) -> Iterator[str]:
    answer, then = app.get("probe"), app.get("probe_at_deploy_ms")
    if answer and not answer.get("good"):
        yield f"probe: {clean(answer.get('answer'))}"
    elif answer and then is not None:
        yield f"probe: {answer['ms']:.0f} ms now, {then} ms when it went live"


def _certificate(facts: Status) -> str:
    mode = clean(facts.get("mode") or "certificate")
    if facts.get("problems"):
        return f"tls: {mode}, broken: {'; '.join(clean(text) for text in facts['problems'].values())}"
    if facts.get("placeholder"):
        return f"tls: {mode}, a placeholder that no browser trusts until the authority has issued a certificate"
    names = ", ".join(clean(name) for name in facts.get("names") or []) or "no name"
    issuer = "itself" if facts.get("self_signed") else f"'{clean(facts.get('issuer'))}'"
    staging = " (staging, which no browser trusts)" if facts.get("staging") else ""
    days = facts["days_left"]
    left = f"expired {-days} day{'s'[: days != -1]} ago" if days < 0 else f"{days} day{'s'[: days != 1]} left"
    return f"tls: {mode}, for {names}, signed by {issuer}{staging}, until {clean(facts['until'])[:10]}, {left}"


def _web(web: Status | None, now: str) -> Iterator[str]:
    if not web:
        return
    manager = str(web.get("manager") or "systemd")
    under = "" if manager == "systemd" else f" under {clean(manager)}"
    under += " (not for production)" if manager == "cron" else ""
    if web.get("since"):
        count, peak = web.get("restarts"), web.get("memory_peak_bytes")
        parts = [f"started {ago(web['since'], now)}"]
        parts += [] if count is None else [f"{count} restart{'s'[: count != 1]}"]
        parts += [] if peak is None else [f"memory peak {size(peak)}"]
        yield f"web service{under}: {', '.join(parts)}"
        if web.get("workers_reason"):
            count = web["workers_configured"]
            yield f"server: {clean(web['server'])}, {count} worker{'s'[: count != 1]} ({clean(web['workers_reason'])})"
    else:
        yield f"web service{under}: {clean(web.get('active'))} ({clean(web.get('result') or web.get('sub'))})"


def _sandbox(sandbox: Status | None) -> Iterator[str]:
    if not sandbox or not sandbox.get("preset"):
        return
    score, changed = sandbox.get("score"), sandbox.get("changed") or []
    words = [clean(sandbox["preset"]), *([] if score is None else [f"exposure {score:g} of 10"])]
    if changed:
        words.append(f"with its own {', '.join(clean(name) for name in changed)}")
    yield f"sandbox: {', '.join(words)}"


def _failure(failure: Status, now: str) -> str:
    what = cut(clean(failure.get("version") or failure.get("release") or NOTHING), 24)
    words = cut(clean(failure.get("problem") or failure.get("outcome")), 200)
    return f"{ago(failure.get('time'), now)}, {what}, at the step '{clean(failure.get('step') or NOTHING)}': {words}"


def _processes(app: Status, now: str) -> Iterator[list[str]]:
    for process in app.get("processes") or []:
        name = clean(f"{process['name']} {process['number']}")
        restarts = NOTHING if process.get("restarts") is None else str(process["restarts"])
        since, memory = ago(process.get("since"), now), size(process.get("memory_bytes"))
        yield [name, clean(process.get("active")), since, "", "", restarts, memory]


def _timers(app: Status, now: str) -> Iterator[list[str]]:
    for timer in app.get("timers") or []:
        last = "running" if timer.get("running") else ago(timer.get("last"), now)
        if timer.get("result") and timer["result"] != "success":
            last += f" ({clean(timer['result'])})"
        yield [clean(timer["name"]), clean(timer.get("active")), "", ago(timer.get("next"), now), last, "", ""]


def _time(status: Status) -> str:
    return str(status.get("time") or "")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
