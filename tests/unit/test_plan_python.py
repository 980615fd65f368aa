"""What an application's `python` becomes: packages of Debian, and what the builds are told."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_digest import input_parts
from ansible_collections.flaskworks.deploy.plugins.modules.debian_info import not_of_this_debian
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

SPEC = entry_points("flask_apps")
GOOD = {"source": {"path": "."}, "wsgi": "app:app", "domains": ["blog.example.org"]}


def plan(**python: Any) -> dict[str, Any]:
    return make_plan(SPEC, {"blog": {**GOOD, "python": python}})


def part(release: dict[str, Any]) -> str:
    return input_parts(release, "1", "abi", "", {}, {})["python"]


@pytest.mark.parametrize(
    ("interpreter", "packages"),
    [
        ("python3", set()),
        ("python3.13", {"python3.13", "python3.13-venv"}),
        ("pypy3", {"pypy3", "pypy3-venv"}),
        ("/opt/python/bin/python3.12", set()),
    ],
)
def test_an_interpreter_of_debian_comes_with_what_it_needs(interpreter: str, packages: set[str]) -> None:
    assert set(plan(interpreter=interpreter)["packages"]) - set(plan()["packages"]) == packages


def test_interpreters_that_a_debian_does_not_have() -> None:
    wanted = ["python3.13", "python3.13-venv", "pypy3", "python3-venv", "nginx", "python3.12-venv"]
    assert not_of_this_debian(wanted, "12") == ["python3.13", "python3.12"]
    assert not_of_this_debian(wanted, "13") == ["python3.12"]
    assert not_of_this_debian(wanted, "99") == []


def test_what_the_server_needs_is_known_apart() -> None:
    python = plan(packages=["redis"])["releases"]["blog"]["python"]
    assert python["packages"][0] == "redis"
    assert python["server_packages"] == python["packages"][1:]


@pytest.mark.parametrize("key", ["index", "extra_indexes", "wheelhouse", "require_hashes"])
def test_what_was_not_said_is_left_out(key: str) -> None:
    assert key not in plan()["releases"]["blog"]["python"]


def test_credentials_of_an_index_make_no_other_release() -> None:
    one, other, elsewhere = (
        plan(index=f"https://{who}{host}/simple", extra_indexes=[f"https://{who}x/simple"])["releases"]["blog"]
        for who, host in (("a:b@", "x"), ("c:d@", "x"), ("a:b@", "y"))
    )
    assert part(one) == part(other) != part(elsewhere)


@pytest.mark.parametrize(
    "index",
    ["https://x/simple", "http://u:p%40@x:8080/simple/", "https://token@x/simple", "file:///srv/index"],
)
def test_addresses_of_indexes(index: str) -> None:
    assert plan(index=index)
    assert plan(extra_indexes=[index])


@pytest.mark.parametrize(
    "index",
    [
        "x/simple",
        "https://",
        "ftp://x/simple",
        "https://x/a b",
        "https://x/simple,y",
        "https://x:port/",
        "file:",
        "/x",
        "-i",
    ],
)
def test_addresses_that_are_refused(index: str) -> None:
    with pytest.raises(InventoryError) as caught:
        plan(extra_indexes=[index])
    (problem,) = caught.value.problems
    assert (problem.rule, problem.path) == ("index", "flask_apps.blog.python.extra_indexes[0]")


def test_a_wrong_address_is_not_repeated() -> None:
    with pytest.raises(InventoryError) as caught:
        plan(index="https://ann:canary-7@x/a b")
    assert "canary-7" not in str(caught.value)
