"""What several unit tests share."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture(scope="session")
def deploy_key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A key of SSH without a password."""
    path = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.read_text()
