"""When the role tls_certificates asks an authority, from what its first part has found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment

TASKS = Path(__file__).resolve().parents[2] / "roles/tls_certificates/tasks/issue.yml"
NOTHING: dict[str, Any] = {"owner": "a", "pending": {}, "stale": []}


@pytest.mark.parametrize(
    ("prepared", "asked"),
    [
        (None, True),
        (NOTHING, False),
        ({**NOTHING, "pending": {"blog": "new"}}, True),
        ({**NOTHING, "stale": ["blog"]}, True),
        ({**NOTHING, "owner": "b"}, True),
        ({"failed": True}, True),
    ],
)
def test_an_authority_is_asked_when_something_is_left_for_this_owner(
    prepared: dict[str, Any] | None, asked: bool
) -> None:
    (task,) = yaml.safe_load(TASKS.read_text())
    known = {} if prepared is None else {"__tls_certificates_prepared": prepared}
    condition = Environment(autoescape=False).compile_expression(task["when"])
    assert condition(tls_certificates_owner="a", **known) is asked
