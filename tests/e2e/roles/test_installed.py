"""What is tested is the tarball, and it holds the product and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INSTALLED = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"]) / "ansible_collections/flaskworks/deploy"
ROLES = sorted(path.name for path in (Path(__file__).resolve().parents[3] / "roles").iterdir())


def test_the_tarball_has_the_product_and_nothing_else() -> None:
    found = {path.name for path in INSTALLED.iterdir()}
    product = {"meta", "playbooks", "plugins", "roles", "README.md", "CHANGELOG.rst", "LICENSE"}
    guides = {"docs", "inventories"}
    assert found == {*product, *guides, "MANIFEST.json", "FILES.json"}
    assert [path.name for path in (INSTALLED / "inventories").iterdir()] == ["prod"]
    assert {path.suffix for path in (INSTALLED / "docs").iterdir() if path.is_file()} == {".md", ".svg", ".png"}
    assert sorted(path.name for path in (INSTALLED / "roles").iterdir()) == ROLES


@pytest.mark.parametrize("role", ROLES)
def test_the_role_documents_its_variables(role: str) -> None:
    ansible_doc = str(Path(sys.executable).parent / "ansible-doc")
    shown = subprocess.run(
        [ansible_doc, "--type", "role", f"flaskworks.deploy.{role}"],
        cwd=INSTALLED.parent,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "PAGER": "cat"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"ROLE: flaskworks.deploy.{role}" in shown or f"ROLE: *flaskworks.deploy.{role}*" in shown
    assert "ENTRY POINT:" in shown
    assert role in shown.partition("ENTRY POINT:")[2]
