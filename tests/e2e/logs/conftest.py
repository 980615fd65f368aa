"""The host with all applications live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.logs.host import SITE, LogsHost, entries
from e2e.machine import booted, debians, folder_of
from e2e.playbooks import ROOT


@pytest.fixture(scope="session", params=debians())
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogsHost]:
    name = f"logs{request.param}"
    folder = folder_of(name, tmp_path_factory)
    with booted(LogsHost, name, request.param, folder) as made:
        source = folder / "site"
        source.mkdir(exist_ok=True)
        (source / "site_of_logs.py").write_text(SITE)
        made.root("apt-get -qq update && apt-get -qq install --yes curl jq >/dev/null 2>&1")
        run = made.bring(entries(source))
        assert run.status == 0, run.text[-5000:]
        made.give(ROOT / "tests" / "hostile.py", "/root/hostile.py")
        yield made
