"""A real host with an index of its own behind a password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.environments.host import INDEX_SERVER, MAKE_WHEEL, PASSWORD, IndexHost
from e2e.machine import booted, debians, folder_of
from e2e.release_host import ReleaseHost


@pytest.fixture(scope="session", params=debians())
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexHost]:
    name = f"environments{request.param}"
    folder = folder_of(name, tmp_path_factory)
    with booted(ReleaseHost, name, request.param, folder) as host:
        host.prepare(("[blog, shop,", "[blog, shop, locked, packed, priv,"))
        host.root("python3 -", MAKE_WHEEL)
        server = "cat > /opt/index.py; systemctl is-active -q private-index ||"
        host.root(f"{server} systemd-run --quiet --unit=private-index python3 /opt/index.py", INDEX_SERVER % PASSWORD)
        yield IndexHost(host, folder, request.param)
