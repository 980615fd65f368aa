"""The inventories that are shipped are accepted by the plan, and hold no real secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = """\
- hosts: flask_hosts
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.copy:
        dest: "{{ out }}/{{ inventory_hostname }}.json"
        content: "{{ flask_apps | flaskworks.deploy.plan(defaults=flask_app_defaults | default({})) | to_json }}"
"""
# The words in the comment above the vault's values.
VAULT_PASSWORD = "example"


def plans(tmp_path: Path, *inventories: str) -> dict[str, Any]:
    """The plan of every host of an inventory, made by ansible-playbook."""
    (tmp_path / "plan.yml").write_text(PLAYBOOK)
    (tmp_path / "password").write_text(VAULT_PASSWORD)
    (tmp_path / "out").mkdir()
    options = [word for inventory in inventories for word in ("-i", inventory)]
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible-playbook"), str(tmp_path / "plan.yml"), *options),
            *("-e", f"out={tmp_path / 'out'}", "--vault-password-file", str(tmp_path / "password")),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "home")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}


def test_the_production_example_is_a_plan(tmp_path: Path) -> None:
    found = plans(tmp_path, "inventories/prod")
    # An authority asks any of several hosts, and each host makes secrets of its own: docs/tls.md, docs/secrets.md.
    assert list(found) == ["vps1.example.org"]
    for plan in found.values():
        assert sorted(plan["releases"]) == ["blog", "shop"]
        assert plan["nginx_sites"]["blog"]["server_names"] == ["blog.example.org"]
        assert {made["mode"] for made in plan["tls_certificates"].values()} == {"acme"}
        assert sorted(plan["tls_certificates"]) == ["blog", "shop"]
        assert plan["releases"]["shop"]["secrets"]["DATABASE_URL"].startswith("postgresql://")


def test_the_demo_is_a_plan(tmp_path: Path) -> None:
    host = tmp_path / "host.yml"
    host.write_text("flask_hosts: {hosts: {demo: {}}}\n")
    found = plans(tmp_path, "inventories/demo", str(host))
    assert sorted(found["demo"]["releases"]) == ["guestbook", "hello"]
    assert len(found["demo"]["releases"]["guestbook"]["secrets"]["SECRET_KEY"]) >= 32


def encrypted(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    assert isinstance(node, yaml.ScalarNode)
    return str(loader.construct_scalar(node))


class VaultLoader(yaml.SafeLoader):
    """Reads a file with encrypted values without decrypting them."""


VaultLoader.add_constructor("!vault", encrypted)


@pytest.fixture
def vault() -> dict[str, str]:
    text = (ROOT / "inventories/prod/group_vars/flask_hosts/vault.yml").read_text()
    return dict(yaml.load(text, VaultLoader))


def test_every_value_of_the_vault_is_encrypted(vault: dict[str, str]) -> None:
    assert len(vault) >= 4
    assert {name for name, value in vault.items() if not value.startswith("$ANSIBLE_VAULT;")} == set()


def test_the_vault_holds_dummies_only(vault: dict[str, str], tmp_path: Path) -> None:
    secrets = {
        value
        for app in plans(tmp_path, "inventories/prod")["vps1.example.org"]["releases"].values()
        for value in app["secrets"].values()
    }
    assert len(secrets) == len(vault)
    assert {value for value in secrets if "dummy" not in value} == set()
