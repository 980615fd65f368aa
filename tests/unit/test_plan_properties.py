"""Whatever an inventory says: a right one gives a plan, a wrong one an InventoryError, and nothing else happens."""

from __future__ import annotations

import datetime
import json
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.entries import check_entries
from ansible_collections.flaskworks.deploy.plugins.module_utils.logrotate_files import check_policies
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_check import check_sites
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.module_utils.servers import file_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import render_unit
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from hypothesis import given, settings
from hypothesis import strategies as st

SPEC = entry_points("flask_apps")
GOOD: dict[str, Any] = {"source": {"path": "."}, "wsgi": "app:app", "domains": ["blog.example.org"]}

# Values of every key, all right, and right together.
RIGHT: dict[str, list[Any]] = {
    "source": [
        {"git": "https://git.example.org/blog.git"},
        {"git": "git@git.example.org:blog.git", "version": "v2", "subdir": "web"},
        {"path": "../blog", "subdir": "web/site"},
        {"archive": "https://example.org/a.zip", "checksum": "sha256:" + "0" * 64, "strip": False},
        {"archive": "dist/blog.tar.gz"},
        {"git": "https://git.example.org/blog.git", "user": "ann", "password": "s3cr3t-value"},
    ],
    "wsgi": ["app:app", "blog.wsgi:create_app('x', n=1)"],
    "domains": [[], ["blog.example.org"], ["*.example.org", "example.org"]],
    "python": [
        {"installer": "pip"},
        {"requirements": ["requirements/prod.txt"], "packages": ["redis>=5"], "apt": ["libpq5"]},
    ],
    "server": [
        "gunicorn",
        {"worker_class": "sync", "workers": 2},
        {"worker_class": "gevent"},
        {"settings": {"timeout": 60}},
    ],
    "static": [{"/static/": "src:static/"}, {"/a/b/": "package:blog/static/", "/media/": "shared:media/"}],
    "shared": [["media", "instance"], ["media", "var/data"]],
    "env": [{"A": "1"}, {"A": "", "B_2": "ünï\nx"}],
    "secrets": [{"SECRET_KEY": "s3cr3t-value"}],
    "files": [{"config/production.py": {"template": "x.j2"}}, {"a.py": {"content": "x"}, "b.py": {"content": ""}}],
    "health": [{"path": "/health?full=1", "status": [200, 204], "timeout": 5}, {"scheme": "https", "host": "x:8000"}],
    "commands": [{"build": ["make"], "once": [{"run": "flask init-db", "creates": "media/db.sqlite"}]}],
    "nginx": [
        {"listen": [8080]},
        {"locations": {"/events": {"stream": True}, "/": {"read_timeout": 90}}, "max_body": "0", "extra": "gzip on;"},
    ],
    "limits": [{"memory": "1G", "cpu": "150%", "nofile": 4096, "tasks": 64, "nproc": 64}],
    "systemd": [
        {"hardening": "isolated"},
        {"hardening": False},
        {"Service": {"Nice": 5}, "Unit": {"After": ["redis.service"]}},
    ],
    "logs": [{"access": "classic", "rotate": 0}, {"access": "none", "maxsize": "10M"}, {"to": "journal"}],
    "keep": [1, 20],
}
# A static map and a run-once command of these need the shared directory, which only comes with `shared`.
RIGHT_APPS = st.fixed_dictionaries(
    {key: st.sampled_from(RIGHT[key]) for key in ("source", "wsgi", "domains", "shared")},
    optional={
        key: st.sampled_from(values)
        for key, values in RIGHT.items()
        if key not in ("source", "wsgi", "domains", "shared")
    },
)

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.text(),
    st.sampled_from(
        ["", "/", "..", "src:", "\0", "{{ x }}", "http://[", "\ud800", "%i", "a:b(", "x" * 300, "-", "*", "٣"]
    ),
)
JUNK = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.booleans(), inner, max_size=3)
    ),
    max_leaves=8,
)


def paths_of(options: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all keys of a specification."""
    found = []
    for key, option in options.items():
        found.append((*prefix, key))
        if option.get("type") == "dict":
            found += paths_of(option.get("options", {}), (*prefix, key))
    return found


PATHS = paths_of(SPEC["entry"])
FREE = ["static", "env", "secrets", "files", "nginx.locations", "server.settings", "systemd.Service"]


@settings(max_examples=150, deadline=None)
@given(RIGHT_APPS, st.booleans())
def test_any_right_application_gives_entries_that_the_roles_take(app: dict[str, Any], firewall: bool) -> None:
    plan = make_plan(SPEC, {"blog": app}, firewall=firewall)
    checked = {}
    for role in ("nginx_sites", "logrotate_policies", "ufw_rules"):
        checked[role], problems = check_entries(entry_points(role), plan[role], role)
        assert problems == []
    assert check_sites(checked["nginx_sites"]) == []
    assert check_policies(checked["logrotate_policies"]) == []
    for name, sections in plan["releases"]["blog"]["units"].items():
        assert render_unit(sections, name)
    server = plan["releases"]["blog"]["server"]
    compile(file_text(server), "gunicorn.conf.py", "exec")
    assert json.loads(json.dumps(plan)) == plan
    assert plan == make_plan(SPEC, {"blog": app}, firewall=firewall)


def plan_or_problems(apps: Any, defaults: Any = None) -> None:
    """Nothing but InventoryError is raised, and it names at least one problem, with a place inside the variables."""
    found = None
    try:
        make_plan(SPEC, apps, defaults)
    except InventoryError as error:
        found = error.problems
    if found is not None:
        assert found
        assert all(problem.path.startswith(("flask_apps", "flask_app_defaults")) for problem in found)
        assert all(problem.text for problem in found)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(PATHS), JUNK, st.sampled_from(["app", "defaults"]))
def test_junk_in_any_key_is_a_problem_or_a_plan(path: tuple[str, ...], junk: Any, place: str) -> None:
    value = junk
    for key in reversed(path):
        value = {key: value}
    if place == "defaults":
        plan_or_problems({"blog": GOOD}, value)
    else:
        plan_or_problems({"blog": {**GOOD, **value}})


@settings(max_examples=200, deadline=None)
@given(JUNK, JUNK, JUNK)
def test_junk_instead_of_applications_is_a_problem_or_a_plan(apps: Any, app: Any, defaults: Any) -> None:
    plan_or_problems(apps, defaults)
    plan_or_problems({"blog": app, "shop": GOOD}, defaults)


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text(), st.sampled_from(FREE))
def test_any_text_in_free_dictionaries(name: str, value: str, place: str) -> None:
    inner: Any = {name: {"content": value} if place == "files" else value}
    for key in reversed(place.split(".")):
        inner = {key: inner}
    plan_or_problems({"blog": {**GOOD, **inner}})


def test_the_junk_has_dates_in_it() -> None:
    """A guard of the guard: YAML gives dates for unquoted text, and the messages must cope."""
    plan_or_problems({"blog": {**GOOD, "wsgi": datetime.date(2026, 1, 2)}})
