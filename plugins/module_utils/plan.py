# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the applications of an inventory to all that the roles take, or to all that is wrong. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_firewall
from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_kinds as kinds
from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_runtime as runtime
from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_source as code
from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_supply as supply
from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_tls as tls
from ansible_collections.flaskworks.deploy.plugins.module_utils import plan_web as web
from ansible_collections.flaskworks.deploy.plugins.module_utils.entries import EntryPoints, check_entry, check_options
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_background import check_background
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_logs import policies
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_managers import check_manager
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_names import check_name
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_packages import apt_packages
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_paths import base_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_release import release
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_secrets import check_secrets
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_served_code import check_served_code
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_server import check_server, check_type
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_site import site
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError, Problem
from ansible_collections.flaskworks.deploy.plugins.module_utils.undefined import Undefined, without_undefined

Check = Callable[[Report, Entry], None]

# A check and the keys that it reads: with one of those not of the right type it would only repeat that.
CHECKS: tuple[tuple[Check, frozenset[str]], ...] = (
    (kinds.check_source, frozenset({"source"})),
    (supply.check_verify, frozenset({"source"})),
    (code.check_wsgi, frozenset({"wsgi"})),
    (code.check_python, frozenset({"python"})),
    (code.check_commands, frozenset({"commands", "shared"})),
    (check_background, frozenset({"processes", "timers"})),
    (web.check_domains, frozenset({"domains"})),
    (web.check_ports, frozenset({"nginx", "tls"})),
    (web.check_static, frozenset({"static", "shared", "nginx"})),
    (check_served_code, frozenset({"static", "wsgi"})),
    (web.check_nginx, frozenset({"nginx"})),
    (web.check_edge, frozenset({"nginx", "static"})),
    (plan_firewall.check_allow_from, frozenset({"nginx", "tls"})),
    (tls.check_tls, frozenset({"tls", "nginx", "domains"})),
    (tls.check_redirect_from, frozenset({"nginx", "domains"})),
    (web.check_health, frozenset({"health", "static"})),
    (check_server, frozenset({"server", "logs"})),
    (runtime.check_environment, frozenset({"env", "secrets"})),
    (check_secrets, frozenset({"secrets", "env", "files", "process_manager", "systemd"})),
    (runtime.check_shared, frozenset({"shared"})),
    (runtime.check_files, frozenset({"files", "shared", "static"})),
    (runtime.check_limits, frozenset({"limits", "logs", "keep"})),
    (check_manager, frozenset({"process_manager", "limits", "logs", "systemd"})),
    (
        runtime.check_systemd,
        frozenset({"", "process_manager", "systemd", "server", "limits", "logs", "health", "processes", "timers"}),
    ),
)
_TOGETHER = frozenset({"domains", "nginx", "tls"})
_SUPPLIED = frozenset({"source", "python"})


def make_plan(
    points: EntryPoints,
    apps: Any,
    defaults: Any = None,
    *,
    firewall: bool = True,
    version: str = "",
    app: str = "",
    allow_dev_server: bool = False,
    require: Any = (),
) -> dict[str, Any]:
    """Return ``packages``, ``accounts``, ``releases``, ``acme_webroot`` (where nginx shows an authority's challenges),
    and the entries of each role, by the name of its variable.

    ``points`` are the entry points of the role's specification, ``apps`` and ``defaults`` plain data. ``version`` takes
    the place of what the inventory says for ``app``. ``allow_dev_server``: whether an application may have the
    development server. ``require``: what is demanded of where code comes from, as plan_supply.py says. The same input
    gives the same output, in the same order. Raises InventoryError with every problem.
    """
    if isinstance(apps, Undefined):
        text = f"has no value: {apps.why}; it names the applications of the host, {{}} means none"
        raise InventoryError([Problem("flask_apps", text, "undefined")])
    if not isinstance(apps, Mapping):
        raise InventoryError([Problem("flask_apps", "must be a dictionary of applications by name", "wrong-type")])
    if version:
        apps = with_version(apps, app, version, defaults)
    defaults, problems = without_undefined(_written_out(defaults), "flask_app_defaults")
    common, found = check_options(points, points["entry"], defaults, "flask_app_defaults", partial=True)
    problems += found
    demands, unknown = supply.read_demands(require)
    problems += unknown
    entries: dict[str, Entry] = {}
    reports: dict[str, Report] = {}
    together: dict[str, Entry] = {}
    for name in sorted(apps, key=str):
        report = Report("flask_apps", name)
        if check_name(report, name):
            said, missing = without_undefined(_written_out(apps[name]), report.path)
            said = check_type(report, _over_defaults(common, said), allow_dev_server)
            entries[name], keys = _check_app(points, report, name, said, missing)
            reports[name] = report
            if not keys & _SUPPLIED:
                supply.check_demands(report, entries[name], demands)
            if not keys & _TOGETHER:
                together[name] = entries[name]
        else:
            problems += report.problems
    web.check_together(together, reports)
    plan_firewall.check_sources(together, reports, firewall)
    problems += [problem for report in reports.values() for problem in report.problems]
    if problems:
        raise InventoryError(problems)
    return {
        "packages": apt_packages(entries, firewall=firewall),
        "accounts": {name: {"home": base_of(name), "groups": []} for name in entries},
        "releases": {name: release(name, entry) for name, entry in entries.items()},
        "nginx_sites": {name: site(name, entry) for name, entry in entries.items()},
        "tls_certificates": tls.certificates(entries),
        "acme_webroot": tls.WEBROOT,
        "logrotate_policies": policies(entries),
        "ufw_rules": plan_firewall.rules(entries),
    }


def with_version(apps: Mapping[str, Any], app: str, version: str, defaults: Any = None) -> dict[str, Any]:
    """Return the applications with another version of one of them: the named one, or the only one there is.

    Its source may stand in the defaults of all. Raises InventoryError when it is not clear which one is meant.
    """
    name = app or (str(next(iter(apps))) if len(apps) == 1 else "")
    if not name:
        text = f"could be meant for any of {', '.join(sorted(map(str, apps)))}: add -e app=NAME"
        raise InventoryError([Problem("version", text, "version")])
    entry = apps.get(name)
    usual = defaults.get("source") if isinstance(defaults, Mapping) else None
    usual = usual if isinstance(usual, Mapping) else {}
    source = entry.get("source", usual and {}) if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(source, Mapping):
        return dict(apps)
    if not {**usual, **source}.get("git"):
        text = f"the code of {name} does not come from git, so it has no versions to choose from"
        raise InventoryError([Problem("version", text, "version")])
    return {**apps, name: {**entry, "source": {**source, "version": version}}}


def _check_app(
    points: EntryPoints, report: Report, name: str, said: Any, missing: list[Problem]
) -> tuple[Entry, set[str]]:
    """Check one application; return its complete entry and the top-level keys in which something is wrong.

    ``missing``: what is undefined. It says all there is to say of its key, but for secrets, of which each stands alone.
    """
    entry, problems = check_entry(points, said, report.path)
    undefined = _keys(report, missing)
    for problem in missing:
        report.add("undefined", problem.path.removeprefix(report.path).lstrip("."), problem.text)
    if "" in undefined:
        return entry, {"", *entry}
    problems = [problem for problem in problems if not _keys(report, [problem]) & (undefined - {"secrets"})]
    report.problems += problems
    unreadable = _keys(report, (problem for problem in problems if problem.rule != "unknown-key"))
    unreadable |= undefined - {"secrets"}
    for check, keys in CHECKS:
        if not keys & unreadable:
            check(report, entry)
    return entry, _keys(report, report.problems)


def _keys(report: Report, problems: Any) -> set[str]:
    """Return the top-level keys that problems are about."""
    relative = (problem.path.removeprefix(report.path).lstrip(".") for problem in problems)
    return {path.partition(".")[0].partition("[")[0] for path in relative}


def _written_out(entry: Any) -> Any:
    """Return an entry with its short forms written out."""
    if isinstance(entry, Mapping) and isinstance(entry.get("server"), str):
        return {**entry, "server": {"type": entry["server"]}}
    return entry


def _over_defaults(common: Entry, said: Any) -> Any:
    """Return what an application says over the defaults; settings of one kind of server are not put on another."""
    server, before = (entry.get("server") if isinstance(entry, Mapping) else None for entry in (said, common))
    if isinstance(server, Mapping) and isinstance(before, Mapping):
        kind = before.get("type", "gunicorn")
        if server.get("type", kind) != kind:
            common = {**common, "server": {}}
    usual, own = (entry.get("secrets") if isinstance(entry, Mapping) else None for entry in (common, said))
    if isinstance(usual, Mapping) and isinstance(own, Mapping):
        # One is replaced as a whole: another form has other keys.
        kept = {name: one for name, one in usual.items() if own.get(name) is None}
        common = {**common, "secrets": kept}
    return _merged(common, said)


def _merged(base: Any, over: Any, *, keep_null: bool = False) -> Any:
    """Return ``over`` put over ``base``: dictionaries key by key, everything else as a whole.

    Null takes away what ``base`` says. With ``keep_null`` it stays as well: below ``systemd`` it also takes a directive
    of the role away.
    """
    if not isinstance(over, Mapping):
        return base if over is None else over
    merged = dict(base)
    for key, value in over.items():
        if value is None and key in base and not keep_null:
            del merged[key]
        elif isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            merged[key] = _merged(base[key], value, keep_null=keep_null or key == "systemd")
        else:
            merged[key] = value
    return merged
