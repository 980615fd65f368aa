"""What programs print, also where they are missing or fail."""

from __future__ import annotations

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.ufw_programs import UfwError, must, output


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


def test_a_program_that_must_work_says_why_it_did_not() -> None:
    assert must(["sh", "-c", 'echo "$LC_ALL"']) == "C.UTF-8\n"
    with pytest.raises(UfwError, match=r"^'sh -c echo wrong >&2; exit 3' failed: wrong$"):
        must(["sh", "-c", "echo wrong >&2; exit 3"])
    with pytest.raises(UfwError, match="flaskworks-no-such-program is not installed"):
        must(["flaskworks-no-such-program"])
