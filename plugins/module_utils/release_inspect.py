# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has to be done for an application, found out without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import servers, venvs
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_build import environment_seal
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_cutover import others
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_digest import (
    changed_parts,
    input_parts,
    inputs_digest,
    secrets_digest,
    tree_seal,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_git import resolve_commit
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_history import (
    finished_releases,
    host_key,
    mark_of,
    other_owner,
    read_marks,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_launcher import launcher_files
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_order import Order
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_run import read_journal
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_secrets import completed, predicted
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import (
    installed_path,
    kinds_of,
    release_units,
    unit_states,
    unit_texts,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.system_path import SYSTEM_PATH
from ansible_collections.flaskworks.deploy.plugins.module_utils.wheelhouse import has_wheelhouse

SECRETS_CHANGED = "secrets or files changed"
UNKNOWN = "unknown until the host is prepared"
Environment = Mapping[str, str]


@dataclass
class Finding:
    """What an application needs: ``none``, ``deploy`` (build a release), ``reactivate`` (a kept one), ``start`` (the
    live one), ``rollback``; ``refused`` is one that was rolled back from.
    """

    app: str
    action: str
    version: str
    release: str | None = None
    live: str | None = None
    reason: list[str] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    # Whether the controller has to send the wheelhouse for it.
    lacks_wheels: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def prepared(app: Mapping[str, Any]) -> dict[str, Any]:
    """Return an application's entry with what every unit of a release must say, should the plan not say it."""
    entry = dict(app)
    units = {name: {section: dict(lines) for section, lines in unit.items()} for name, unit in app["units"].items()}
    for name, unit in units.items():
        if name.endswith(".service"):
            service = unit.setdefault("Service", {})
            service.setdefault("User", app["user"])
            service.setdefault("WorkingDirectory", f"{app['base']}/releases/%i/src")
            service.setdefault("EnvironmentFile", f"{app['base']}/releases/%i/env")
            venv = f"{app['base']}/releases/%i/venv"
            service.setdefault("Environment", [f"PATH={venv}/bin:{SYSTEM_PATH}", f"VIRTUAL_ENV={venv}"])
    return entry | {"units": units}


def make_order(name: str, app: Mapping[str, Any], version: str, build_env: Environment, abi: str, key: bytes) -> Order:
    """Put together all that a release is made from. Raises ReleaseError for a definition that can't be written."""
    app = prepared(app)
    server_text = servers.file_text(app["server"])
    units = unit_texts(app)
    parts = input_parts(app, version, abi, server_text, units, launcher_files(name, app))
    return Order(
        app=app,
        layout=Layout(name, app["base"]),
        version=version,
        parts=parts,
        digest=inputs_digest(parts),
        secrets_digest=secrets_digest(key, app.get("secrets", {}), app.get("files", {})),
        server_text=server_text,
        units=units,
        build_env=build_env,
    )


def find_abi(interpreter: str) -> str:
    """Return the ABI of an interpreter of the host. Raises ReleaseError."""
    try:
        return venvs.interpreter_abi(interpreter, venvs.plain_runner())
    except venvs.VenvError as error:
        raise ReleaseError("python", str(error)) from error


def inspect_all(
    apps: Mapping[str, Mapping[str, Any]],
    owner: str,
    build_env: Environment,
    predict: bool,
    force: bool = False,
    rotate: Collection[str] = (),
) -> tuple[list[Finding], list[ReleaseError]]:
    """Look at all applications; return what each needs, and what can't be found out.

    ``predict``: on a host that isn't prepared yet (no git, no Python, no accounts) a new release is predicted instead
    of an error. ``rotate``: the generated secrets that are made anew.
    """
    with ThreadPoolExecutor(max_workers=8) as pool:
        versions = dict(
            zip(apps, pool.map(lambda app: _attempt(lambda: _version(app, build_env)), apps.values()), strict=True)
        )
    interpreters = {str(app["python"].get("interpreter", "python3")) for app in apps.values()}
    abis = {name: _attempt(lambda name=name: find_abi(name)) for name in interpreters}  # type: ignore[misc]
    findings, errors = [], []
    for name, app in apps.items():
        abi, version = abis[str(app["python"].get("interpreter", "python3"))], versions[name]
        trouble = next((value for value in (version, abi) if isinstance(value, ReleaseError)), None)
        if (foreign := other_owner(owner, name)) is not None:
            trouble = ReleaseError(
                "definition", f"the application {name} belongs to another owner on this host: {foreign}"
            )
        if trouble is None and isinstance(abi, str) and isinstance(version, str):
            values, made = predicted(Layout(name, app["base"]), app, rotate)
            order = make_order(name, completed(app, values), version, build_env, abi, host_key() or b"")
            findings.append(_with_reasons(inspect_app(order, force), made))
        elif predict and not Layout(name, app["base"]).live():
            findings.append(Finding(name, "deploy", UNKNOWN, reason=["first release"], after={"code": UNKNOWN}))
        elif trouble is not None:
            trouble.problem = f"{name}: {trouble.problem}"
            errors.append(trouble)
    return findings, errors


def _with_reasons(finding: Finding, made: list[str]) -> Finding:
    """Return a finding that tells of secrets which are to be made, in place of their being changed."""
    if made and finding.action == "deploy":
        finding.reason = [reason for reason in finding.reason if reason != SECRETS_CHANGED] + made
    return finding


def inspect_app(order: Order, force: bool = False) -> Finding:
    """Compare what is wanted with the live release and with the kept ones.

    What was rolled back from is refused unless forced.
    """
    layout = order.layout
    live = layout.live()
    finished = finished_releases(layout)
    record = finished.get(live or "", {})
    finding = Finding(
        layout.app, "none", order.version, live, live, before=record_facts(record), after=record_facts(_wanted(order))
    )
    wheels = order.app["python"].get("wheelhouse")
    finding.lacks_wheels = bool(wheels) and not has_wheelhouse(wheels, layout.wheels)
    if _is_same(record, order):
        if not is_intact(layout, record):
            finding.action, finding.release = "deploy", None
            finding.reason.append(f"release {live} was changed on the host by hand")
            return finding
        finding.reason = not_running(layout, str(live))
        finding.action = "start" if finding.reason else "none"
        return finding
    finding.reason = changed_parts(record.get("parts", {}), order.parts) if record else ["first release"]
    if record and not finding.reason:
        finding.reason.append(SECRETS_CHANGED)
    kept = [
        name for name, other in finished.items() if _is_same(other, order) and is_intact(layout, other, thoroughly=True)
    ]
    finding.action, finding.release = ("reactivate", kept[-1]) if kept else ("deploy", None)
    marked = mark_of(read_marks(layout), order.digest, order.secrets_digest)
    if marked and not force:
        finding.action, finding.release = "refused", marked[0]
        finding.reason = [refusal(*marked)]
    return finding


def refusal(release_id: str, mark: Mapping[str, Any]) -> str:
    """Return in words why a release is not deployed again."""
    return (
        f"this is release {release_id}, which was rolled back from at {mark.get('time')} by {mark.get('by')}: deploy"
        " something else, or insist with flaskworks.deploy.deploy -e force=true"
    )


def _version(app: Mapping[str, Any], build_env: Environment) -> str:
    if app.get("version_found"):
        return str(app["version_found"])
    source = app["source"]
    if source["type"] == "git":
        return resolve_commit(source, build_env)
    if source["type"] == "archive" and source.get("checksum"):
        return str(source["checksum"]).rpartition(":")[2].lower()
    if source["type"] == "pypi" and source.get("version"):
        return str(source["version"])
    if app.get("source_digest"):
        return str(app["source_digest"])
    raise ReleaseError("definition", f"a source of the type {source['type']!r} can't be read")


def _attempt(call: Callable[[], str]) -> str | ReleaseError:
    try:
        return call()
    except ReleaseError as error:
        return error


def _wanted(order: Order) -> dict[str, Any]:
    return {"parts": order.parts, "secrets_digest": order.secrets_digest}


def record_facts(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a diff shows of a release: the code's version, short digests of its parts; of secrets nothing but
    that they changed.
    """
    parts = record.get("parts", {})
    return {name: value if name == "code" else value[:12] for name, value in parts.items()}


def _is_same(record: Mapping[str, Any], order: Order) -> bool:
    return record.get("digest") == order.digest and record.get("secrets_digest") == order.secrets_digest


def is_intact(layout: Layout, record: Mapping[str, Any], thoroughly: bool = False) -> bool:
    """Tell whether a release and its environment are as they were sealed; the environment's files only
    ``thoroughly``.
    """
    venv = f"{layout.venvs}/{record['venv']}"
    if venvs.sealed(venv) is None:
        return False
    if tree_seal(layout.release(record["id"]), frozenset({"release.json"})) != record["seal"]:
        return False
    return not thoroughly or environment_seal(venv) == record["venv_seal"]


def not_running(layout: Layout, live: str) -> list[str]:
    """Return in words what keeps the live release from running now and after a boot; nothing when all is well."""
    reasons = []
    if journal := read_journal(layout):
        reasons.append(
            f"a change of {journal.get('by')} was cut short at the step '{journal.get('step')}', or is running"
        )
    names = release_units(layout, live)
    for name in names:
        if not _same_text(f"{layout.units(live)}/{name}", installed_path(name)):
            reasons.append(f"{name} is missing or was changed")
    lasting = kinds_of(layout.app, names).lasting
    states = unit_states(lasting)
    for name in lasting:
        active, file_state = states.get(name, ("", ""))
        if active != "active":
            reasons.append(f"{name} was {active or 'not there'}")
        elif file_state == "disabled":
            reasons.append(f"{name} was disabled")
    if stray := others(layout):
        reasons.append(f"an interrupted deploy left {', '.join(sorted(stray))}")
    return reasons


def _same_text(one: str, other: str) -> bool:
    try:
        with open(one, "rb") as first, open(other, "rb") as second:
            return first.read() == second.read()
    except OSError:
        return False
