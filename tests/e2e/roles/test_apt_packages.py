"""The role apt_packages, alone."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("package", ["curl", "tree"])
def test_the_packages_are_there(host: Any, package: str) -> None:
    assert host.package(package).is_installed
    assert host.run(f"{package} --version").rc == 0
