"""One host with secrets in every form; the tests of this folder run in their order and go on from each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.machine import booted, debians, folder_of
from e2e.secrets.host import SecretsHost


@pytest.fixture(scope="session", params=debians())
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretsHost]:
    """A host that serves the site and the index, and has nothing of the collection yet."""
    name = f"secrets{request.param}"
    with booted(SecretsHost, name, request.param, folder_of(name, tmp_path_factory), publish=[80]) as made:
        made.serve()
        yield made
