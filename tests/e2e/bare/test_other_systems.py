"""Promise: a system that this collection is not made for is refused in plain words, and left as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from e2e.support import output, play


@pytest.fixture
def ubuntu(host: Any) -> Iterator[None]:
    """The host says that it is another system. os-release(5): what lies in /etc goes before what the system brings."""
    target = output(host, "readlink /etc/os-release")
    text = 'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04 LTS"\n'
    output(host, "rm /etc/os-release && printf %s > /etc/os-release", text)
    yield
    output(host, "ln -sf %s /etc/os-release", target)


@pytest.mark.usefixtures("ubuntu")
@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_another_system_is_refused_and_left_alone(host: Any, option: str) -> None:
    before = output(host, "find /etc /srv /var/lib -newer /etc/os-release -type f | sort")
    run = play(host, "site.yml", option, status=None)
    assert run.status != 0
    assert "runs Ubuntu 24.04 LTS" in run.text
    assert "Debian 12 (bookworm)" in run.text
    assert run.changed == []
    assert output(host, "find /etc /srv /var/lib -newer /etc/os-release -type f | sort") == before
