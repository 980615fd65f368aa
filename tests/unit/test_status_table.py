"""The status as text: columns that fit whatever is in them, and words a person understands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.deploy.plugins.filter.status_table import status_table
from ansible_collections.flaskworks.deploy.plugins.module_utils import status_table as text
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_report import plain_status, report

NOW = "2026-03-14T10:15:00Z"
A, B = "20260314-071500-aaaaaaaa", "20260313-101500-bbbbbbbb"


def app(**changes: Any) -> dict[str, Any]:
    web = {
        "active": "active",
        "since": "2026-03-14T07:15:01Z",
        "restarts": 1,
        "workers": 2,
        "workers_configured": 3,
        "memory_bytes": 90 * 2**20,
        "memory_peak_bytes": 100 * 2**20,
    }
    kept = [
        {"id": A, "asked": "v2", "version": "abcdef0123456789", "created": "2026-03-14T07:14:00Z", "ended": "live"},
        {
            "id": B,
            "asked": "v1",
            "version": "v1",
            "created": "2026-03-13T10:15:00Z",
            "live_until": "2026-03-14T07:15:00Z",
            "ended": "rolled back",
            "rolled_back": {"by": "otto@pc", "time": "2026-03-14T07:15:00Z", "to": A},
        },
    ]
    base = {
        "app": "blog",
        "state": "live",
        "release": A,
        "asked": "v2",
        "version": "abcdef0123456789",
        "since": "2026-03-14T07:15:00Z",
        "by": "anna@laptop",
        "web": web,
        "probe": {"good": True, "status": 200, "ms": 12.4, "answer": "200 OK"},
        "probe_at_deploy_ms": 240,
        "releases": kept,
        "failures": [],
    }
    return base | changes


def host(*apps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"time": NOW, "prepared": True, "apps": list(apps), "missing": {}, **more}


def test_a_line_for_each_application_of_each_host() -> None:
    other = app(app="shop-with-a-long-name", state="no release", release=None, version=None, asked=None)
    other |= {"since": None, "by": None, "web": None, "probe": None}
    lines = report({"vps1": host(app()), "vps2": host(other)}, details=False).splitlines()
    assert lines == [
        "HOST  APP                    RELEASE                   VERSION      SINCE    BY           STATE       WORKERS"
        "  MEMORY  PROBE",
        "vps1  blog                   20260314-071500-aaaaaaaa  v2 abcdef01  3 h ago  anna@laptop  live            2/3"
        "  90 MiB  12 ms",
        "vps2  shop-with-a-long-name  -                         -            -        -            no release        -"
        "       -      -",
    ]


def test_what_is_said_of_an_application() -> None:
    failure = {"time": "2026-03-14T09:15:00Z", "version": "v3", "step": "probe", "problem": "500 where 200 is wanted"}
    running = {"state": "running", "action": "deploy", "release": B, "by": "otto@pc", "since": NOW, "step": "python"}
    worker = {"name": "worker", "number": 1, "active": "active", "since": NOW, "restarts": 0, "memory_bytes": 1024}
    timer = {"name": "clean", "active": "active", "next": "2026-03-14T12:15:00Z", "last": None, "result": None}
    failed = {**timer, "name": "mail", "last": "2026-03-14T08:15:00Z", "result": "exit-code"}
    shown = app(failures=[failure], activity=running, processes=[worker], timers=[timer, failed])
    assert report({"vps1": host(shown)}).split("\n\n")[1] == (
        "vps1: blog\n"
        f"  going on: deploy of {B} by otto@pc, begun 0 s ago, now at the step 'python'\n"
        "  probe: 12 ms now, 240 ms when it went live\n"
        "  web service: started 2 h ago, 1 restart, memory peak 100 MiB\n"
        "  processes and timers:\n"
        "    NAME      STATE   SINCE    NEXT    LAST                 RESTARTS   MEMORY\n"
        "    worker 1  active  0 s ago  -       -                           0  1.0 KiB\n"
        "    clean     active  -        in 2 h  -                           -        -\n"
        "    mail      active  -        in 2 h  2 h ago (exit-code)         -        -\n"
        "  kept releases:\n"
        "    RELEASE                   VERSION      CREATED   LIVE UNTIL  ENDED                   BY\n"
        "    20260314-071500-aaaaaaaa  v2 abcdef01  3 h ago   now         live                    -\n"
        "    20260313-101500-bbbbbbbb  v1           24 h ago  3 h ago     rolled back by otto@pc  -\n"
        "  last failures:\n"
        "    1 h ago, v3, at the step 'probe': 500 where 200 is wanted"
    )
    assert "live, deploying" in report({"vps1": host(shown)}, details=False)
    assert "live, maintenance" in report({"vps1": host(app(maintenance=True))}, details=False)


def test_an_interrupted_deploy_and_a_bad_answer() -> None:
    cut_off = {"state": "interrupted", "action": "rollback", "release": B, "by": None, "since": None, "step": "drain"}
    bad = {"good": False, "status": 500, "ms": 3.0, "answer": "500 ERROR where 200 is wanted"}
    web = {"active": "failed", "result": "exit-code", "workers": 0, "workers_configured": None}
    shown = report({"vps1": host(app(activity=cut_off, probe=bad, web=web, state="unhealthy"))})
    assert "unhealthy, interrupted" in shown
    assert f"interrupted: rollback of {B} by somebody, begun -, cut off at the step 'drain'; the next deploy" in shown
    assert "probe: 500 ERROR where 200 is wanted" in shown
    assert "web service: failed (exit-code)" in shown
    assert " 0/? " in shown
    silent = {"good": False, "status": None, "ms": 5000.0, "answer": "no answer within 5 s"}
    assert "no answer" in report({"vps1": host(app(probe=silent))}, details=False)


def test_sizes_are_shown_when_they_were_asked_for() -> None:
    shown = app(venvs=[{"name": "1f2e", "bytes": 2**20 * 12, "releases": [A]}])
    shown["releases"][0]["bytes"] = 3 * 2**30
    words = report({"vps1": host(shown)})
    assert "3.0 GiB" in words
    assert "environment 1f2e: 12 MiB, of 1 release\n" in words + "\n"


def test_hosts_without_applications_say_so() -> None:
    hosts = {
        "a": host(),
        "b": host(prepared=False),
        "c": {"error": "Connection timed out\nin 10 s"},
        "d": host(missing={"blok": "did you mean 'blog'?"}),
    }
    assert report(hosts).splitlines() == [
        "a: no applications",
        "b: not prepared yet: no application was ever deployed here",
        "c: unknown: Connection timed out in 10 s",
        "d: there is no application 'blok': did you mean 'blog'?",
    ]
    assert report({"": host(prepared=False)}, named=False).startswith("not prepared yet")
    assert report({}) == ""


def test_on_a_host_itself_its_name_is_not_told() -> None:
    words = report({"": host(app())}, named=False)
    assert words.startswith("APP   RELEASE ")
    assert "\n\nblog\n" in words


@pytest.mark.parametrize(
    ("words", "columns"),
    [("", 0), ("blog", 4), ("ブログ", 6), ("\uff42", 2), ("e\u0301", 1), ("👩", 2), ("a\u200db", 2), ("Ω…", 2)],
)
def test_the_width_of_a_text(words: str, columns: int) -> None:
    assert text.width(words) == columns


def test_columns_fit_wide_and_combining_characters() -> None:
    lines = text.table(("a", "b"), [("ブログ", "x"), ("e\u0301e\u0301", "y"), ("abcdef", "z")]).splitlines()
    assert [text.width(line[: line.rindex(end)]) for line, end in zip(lines, "Bxyz", strict=True)] == [8, 8, 8, 8]


@pytest.mark.parametrize(
    ("words", "limit", "wanted"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("ブログ", 5, "ブロ…"), ("ブログ", 4, "ブ…"), ("ブログ", 6, "ブログ")],
)
def test_a_text_is_cut_between_characters(words: str, limit: int, wanted: str) -> None:
    assert text.cut(words, limit) == wanted
    assert text.width(wanted) <= limit


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("\x1b[2Jgone", "\ufffd[2Jgone"),
        ("one\n  two\ttabs\r", "one two tabs"),
        ("a\u202eb\u2066c", "a\ufffdb\ufffdc"),
        ("\x9b0m\x00", "\ufffd0m\ufffd"),
        ("\udce4", "\ufffd"),
        ("grün ブ", "grün ブ"),
        (None, "None"),
    ],
)
def test_nothing_that_is_shown_moves_the_cursor(words: object, wanted: str) -> None:
    assert text.clean(words) == wanted


def test_json_moves_no_cursor_and_loses_nothing() -> None:
    data = {"a": ["\x1b[2J", "\x9b2J\x7f", "\u202e\u2028", "\udcff", "gr\u00fcn \u30d6 \U0001f600", 'c:\\n "q"\n']}
    words = text.json_text(data)
    assert json.loads(words) == data
    assert not set(words) & {"\x1b", "\x9b", "\x7f", "\u202e", "\u2028", "\udcff"}
    assert "gr\u00fcn \u30d6 \U0001f600" in words


def test_an_application_can_not_paint_on_the_terminal() -> None:
    evil = "\x1b]0;title\x07\x1b[31m\u202e\r\n"
    shown = app(by=evil, state=evil, asked=evil, version=evil, release=evil)
    shown["activity"] = {"state": "running", "action": evil, "release": evil, "by": evil, "since": evil, "step": evil}
    shown["failures"] = [{"time": evil, "version": evil, "step": evil, "problem": evil}]
    shown["releases"] = [{"id": evil, "asked": evil, "version": evil, "ended": evil, "by": evil, "created": evil}]
    shown["probe"] = {"good": False, "status": None, "ms": 1, "answer": evil}
    shown["processes"] = [{"name": evil, "number": 1, "active": evil, "since": evil, "restarts": 0}]
    shown["timers"] = [{"name": evil, "active": evil, "next": evil, "last": evil, "result": evil}]
    shown["web"] = {"active": evil, "result": evil}
    words = report({evil: host(shown), "x": {"error": evil}, "y": host(missing={evil: evil})})
    assert not set(words) & {"\x1b", "\x07", "\r", "\u202e"}


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        ("2026-03-14T10:14:55Z", "5 s ago"),
        ("2026-03-14T10:14:00Z", "1 min ago"),
        ("2026-03-14T07:10:00Z", "3 h ago"),
        ("2026-03-12T10:15:00Z", "2 d ago"),
        ("2026-01-01T00:00:00Z", "2026-01-01"),
        ("2026-03-14T12:15:00Z", "in 2 h"),
        ("2026-03-14T10:14:00", "1 min ago"),
        ("nonsense", "-"),
        (None, "-"),
    ],
)
def test_how_long_ago(then: str | None, wanted: str) -> None:
    assert text.ago(then, NOW) == wanted
    assert text.ago(then, "") == "-"


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1024, "1.0 KiB"),
        (1023 * 1024, "1.0 MiB"),
        (90 * 2**20, "90 MiB"),
        (3 * 2**50, "3072 TiB"),
    ],
)
def test_bytes_for_people(count: int | None, wanted: str) -> None:
    assert text.size(count) == wanted


@pytest.mark.parametrize(
    ("asked", "found", "wanted"),
    [
        ("v2.1.0", "abcdef0123456789", "v2.1.0 abcdef01"),
        ("abcdef0123456789", "abcdef0123456789", "abcdef012345"),
        ("abcdef0", "abcdef0123456789", "abcdef0"),
        (None, "abcdef0123456789", "abcdef012345"),
        ("main", None, "main"),
        (None, None, ""),
    ],
)
def test_the_version_says_what_was_asked_and_what_it_is(asked: str | None, found: str | None, wanted: str) -> None:
    assert text.version({"asked": asked, "version": found}) == wanted


def test_the_filter_takes_results_as_ansible_keeps_them() -> None:
    found = {"vps1": {**host(app()), "changed": False, "failed": False}, "vps2": {"unreachable": True, "msg": "gone"}}
    words = status_table(found, details=False)
    assert words.endswith("vps2: unknown: gone")
    assert plain_status(found["vps1"]).keys() == {"time", "prepared", "apps", "missing"}
    assert plain_status({}) == {"error": "it was not asked"}
    for wrong in ("text", {"vps1": "text"}, [1]):
        with pytest.raises(AnsibleFilterError, match="takes a dictionary of hosts"):
            status_table(wrong)  # type: ignore[arg-type]


CERTIFICATE = {
    "mode": "acme", "names": ["blog.test"], "issuer": "R10", "until": "2026-06-01T00:00:00Z", "days_left": 78,
    "self_signed": False, "placeholder": False, "staging": False, "problems": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "cell", "words"),
    [
        ({}, "78 d", "tls: acme, for blog.test, signed by 'R10', until 2026-06-01, 78 days left"),
        ({"days_left": 1}, "1 d", "1 day left"),
        ({"days_left": -1}, "expired", "expired 1 day ago"),
        ({"placeholder": True}, "placeholder", "a placeholder that no browser trusts"),
        ({"staging": True}, "78 d", "signed by 'R10' (staging, which no browser trusts)"),
        ({"mode": "self-signed", "self_signed": True}, "78 d", "tls: self-signed, for blog.test, signed by itself"),
        ({"problems": {"key": "x is not the key of y"}}, "broken", "tls: acme, broken: x is not the key of y"),
    ],
)
def test_the_days_of_a_certificate(changes: dict[str, Any], cell: str, words: str) -> None:
    shown = report({"vps1": host(app(tls=CERTIFICATE | changes), app(app="plain"))})
    head, first, second = shown.splitlines()[:3]
    assert head.endswith("TLS")
    assert first.endswith(f"  {cell}")
    assert second.endswith("  -")
    assert words in shown


def test_without_tls_there_is_no_column_of_it() -> None:
    assert "TLS" not in report({"vps1": host(app(tls=None), app(app="plain"))})
