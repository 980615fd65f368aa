"""The specification of every role says what its defaults are."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
    "float": (float, int),
}


PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
# The entry point of a playbook that is not called like it.
POINTS = {"site": "main"}


@functools.cache
def spec(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    return found


def variables(role: Path) -> dict[str, Any]:
    """The variables of a role: those that Ansible checks, and those that the role itself does."""
    points = spec(role)
    return {**points["main"].get("options", {}), **points.get("inventory", {}).get("options", {})}


def flat(options: dict[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    """Every option of every depth by its path."""
    found = {}
    for key, option in options.items():
        found[prefix + key] = option
        found.update(flat(option.get("options", {}), f"{prefix}{key}."))
    return found


def options_of(playbook: str) -> set[str]:
    """What stands behind -e of a playbook: the options of its entry point that are no variables of an inventory."""
    options = spec(ROOT / "roles/flask_apps")[POINTS.get(playbook, playbook)]["options"]
    return {name for name in options if not name.startswith("flask_apps_")} - {"allow_dev_server"}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_and_specification_agree(role: Path) -> None:
    options = variables(role)
    path = role / "defaults/main.yml"
    defaults = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    said = {key: option["default"] for key, option in options.items() if "default" in option}
    assert said == defaults
    assert {key for key, option in options.items() if "default" not in option} == {
        key for key, option in options.items() if option.get("required") or key not in defaults
    }


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_is_described_and_typed(role: Path) -> None:
    for point, content in spec(role).items():
        for path, option in flat(content.get("options", {})).items():
            where = f"{role.name}.{point}.{path}"
            assert option.get("description"), where
            # A colon in an item of a list makes it a dictionary, on which ansible-doc fails.
            texts = option["description"] if isinstance(option["description"], list) else [option["description"]]
            assert all(isinstance(text, str) for text in texts), where
            assert option.get("type") in {*TYPES, "raw"}, where
            assert option["type"] != "list" or "elements" in option, where
            assert not (option.get("required") and "default" in option), where
            if option["type"] in TYPES and "default" in option:
                right = isinstance(option["default"], TYPES[option["type"]])
                assert right, where
                assert option["type"] == "bool" or not isinstance(option["default"], bool), where
            if "choices" in option and "default" in option:
                said = option["default"] if option["type"] == "list" else [option["default"]]
                assert set(said) <= set(option["choices"]), where


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_variables_carry_the_name_of_their_role(role: Path) -> None:
    exceptions = {"flask_app_defaults", "allow_dev_server", "app"}
    names = set(variables(role)) - exceptions
    assert all(name == role.name or name.startswith(f"{role.name}_") for name in names)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_is_described_for_people_and_for_tools(role: Path) -> None:
    readme = (role / "README.md").read_text()
    assert readme.startswith(f"# flaskworks.deploy.{role.name}\n")
    assert f"ansible-doc -t role flaskworks.deploy.{role.name}" in readme
    assert yaml.safe_load((role / "meta/main.yml").read_text())["galaxy_info"]["license"] == "GPL-3.0-or-later"


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_what_a_playbook_takes_is_documented(playbook: str) -> None:
    """Its head names what may stand behind -e, and the entry point says what that means."""
    head, dummy, play = (ROOT / "playbooks" / f"{playbook}.yml").read_text().partition("- name:")
    assert f"#   ansible-playbook flaskworks.deploy.{playbook} -i inventories/prod" in head
    named = set(re.findall(r"-e \"?(\w+)=", head))
    assert named == options_of(playbook)
    # What is handed on under another name.
    assert set(re.findall(r"{{ (\w+) \|", play)) <= named


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_what_must_be_given_to_a_playbook_is_asked_for_by_its_tasks(playbook: str) -> None:
    """Ansible checks an entry point first, and would stop in words of its own."""
    point = POINTS.get(playbook, playbook)
    options = spec(ROOT / "roles/flask_apps")[point]["options"]
    assert [name for name in options_of(playbook) if options[name].get("required")] == []
    assert (ROOT / "roles/flask_apps/tasks" / f"{point}.yml").is_file()
