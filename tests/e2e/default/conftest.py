"""The two sites of the scenario: a guest book, and hello, which has a port of its own besides."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.support import Site, published_site


@pytest.fixture
def guestbook(host: Any) -> Site:
    return published_site(host, "guestbook.test")


@pytest.fixture
def hello(host: Any) -> Site:
    return published_site(host, "hello.test", 8081)
