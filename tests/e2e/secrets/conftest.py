"""One host with secrets in every form; the tests of this folder run in their order and go on from each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from e2e.machine import debians, folder_of, keep
from e2e.secrets.place import Place
from e2e.status.conftest import HOSTS


@pytest.fixture(scope="session", params=debians())
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A host that serves the site and the index, and has nothing of the collection yet."""
    name = f"secrets{request.param}"
    folder = folder_of(name, tmp_path_factory)
    inventory = folder / "hosts.yml"
    base = [sys.executable, str(HOSTS)]
    if not keep():
        subprocess.run([*base, "down", "--name", name], check=False, capture_output=True)
    up = ["up", "--name", name, "--debian", request.param, "--publish", "80", "--inventory", str(inventory)]
    subprocess.run([*base, *up], check=True)
    made = Place(name, inventory, folder)
    if made.root("test -e /opt/ca.pem || echo new"):
        made.serve()
    yield made
    if not keep():
        subprocess.run([*base, "down", "--name", name], check=True)
