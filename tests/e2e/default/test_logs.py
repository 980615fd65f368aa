"""Promise: rotation loses no line: each request is found exactly once in nginx's log and in gunicorn's."""

from __future__ import annotations

import json
from typing import Any

from e2e.rotation import rotate_under_load
from e2e.support import Site, output
from e2e.visitors import as_root


def test_no_line_is_lost_while_logs_are_rotated_under_load(host: Any) -> None:
    rotate_under_load(as_root(host), "hello", 8081, "hello.test").check()


def test_rotated_logs_are_kept_from_others(host: Any) -> None:
    readable = output(host, "find /var/log/guestbook /var/log/hello -perm /o=r -print")
    assert readable == ""


def test_each_line_of_the_json_log_is_json(host: Any, hello: Site) -> None:
    nasty = 'quote" backslash\\ tab\t'
    hello.get("/?a=%0a%22%5c", headers={"User-Agent": nasty, "Referer": nasty, "X-Tracking-Id": 'a"b'})
    lines = output(host, "cat /var/log/hello/access.log").splitlines()
    entries = [json.loads(line) for line in lines]
    assert any(entry["user_agent"] == nasty.strip() for entry in entries)
