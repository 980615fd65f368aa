"""A real host for the tests of releases, empty at first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.machine import booted, debians, folder_of
from e2e.release_host import ReleaseHost


@pytest.fixture(scope="session", params=debians())
def bare_machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseHost]:
    """A host on which nothing is installed yet."""
    name = f"releases{request.param}"
    with booted(ReleaseHost, name, request.param, folder_of(name, tmp_path_factory)) as machine:
        yield machine


@pytest.fixture(scope="session")
def machine(bare_machine: ReleaseHost) -> ReleaseHost:
    bare_machine.prepare()
    return bare_machine
