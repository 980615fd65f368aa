"""For each Debian a host with sites, and one outside that attacks it. Both Debians are attacked at once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from e2e.edge.machines import EdgeHosts, attacked, stored
from e2e.machine import debians, folder_of

DEBIANS = debians("12,13")
# Where the results of a run are kept, for docs/attacks.md.
STORE = os.environ.get("EDGE_TEST_STORE", "")


@pytest.fixture(scope="session")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, EdgeHosts]]:
    """Both, attacked."""
    folders = {debian: folder_of(f"edge{debian}", tmp_path_factory) for debian in DEBIANS}
    with ExitStack() as stack:
        with ThreadPoolExecutor(len(DEBIANS)) as pool:
            started = {debian: pool.submit(attacked, stack, debian, folder) for debian, folder in folders.items()}
        found = {debian: future.result() for debian, future in started.items()}
        if STORE:
            kept = {
                "date": time.strftime("%Y-%m-%d", time.gmtime()),
                "hosts": [stored(each) for each in found.values()],
            }
            Path(STORE).write_text(json.dumps(kept, indent=1) + "\n")
        yield found


@pytest.fixture(params=DEBIANS)
def edge(request: pytest.FixtureRequest, edges: dict[str, EdgeHosts]) -> EdgeHosts:
    return edges[request.param]
