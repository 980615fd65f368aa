"""A host with nothing on it, and what was deployed there afterwards."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest
from e2e.machine import booted, debians, folder_of
from e2e.status.host import Deployed, StatusHost


@pytest.fixture(scope="session", params=debians())
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StatusHost]:
    """A host on which nothing is installed yet."""
    name = f"status{request.param}"
    with booted(StatusHost, name, request.param, folder_of(name, tmp_path_factory), publish=[80]) as machine:
        yield machine


@pytest.fixture(scope="session")
def deployed(bare: StatusHost) -> Deployed:
    """The site went live, was replaced while somebody followed its logs, and a third version failed its probe."""
    told = Deployed(bare)
    first = bare.deploy("one")
    assert first.status == 0, first.text[-3000:]
    told.first = bare.live("blog")
    follower = subprocess.Popen(
        [*bare.ssh(), "sudo timeout 120 flaskworks blog logs -f -n 5"], stdout=subprocess.PIPE, text=True
    )
    second = bare.deploy("two", playbook="playbooks/deploy.yml")
    assert second.status == 0, second.text[-3000:]
    told.second = bare.live("blog")
    assert bare.get("/say/after-the-switch").status_code == 200
    bare.root("echo a line of gunicorn >>/var/log/blog/error.log")
    time.sleep(2)
    bare.root("pkill -TERM -o -f 'timeout 120 flaskworks'")
    told.followed, dummy = follower.communicate(timeout=20)
    told.failed = bare.deploy("three", playbook="playbooks/deploy.yml", status=500)
    assert told.failed.status != 0
    assert "500 INTERNAL SERVER ERROR" in told.failed.text, f"not the probe failed: {told.failed.text[-3000:]}"
    return told


@pytest.fixture
def machine(deployed: Deployed) -> StatusHost:
    return deployed.machine
