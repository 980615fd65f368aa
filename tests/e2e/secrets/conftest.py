"""One host with secrets in every form; the tests of this folder run in their order and go on from each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.secrets.place import Place
from e2e.status.conftest import HOSTS


@pytest.fixture(scope="session", params=os.environ.get("SECRETS_TEST_DEBIAN", "13").split(","))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A host that serves the site and the index, and has nothing of the collection yet.

    SECRETS_TEST_KEEP names a folder: the host stays, and is used again with the secrets that are written there.
    """
    kept = os.environ.get("SECRETS_TEST_KEEP", "")
    folder = Path(kept) / request.param if kept else tmp_path_factory.mktemp("host")
    name, inventory = f"secrets{request.param}", folder / "hosts.yml"
    base = [sys.executable, str(HOSTS)]
    if inventory.exists():
        yield Place(name, inventory, folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([*base, "down", "--name", name], check=False, capture_output=True)
    up = ["up", "--name", name, "--debian", request.param, "--publish", "80", "--inventory", str(inventory)]
    subprocess.run([*base, *up], check=True)
    made = Place(name, inventory, folder)
    made.serve()
    yield made
    if not kept:
        subprocess.run([*base, "down", "--name", name], check=True)
