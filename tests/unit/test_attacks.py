"""docs/attacks.md says what a stored run of the table of attacks saw, and of all attacks that there are."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from attacks.__main__ import load
from attacks.forging import FORGERIES
from attacks.report import DOCUMENT, RESULT, as_cell, document
from attacks.table import BROKEN, ERROR, HELD, TABLE, Attack, Field, Seen, run
from attacks.wire import Answer, answers, unchunked
from unit.nginx_rendered import TEMPLATES

load()


def test_each_header_that_is_kept_from_applications_is_tried() -> None:
    """nginx refuses a name that is there twice, in whatever case."""
    lists = vars(TEMPLATES.get_template("site/forwarded.j2").module)
    names = Counter(name.lower() for name in [*lists["emptied"], *lists["identities"]])
    assert set(names.values()) == {1}
    assert set(names) <= {name.lower() for name in FORGERIES}
    assert {"remote-email", "x-authentik-username", "client-cert", "fly-client-ip"} <= set(names)
    assert "x-http-method-override" not in names, "whoever may choose the method may say it so"


def test_the_document_is_what_the_report_makes_of_the_stored_run() -> None:
    text = DOCUMENT.read_text()
    assert document(text, json.loads(RESULT.read_text())) == text, "run make attacks-report"


def test_the_stored_run_tried_all_attacks_and_all_held() -> None:
    result = json.loads(RESULT.read_text())
    assert [host["debian"] for host in result["hosts"]] == ["12", "13"]
    for host in result["hosts"]:
        tried = {(row["group"], row["name"]): row["verdict"] for row in host["attacks"]}
        assert set(tried) == {(row.group, row.name) for row in TABLE}, "run make attacks"
        assert set(tried.values()) == {HELD}


@pytest.mark.parametrize(("text", "cell"), [("a|b", r"a\|b"), ("a\0b", r"a\\x00b"), ("x" * 200, "x" * 149 + "…")])
def test_no_attack_breaks_the_table(text: str, cell: str) -> None:
    assert as_cell(text) == cell


def test_answers_are_told_apart() -> None:
    two = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab" + b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = answers(two + b"3\r\nabc\r\n0\r\n\r\n" + b"rubbish")
    assert [(answer.status, answer.body) for answer in found] == [(200, b"ab"), (404, b"abc")]
    assert unchunked(b"zz\r\n") == (b"", 0)
    assert answers(b"<html>") == []
    assert Answer(200, (), b"[1]").json() == {}


def test_a_site_that_gives_way_and_a_fault_of_the_table_show() -> None:
    def fail(field: Field) -> Seen:
        raise ValueError(field.mark)

    outcomes = [lambda field: Seen("x", True), lambda field: Seen("x", False), fail]
    assert [run(Attack("g", "n", "e", each), {}).verdict for each in outcomes] == [HELD, BROKEN, ERROR]
