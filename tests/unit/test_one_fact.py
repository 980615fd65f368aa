"""Facts that stand in two places, since neither can read the other: both say the same."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils import (
    doctor_facts,
    doctor_facts_app,
    launcher,
    maintenance,
    nginx_edge,
    nginx_waf,
    plan_tls,
    release_cutover,
    release_drain,
    release_probe,
    sandbox_presets,
    servers,
    tls_set,
    tls_store,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from jinja2.nativetypes import NativeEnvironment

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
# Those that run on a host; the others are their action plugins alone.
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py") if "AnsibleModule(" in path.read_text())
# What a role hands to a module as it is: `option: "{{ variable }}"`.
HANDED_ON = re.compile(r"{{ (\w+) }}")


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def rendered(text: str, **values: Any) -> Any:
    return NativeEnvironment(autoescape=False).from_string(text).render(**values)


def module(name: str) -> Any:
    return importlib.import_module(f"ansible_collections.flaskworks.deploy.plugins.modules.{name}")


# Packages


def test_the_modules_of_nginx_are_the_same_packages_for_the_role_and_the_plan() -> None:
    text = loaded("roles/nginx_sites/vars/main.yml")["__nginx_sites_modules"]
    assert rendered(text, __nginx_sites_brotli=["brotli"], __nginx_sites_wafs=[]) == [nginx_edge.BROTLI]
    assert rendered(text, __nginx_sites_brotli=[], __nginx_sites_wafs=["x"]) == list(nginx_waf.PACKAGES)


@pytest.mark.parametrize("mode", ["acme", "files", "self-signed"])
def test_certificates_need_the_same_packages_for_the_role_and_the_plan(mode: str) -> None:
    text = loaded("roles/tls_certificates/vars/main.yml")["__tls_certificates_packages"]
    made = rendered(text, __tls_certificates_entries={"blog": {"mode": mode}})
    assert set(made) == plan_tls.packages({"blog": {"tls": {"mode": mode}}})


# Defaults


class AskedError(Exception):
    """A module has said what it takes."""


def taken_by(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What a module tells AnsibleModule of its options."""

    def stop(**given: Any) -> None:
        raise AskedError(given["argument_spec"])

    with monkeypatch.context() as patch:
        patch.setattr(module(name), "AnsibleModule", stop)
        with pytest.raises(AskedError) as asked:
            module(name).main()
    found: dict[str, dict[str, Any]] = asked.value.args[0]
    return found


def shape(options: Mapping[str, Any]) -> dict[str, Any]:
    """What options take, without their descriptions."""
    said = ("type", "default", "choices", "elements", "required")
    return {
        name: {key: option[key] for key in said if key in option} | {"options": shape(option.get("options", {}))}
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_a_module_takes_what_it_documents(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shape(taken_by(name, monkeypatch)) == shape(yaml.safe_load(module(name).DOCUMENTATION)["options"])


def handed_on(tasks: Any) -> list[tuple[str, str, str]]:
    """Module, option and variable, of every option that is a variable of the role and nothing else."""
    found = []
    for task in tasks or []:
        for key, value in task.items():
            name = key.removeprefix("flaskworks.deploy.")
            if name in MODULES and isinstance(value, dict):
                pairs = ((option, HANDED_ON.fullmatch(str(text).strip())) for option, text in value.items())
                found += [(name, option, match[1]) for option, match in pairs if match]
    return found


HANDED = [
    (role, *each)
    for role in ROLES
    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))
    for each in handed_on(yaml.safe_load(path.read_text()))
]


def test_the_defaults_of_roles_are_those_of_their_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = set()
    for role, name, option, variable in HANDED:
        spec = taken_by(name, monkeypatch)[option]
        defaults = loaded(f"roles/{role}/defaults/main.yml")
        if "default" in spec and variable in defaults and name == role:
            assert spec["default"] == defaults[variable], variable
            compared.add(variable)
    # The specification of each role says them too: test_specs.py.
    assert compared >= {
        *(f"ufw_rules_{option}" for option in ("enabled", "default_incoming", "purge_foreign", "ssh_limit")),
        *("ufw_rules_ssh_unlimited", "ufw_rules_revert_after"),
        *(f"tls_certificates_{option}" for option in ("owner", "webroot", "called")),
        "python_venvs_owner",
    }


def test_the_default_of_the_way_back_is_the_action_plugins_too() -> None:
    action = importlib.import_module("ansible_collections.flaskworks.deploy.plugins.action.ufw_rules")
    assert loaded("roles/ufw_rules/defaults/main.yml")["ufw_rules_revert_after"] == action.DEFAULT_SECONDS


def test_challenges_are_left_where_the_plan_has_nginx_look() -> None:
    assert loaded("roles/tls_certificates/defaults/main.yml")["tls_certificates_webroot"] == plan_tls.WEBROOT


# Keys that an application and a site have in common

# Of a location of a site the default is a number that means "that of the site", of an application's nothing at all.
OTHERWISE = {"entry_locations": {"read_timeout", "send_timeout"}}


def of_a_site(text: Any) -> Any:
    """The words of an application's option as those of a site are."""
    if isinstance(text, list):
        return [of_a_site(each) for each in text]
    for mine, theirs in (
        ("O(entry:nginx.", "O(entry:"),
        ("O(entry:static)", "O(entry:aliases)"),
        ("/APP.", "/NAME."),
        ("the host's limit, 15,", "O(main:nginx_sites_client_header_timeout),"),
    ):
        text = text.replace(mine, theirs)
    return text


def described(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {
            **{key: value for key, value in option.items() if key != "options"},
            "description": of_a_site(option["description"]),
            "options": described(option.get("options", {})),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("key", [*nginx_edge.KEYS, "waf"])
def test_a_key_of_an_application_is_that_of_a_site(key: str) -> None:
    site, app = entry_points("nginx_sites")["entry"], entry_points("flask_apps")["entry"]["nginx"]["options"]
    assert described({key: app[key]}) == described({key: site[key]})


@pytest.mark.parametrize("point", ["entry_locations", "entry_error_pages", "entry_redirects"])
def test_a_part_of_an_application_is_that_of_a_site(point: str) -> None:
    site, app = entry_points("nginx_sites")[point], entry_points("flask_apps")[point]
    other = OTHERWISE.get(point, set())
    assert set(app) == set(site)
    assert {key: value for key, value in described(app).items() if key not in other} == {
        key: value for key, value in described(site).items() if key not in other
    }
    for key in other:
        assert (app[key]["type"], "default" in app[key], site[key]["default"]) == (site[key]["type"], False, 0)


# Numbers of the guides

NOOP = json.loads((ROOT / "bench/results/noop.json").read_text())
HEAD = loaded("roles/nginx_sites/defaults/main.yml")["nginx_sites_client_header_timeout"]
JOURNAL = int(re.findall(r"--since=-(\d+)d", inspect.getsource(doctor_facts))[0])
NUMBERS = [
    ("docs/tls.md", r"in its last (\d+) days", tls_set._RENEW.days),
    ("docs/tls.md", r"finds less than (\d+) days", tls_store.LATE.days),
    ("docs/doctor.md", r"in the journal of (\d+) days", JOURNAL),
    ("docs/doctor.md", r"for (\d+) s at most", doctor_facts_app.LOADED_WITHIN),
    ("docs/releases.md", r"have to stay up for (\d+) s", release_cutover.SETTLE),
    ("docs/releases.md", r"when for (\d+) s all that is left", release_drain.SETTLED),
    ("docs/releases.md", r"one request may take (\d+) s", release_probe.REQUEST_TIMEOUT),
    ("docs/releases.md", r"at the latest \((\d+) s unless set\)", servers.GRACEFUL_TIMEOUT),
    ("docs/managers.md", r"\| after (\d+) starts in a minute \|", launcher.BURST),
    ("docs/nginx.md", r"Until then it is the host's: (\d+) s", HEAD),
    ("docs/attacks.md", r"a head has (\d+) s to arrive", HEAD),
    ("roles/flask_apps/meta/argument_specs.yml", r"under the host's limit, (\d+),", HEAD),
    (
        "roles/flask_apps/meta/argument_specs.yml",
        r"one line of text of up to (\d+) characters",
        maintenance.MESSAGE_LENGTH,
    ),
    ("roles/flask_apps/meta/argument_specs.yml", r"come back\. (\d+) unless set", maintenance.RETRY_AFTER),
    ("roles/flask_apps/README.md", r"come back; (\d+) unless given", maintenance.RETRY_AFTER),
    ("README.md", r"takes (\d+) round trips", NOOP["roundtrips_1"]),
    ("README.md", r"takes (\d+) round trips", NOOP["roundtrips_10"]),
    ("README.md", r"([0-9.]+) times as long as `ansible -m setup`", round(NOOP["ratio_setup"], 1)),
    ("README.md", r"takes ([0-9.]+) times \(one application\)", round(NOOP["ratio_builtin_1"], 1)),
    ("README.md", r"and (\d+) times \(ten\)", round(NOOP["ratio_builtin_10"])),
]


@pytest.mark.parametrize(("document", "words", "number"), NUMBERS, ids=[f"{each[0]} {each[1]}" for each in NUMBERS])
def test_a_guide_has_the_number_of_the_code(document: str, words: str, number: float) -> None:
    text = " ".join((ROOT / document).read_text().split())
    assert {float(found) for found in re.findall(words, text)} == {number}


def test_the_exposure_of_a_site_is_the_same_everywhere() -> None:
    (said,) = re.findall(r"\| `strict` \| ([0-9.]+) \|", (ROOT / "docs/sandbox.md").read_text())
    assert float(said) <= sandbox_presets.SCORES["strict"]
    for document in ("README.md", "docs/managers.md", "docs/sandbox.md"):
        assert set(re.findall(r"exposure (\d\.\d)", (ROOT / document).read_text())) == {said}
    assert f"rates the exposure of `strict` {said}" in (ROOT / "roles/systemd_units/README.md").read_text()


def test_the_launcher_gives_up_as_systemd_does() -> None:
    blog = {"source": {"path": "."}, "wsgi": "app:app", "domains": ["blog.example.org"]}
    units = make_plan(entry_points("flask_apps"), {"blog": blog})["releases"]["blog"]["units"]
    unit = units["blog@.service"]["Unit"]
    assert (unit["StartLimitBurst"], unit["StartLimitIntervalSec"]) == (launcher.BURST, launcher.INTERVAL)
