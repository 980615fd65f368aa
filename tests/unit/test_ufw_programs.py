"""What programs print, also where they are missing or fail."""

from __future__ import annotations

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import output


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["sh", "-c", "echo told"], "told\n"),
        (["sh", "-c", "echo told; echo wrong >&2; exit 3"], "told\n"),
        (["flaskworks-no-such-program"], ""),
    ],
)
def test_what_a_program_prints(argv: list[str], text: str) -> None:
    assert output(argv) == text
