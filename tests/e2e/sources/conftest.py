"""A real host that serves its own sources."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.machine import booted, debians, folder_of
from e2e.release_host import ReleaseHost
from e2e.sources.servers import Sources, serve


@pytest.fixture(scope="session", params=debians())
def sources(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    name = f"sources{request.param}"
    with booted(ReleaseHost, name, request.param, folder_of(name, tmp_path_factory)) as host:
        host.prepare(("iproute2", "iproute2, openssh-client, openssl"))
        yield serve(host)
