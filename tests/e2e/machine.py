"""Test hosts of the scenarios without molecule, and the two facts that their caller may choose.

TEST_DEBIAN=12,13 names the releases of Debian. TEST_KEEP=1 leaves the hosts up; the next run with it uses them again.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def debians(usual: str = "13") -> list[str]:
    """The releases of Debian on which a scenario is told."""
    return (os.environ.get("TEST_DEBIAN") or usual).split(",")


def keep() -> bool:
    """Whether hosts are used again, and left up."""
    return bool(os.environ.get("TEST_KEEP"))


def folder_of(name: str, factory: pytest.TempPathFactory) -> Path:
    """The folder for what belongs to a host; it is kept with the host."""
    if not keep():
        return factory.mktemp(name)
    kept = ROOT / ".cache" / "kept" / name
    kept.mkdir(parents=True, exist_ok=True)
    return kept
