"""Promise: whatever a client sends is one line that can be read back, and one request is found in both logs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from e2e.logs.host import LINES, PORTS, LogsHost
from e2e.rotation import rotate_under_load
from e2e.support import wait_until

JSON_APPS = ["single", "threads", "greenlets", "loop", "alone", "alone-journaled", "journaled"]
FIELDS = [
    "@timestamp", "remote_addr", "protocol", "host", "request_method", "request_path", "status_code", "response_length",
    "referer", "user_agent", "x_tracking_id", "request_time", "request_id",
]  # fmt: skip
ACCESS = "_TRANSPORT=stdout PRIORITY=5"


def of_nginx(app: str) -> str:
    return f"/var/log/nginx/{app}.access.log"


class OwnLog:
    """The access log of an application, a file or in the journal, from now on unless all lines are wanted."""

    def __init__(self, machine: LogsHost, app: str, *, all_lines: bool = False) -> None:
        self.machine, self.app, self.before = machine, app, 0
        self.before = 0 if all_lines else len(self.lines())

    def lines(self) -> list[str]:
        journal = f"journalctl --sync; journalctl -q -o cat -u '{self.app}@*.service' {ACCESS}"
        path = f"/var/log/{self.app}/access.log"
        return self.machine.root(f"if test -e {path}; then cat {path}; else {journal}; fi").split("\n")[
            self.before : -1
        ]

    def until(self, path: str) -> list[str]:
        """Ask for this path, and return all lines when that one is there."""
        self.machine.root(f"curl -s http://127.0.0.1:{PORTS[self.app]}{path}")
        wait_until(lambda: any(path in line for line in self.lines()), 20, f"no line of {path}")
        return self.lines()


def strict(lines: list[str]) -> list[dict[str, Any]]:
    """Lines as the strictest reader of JSON takes them."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    records = [json.loads(line, parse_constant=refuse) for line in lines]
    assert all(set(FIELDS) <= set(record) for record in records)
    assert not [record for record in records if "secret" in str(record["request_path"])]
    return records


@pytest.mark.parametrize("app", JSON_APPS)
def test_hostile_requests_through_nginx(machine: LogsHost, app: str) -> None:
    own, before = OwnLog(machine, app), machine.count(of_nginx(app))
    sent = machine.attack(f"127.0.0.1:{PORTS[app]}", 1000)
    theirs = strict(own.until("/after-the-attack"))
    seen = strict(machine.lines(of_nginx(app), before))
    assert len(seen) == len(sent) + 1, "one line for each request"
    answered = {record["request_id"]: record for record in seen if record["upstream_status"] == 200}
    assert len(answered) > 150
    assert len({record["request_id"] for record in seen}) == len(seen)
    found = [record for record in theirs if record["request_id"] in answered]
    assert sorted(record["request_id"] for record in found) == sorted(answered), "each once in the application's log"
    for record in found:
        same = answered[record["request_id"]]
        assert record["request_method"] == same["request_method"]
        assert record["remote_addr"] == same["remote_addr"]
        assert same["upstream_response_time"] >= 0


@pytest.mark.parametrize("app", JSON_APPS)
def test_hostile_requests_to_the_socket(machine: LogsHost, app: str) -> None:
    own = OwnLog(machine, app)
    sent = machine.attack(f"/srv/{app}/current/gunicorn.sock", 1001)
    records = strict(own.until("/after-the-second-attack"))
    assert len(records) <= len(sent) + 1
    numbers = [int(found[1]) for record in records if (found := re.search(r"/?n(\d+)", str(record["request_path"])))]
    assert {number for number, status in sent.items() if status == 200} <= set(numbers)
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("app", ["classic", "spoken"])
def test_the_classic_text_is_one_line_too(machine: LogsHost, app: str) -> None:
    own, before = OwnLog(machine, app), machine.count(of_nginx(app))
    sent = machine.attack(f"127.0.0.1:{PORTS[app]}", 1002)
    assert machine.count(of_nginx(app)) - before == len(sent)
    assert all(line.isascii() and line.isprintable() for line in machine.lines(of_nginx(app), before))
    direct = machine.attack(f"/srv/{app}/current/gunicorn.sock", 1003)
    lines = own.until("/after-the-attack")
    assert len(lines) <= len(sent) + len(direct) + 1
    form = r'\[[^]]+\] <\d+> \S+ "([^"\\]|\\.)*" \d+ \d+\.\d{6} \d+ "([^"\\]|\\.)*" "([^"\\]|\\.)*"'
    assert [line for line in lines if not re.fullmatch(form, line)] == []


@pytest.mark.parametrize("app", JSON_APPS)
def test_a_client_does_not_choose_the_id(machine: LogsHost, app: str) -> None:
    answered, seen = machine.answer(app, "/chosen", "X-Request-ID: chosen-by-the-client")
    assert re.fullmatch("[0-9a-f]{32}", answered)
    assert seen == answered, "the application sees what nginx logs, and what it answers itself is not passed on"
    assert machine.root(f"grep -c {answered} {of_nginx(app)}").strip() == "1"
    own = [
        record for record in strict(OwnLog(machine, app, all_lines=True).lines()) if record["request_id"] == answered
    ]
    assert [record["request_path"] for record in own] == ["/chosen"]


def test_a_trusted_proxy_chooses_it_if_it_looks_like_one(machine: LogsHost) -> None:
    proxied = "X-Forwarded-For: 203.0.113.9"
    for good in ("0af7651916cd43dd8448eb211c80319c", "Root=1-67891233-abcdef012345678912345678", "a.b_c:d+e/f=g@h"):
        assert machine.answer("greenlets", "/", proxied, f"X-Request-ID: {good}") == (good, good)
        record = strict([machine.root(f"grep -F {good} {of_nginx('greenlets')}").strip()])[0]
        assert (record["request_id"], record["remote_addr"]) == (good, "203.0.113.9")
    for bad in ("short", "x" * 129, "with blank", 'with"quote', "snow☃man"):
        assert re.fullmatch("[0-9a-f]{32}", machine.answer("greenlets", "/", proxied, f"X-Request-ID: {bad}")[0])
    assert machine.answer("threads", "/", proxied, f"X-Request-ID: {good}")[0] != good


def test_fields_that_were_not_sent(machine: LogsHost) -> None:
    machine.root(f"curl -s -A '' -H 'X-Tracking-Id: t-1' 'http://127.0.0.1:{PORTS['threads']}/%C3%BC?q=1'")
    own = strict(OwnLog(machine, "threads", all_lines=True).lines())[-1]
    seen = strict([machine.lines(of_nginx("threads"))[-1]])[0]
    assert (own["request_path"], seen["request_path"]) == ("/\u00fc", "/%C3%BC")
    assert (own["referer"], seen["referer"]) == (None, "")
    assert own["x_tracking_id"] == seen["x_tracking_id"] == "t-1"
    assert own["status_code"] == seen["status_code"] == seen["upstream_status"] == 200
    assert own["@timestamp"][:11] == seen["@timestamp"][:11]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", seen["@timestamp"])


def test_an_operator_follows_a_request_with_jq(machine: LogsHost) -> None:
    identity, dummy = machine.answer("threads", "/followed")
    choose = f"jq -c 'select(.request_id == \"{identity}\") | .request_path'"
    shown = machine.root(f"cat {of_nginx('threads')} /var/log/threads/access.log | {choose}")
    assert shown.split() == ['"/followed"', '"/followed"']


@pytest.mark.parametrize("app", ["single", "threads", "greenlets", "loop", "alone", "classic"])
def test_no_line_is_lost_while_logs_are_rotated_under_load(machine: LogsHost, app: str) -> None:
    rotate_under_load(machine.root, app, PORTS[app]).check()


def test_nginxs_log_of_a_journaled_site_is_rotated(machine: LogsHost) -> None:
    own = OwnLog(machine, "journaled")
    rotated = rotate_under_load(machine.root, "journaled", PORTS["journaled"], logs=[of_nginx("journaled")])
    rotated.check()
    records = strict(own.until("/after-the-rotation"))
    assert {record["request_path"][1:] for record in records} >= set(rotated.sent)


def test_the_journal_drops_nothing(machine: LogsHost) -> None:
    """Without the unit's own limits it keeps 35,000 of these."""
    said = "journalctl --sync; journalctl -q -o cat -u 'journaled@*.service' --grep '^said ' | wc -l"
    before = int(machine.root(said))
    machine.root(f"curl -s http://127.0.0.1:{PORTS['journaled']}/say")
    assert int(machine.root(said)) - before == LINES


@pytest.mark.parametrize("app", ["journaled", "spoken"])
def test_the_journal_stands_in_for_the_files(machine: LogsHost, app: str) -> None:
    machine.root(f"curl -s http://127.0.0.1:{PORTS[app]}/look-at-this; journalctl --sync")
    lines = machine.flaskworks(app, "logs", "--access", "-n", "2").text.splitlines()
    assert len(lines) == 2
    assert "/look-at-this" in lines[-1]
    if app == "journaled":
        strict(lines)
    for words in (["logs", "-n", "1000000"], ["logs", "--error", "-n", "1000000"]):
        shown = machine.flaskworks(app, *words).text
        assert "Booting worker" in shown
        assert "look-at-this" not in shown
    assert "Started" in machine.flaskworks(app, "logs", "-n", "1000000").text
    assert machine.root(f"ls -d /var/log/{app} /etc/logrotate.d/{app} 2>/dev/null || true") == ""
    assert machine.flaskworks(app, "run", "true").status == 0


def test_no_access_log_is_none_in_both_places(machine: LogsHost) -> None:
    machine.root(f"curl -s http://127.0.0.1:{PORTS['silent']}/unseen")
    assert machine.root("ls /var/log/nginx/silent.access* /var/log/silent/access* 2>/dev/null || true") == ""
    shown = machine.flaskworks("silent", "logs", "--access")
    assert (shown.status, shown.errors) == (1, "flaskworks: the live release writes no access log\n")
