"""Promise: rotation loses no line: each request is found exactly once in nginx's log and in gunicorn's."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from e2e.support import Site, output

ROTATIONS = 4
CLIENTS = 4


def test_no_line_is_lost_while_logs_are_rotated_under_load(host: Any, hello: Site) -> None:
    mark = uuid.uuid4().hex[:12]
    done = False

    def visit(client: int) -> list[str]:
        """Asks for numbered pages until it is told to stop; that there are none keeps the answers small."""
        sent: list[str] = []
        with hello.session() as session:
            while not done:
                name = f"{mark}-{client}-{len(sent)}"
                assert session.get(f"{hello.base}/{name}", timeout=15).status_code == 404
                sent.append(name)
        return sent

    with ThreadPoolExecutor(CLIENTS) as pool:
        visits = [pool.submit(visit, client) for client in range(CLIENTS)]
        try:
            for dummy in range(ROTATIONS):
                output(host, "sleep 1; logrotate --force /etc/logrotate.conf")
            output(host, "sleep 1")
        finally:
            done = True
        sent = [name for visit in visits for name in visit.result()]

    assert len(sent) > 100 * ROTATIONS, "too few requests to prove anything"
    for folder, pattern in (("/var/log/nginx", "hello.access.log*"), ("/var/log/hello", "access.log*")):
        rotated = output(host, "find %s -name %s", folder, pattern).split()
        assert len(rotated) > ROTATIONS, f"not rotated: {rotated}"
        lines = output(host, "find %s -name %s -exec zcat -f {} +", folder, pattern).splitlines()
        found = Counter(match[0] for line in lines if (match := re.search(rf"{mark}-\d+-\d+", line)))
        assert len(set(sent) - set(found)) == 0, f"{folder}: lost"
        assert {name: count for name, count in found.items() if count != 1} == {}, f"{folder}: more than once"


def test_rotated_logs_are_kept_from_others(host: Any) -> None:
    readable = output(host, "find /var/log/guestbook /var/log/hello -perm /o=r -print")
    assert readable == ""


def test_each_line_of_the_json_log_is_json(host: Any, hello: Site) -> None:
    nasty = 'quote" backslash\\ tab\t'
    hello.get("/?a=%0a%22%5c", headers={"User-Agent": nasty, "Referer": nasty, "X-Tracking-Id": 'a"b'})
    lines = output(host, "cat /var/log/hello/access.log").splitlines()
    entries = [json.loads(line) for line in lines]
    assert any(entry["user_agent"] == nasty.strip() for entry in entries)
