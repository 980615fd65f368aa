"""Promise: a wrong inventory is refused with words that help, and the host is not touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.playbooks import ROOT
from e2e.support import output

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases.yml").read_text())["cases"]
SECRETS: dict[str, Any] = {
    "source": {"path": "."},
    "wsgi": "app:app",
    "domains": ["a.example.org"],
    "secrets": {
        "API_KEY": "{{ vault_api_key }}",
        "DSN": "postgresql://app:{{ vault_password }}@db/app",
        "OTHER": "{{ vault_other | default('') }}",
        "FINE": "it-is-there",
        "OWN": {"generate": 50},
    },
}
MISSING = {
    "blog.secrets.API_KEY": "has no value: 'vault_api_key' is undefined",
    "blog.secrets.DSN": "has no value: 'vault_password' is undefined",
    "blog.secrets.OTHER": "is empty",
    "shop.secrets.API_KEY": "has no value: 'vault_api_key' is undefined",
    "shop.secrets.DSN": "has no value: 'vault_password' is undefined",
    "shop.secrets.OTHER": "is empty",
    "shop.domains[0]": "has no value: 'vault_domain' is undefined",
}
# sshd takes at most ten sessions from one connection, which all the names of the host share.
FORKS = "8"


def case_name(number: int) -> str:
    return f"case{number:03}"


def state(host: Any) -> str:
    """A hash over the content, names, owners and modes below /etc and /srv, the packages and the users."""
    files = output(host, "find /etc /srv -type f -exec sha256sum {} + | sort | sha256sum")
    names = output(host, "find /etc /srv -printf '%p %M %u %g %l %T@\\n' | sort | sha256sum")
    return files + names + output(host, "dpkg-query --show | sha256sum")


@pytest.fixture(scope="module")
def refusals(host: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What site.yml says to each inventory: one run, in which the host has a name for every case.

    The host must be the same afterwards, or no test of this file passes.
    """
    folder = tmp_path_factory.mktemp("bad_input")
    connection = {key: value for key, value in host.ansible.get_variables().items() if key.startswith("ansible_")}
    hosts: dict[str, Any] = {}
    for number, case in enumerate(CASES):
        hosts[case_name(number)] = {"flask_apps": case["apps"], "flask_app_defaults": case.get("defaults", {})}
        hosts[case_name(number)] |= {"flask_apps_require": case["require"]} if "require" in case else {}
    hosts["forgotten"] = {"flask_app": {}}
    hosts["missing"] = {"flask_apps": {"blog": dict(SECRETS), "shop": {**SECRETS, "domains": ["{{ vault_domain }}"]}}}
    inventory = folder / "hosts.yml"
    variables = {key: value for key, value in connection.items() if isinstance(value, (str, int))}
    groups = {"flask_hosts": {"hosts": {name: {**variables, **own} for name, own in hosts.items()}}}
    inventory.write_text(yaml.safe_dump({"all": {"children": groups}}, allow_unicode=True))

    before = state(host)
    environment = {key: value for key, value in os.environ.items() if key != "ANSIBLE_BECOME"}
    environment |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    # One line of JSON for each failure.
    environment |= {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_CALLBACK_FORMAT_PRETTY": "false"}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "site.yml", "-i", str(inventory), "--forks", FORKS],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert state(host) == before, "the host was changed"
    found = re.findall(r"^fatal: \[(\w+)\]: FAILED! => (\{.*\})$", done.stdout, re.MULTILINE)
    assert "changed: [" not in done.stdout, done.stdout[-5000:]
    messages = {name: str(json.loads(result)["msg"]) for name, result in found}
    assert messages, done.stdout[-5000:] + done.stderr[-2000:]
    return messages


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{number}-{CASES[number]['rule']}")
def test_a_wrong_inventory_is_refused(refusals: dict[str, str], number: int) -> None:
    message = refusals[case_name(number)]
    assert CASES[number]["says"] in message
    assert "1 problem in the inventory, nothing was changed:" in message


def test_a_forgotten_or_misspelt_variable_is_refused(refusals: dict[str, str]) -> None:
    """An empty host must be asked for: flask_apps has no default."""
    assert "flask_apps: has no value: 'flask_apps' is undefined" in refusals["forgotten"]


def test_all_that_is_missing_is_named_at_once(refusals: dict[str, str]) -> None:
    message = refusals["missing"]
    assert "7 problems in the inventory, nothing was changed:" in message
    for key, words in MISSING.items():
        assert f"flask_apps.{key}: {words}" in message
