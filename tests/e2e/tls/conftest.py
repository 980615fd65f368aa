"""Two hosts, Debian 12 and 13 side by side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from e2e.machine import debians, folder_of
from e2e.tls.machines import TlsHosts, with_authority


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsHosts]:
    folder = folder_of("tls", tmp_path_factory)
    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            hosts = list(pool.map(lambda debian: with_authority(stack, debian, folder), debians("12,13")))
        yield TlsHosts(folder, hosts)
