"""Processes, timers, and the version that a single deploy asks for."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.filter.led_by import led_by
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_units import shell_line
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_units import kinds_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import render_unit
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

SPEC = entry_points("flask_apps")
BLOG: dict[str, Any] = {
    "source": {"git": "https://git.example.org/blog.git", "version": "v1"},
    "wsgi": "blog:app",
    "domains": ["blog.example.org"],
}


def units(**keys: Any) -> dict[str, Any]:
    found: dict[str, Any] = make_plan(SPEC, {"blog": {**BLOG, **keys}})["releases"]["blog"]["units"]
    return found


def test_a_process_is_a_unit_for_each_of_its_number() -> None:
    made = units(processes={"worker": {"run": "rq worker", "count": 2, "stop_timeout": 90}})
    names = sorted(set(made) - {"blog@.service", "blog@.socket"})
    assert names == ["blog.worker.1@.service", "blog.worker.2@.service"]
    service = made["blog.worker.1@.service"]["Service"]
    assert service["ExecStart"] == '/bin/sh -c "exec rq worker"'
    assert service["TimeoutStopSec"] == 90
    web = made["blog@.service"]["Service"]
    for directive in ("User", "EnvironmentFile", "WorkingDirectory", "ProtectSystem", "ReadWritePaths", "KillMode"):
        assert service[directive] == web[directive]
    assert "Sockets" not in service
    assert all(render_unit(unit, name) for name, unit in made.items())


def test_a_timer_is_a_timer_and_its_job() -> None:
    made = units(timers={"tidy": {"run": "flask tidy && echo done", "calendar": "Mon 09:30"}})
    assert made["blog.tidy@.timer"]["Timer"] == {"OnCalendar": "Mon 09:30", "Persistent": False}
    job = made["blog.tidy@.service"]
    assert job["Service"]["Type"] == "oneshot"
    assert "Install" not in job
    assert all(render_unit(unit, name) for name, unit in made.items())


def test_directives_of_the_user_reach_processes_too() -> None:
    made = units(processes={"worker": {"run": "rq worker"}}, systemd={"Service": {"Nice": 5, "RestrictRealtime": None}})
    assert made["blog.worker.1@.service"]["Service"]["Nice"] == 5
    assert "RestrictRealtime" not in made["blog.worker.1@.service"]["Service"]


def test_systemd_takes_nothing_of_a_command_for_its_own() -> None:
    assert shell_line('echo "$HOME" %i \\n') == '/bin/sh -c "echo \\"$$HOME\\" %%i \\\\n"'


def test_units_are_told_apart_by_what_they_do() -> None:
    names = ["blog.tidy@1.timer", "blog.tidy@1.service", "blog.worker.1@1.service", "blog@1.service", "blog@1.socket"]
    kinds = kinds_of("blog", names)
    assert kinds.web == ["blog@1.socket", "blog@1.service"]
    assert kinds.processes == ["blog.worker.1@1.service"]
    assert kinds.timers == ["blog.tidy@1.timer"]
    assert kinds.jobs == ["blog.tidy@1.service"]
    assert "blog.tidy@1.service" not in kinds.lasting


@pytest.mark.parametrize(("apps", "app"), [({"blog": BLOG}, ""), ({"blog": BLOG, "shop": BLOG}, "blog")])
def test_a_version_takes_the_place_of_the_inventorys(apps: dict[str, Any], app: str) -> None:
    entries = {name: {**entry, "domains": [f"{name}.example.org"]} for name, entry in apps.items()}
    made = make_plan(SPEC, entries, version="v2", app=app)["releases"]
    assert made["blog"]["source"]["version"] == "v2"
    assert all(made[name]["source"]["version"] == "v1" for name in made if name != "blog")
    assert BLOG["source"]["version"] == "v1"


def test_a_version_takes_the_place_of_that_in_the_defaults() -> None:
    """It was said of a deploy, which must not go on with another one in silence."""
    plain, usual = {key: value for key, value in BLOG.items() if key != "source"}, {"source": BLOG["source"]}
    for entry in (plain, {**plain, "source": {"version": "v3"}}):
        made = make_plan(SPEC, {"blog": entry}, usual, version="v2")["releases"]["blog"]["source"]
        assert (made["url"], made["version"]) == (BLOG["source"]["git"], "v2")


def test_a_version_needs_an_application_that_has_versions() -> None:
    both = {"blog": BLOG, "shop": {**BLOG, "domains": ["shop.example.org"]}}
    with pytest.raises(InventoryError, match="could be meant for any of blog, shop: add -e app=NAME"):
        make_plan(SPEC, both, version="v2")
    with pytest.raises(InventoryError, match="does not come from git"):
        make_plan(SPEC, {"blog": {**BLOG, "source": {"path": "."}}}, version="v2")


def test_a_version_for_an_application_of_another_host_changes_nothing_here() -> None:
    assert make_plan(SPEC, {"blog": BLOG}, version="v2", app="shop") == make_plan(SPEC, {"blog": BLOG})


def test_the_first_host_that_has_an_application_leads_it() -> None:
    hosts: dict[str, Any] = {"web1": {"blog": {}}, "web2": {"blog": {}, "shop": {}}, "web3": {"shop": {}}}
    assert [led_by(["blog", "shop"], host, hosts) for host in hosts] == [["blog"], ["shop"], []]
