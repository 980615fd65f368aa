"""The loggers of the rendered file: whatever a request holds, one line, and of JSON what was sent."""

from __future__ import annotations

import datetime
import io
import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_config import render_config
from gunicorn.config import Config
from hypothesis import example, given
from hypothesis import strategies as st

# journald makes two lines of a longer one (LineMax= in journald.conf(5)).
LONGEST = 48 * 1024
FIELDS = {
    "protocol": "SERVER_PROTOCOL",
    "host": "HTTP_HOST",
    "request_method": "REQUEST_METHOD",
    "referer": "HTTP_REFERER",
    "user_agent": "HTTP_USER_AGENT",
    "x_tracking_id": "HTTP_X_TRACKING_ID",
    "request_id": "HTTP_X_REQUEST_ID",
}
# What a server makes of bytes, what an ASGI server and middleware make of text, and nothing.
values = st.one_of(
    st.binary(max_size=60).map(lambda data: data.decode("latin-1")),
    st.text(max_size=60),
    st.builds(lambda text, count: text * count, st.text(max_size=3), st.integers(0, 9000)),
    st.none(),
)
environs = st.dictionaries(
    st.sampled_from(["REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "SCRIPT_NAME", "PATH_INFO", *FIELDS.values()]),
    values,
    max_size=12,
)
statuses = st.one_of(st.text(max_size=9), st.binary(max_size=4).filter(bytes.isascii), st.integers(), st.none())
times = st.timedeltas(datetime.timedelta(-1), datetime.timedelta(9))

Line = Callable[..., str]


def logger(kind: str) -> Line:
    """What the logger of a rendered file writes for one request."""
    made: dict[str, Any] = {}
    exec(render_config({"wsgi_app": "site:app"}, access_log=kind), made)
    config = Config()
    config.set("accesslog", "-")
    config.set("access_log_format", made["access_log_format"])
    log = made["logger_class"](config)

    def line(environ: dict[str, Any] | None, status: Any = "200 OK", time: Any = None, sent: Any = 2) -> str:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        log.access_log.handlers = [handler]
        response = SimpleNamespace(status=status, headers=[], sent=sent)
        log.access(response, [], environ, time or datetime.timedelta(seconds=1.5))
        return stream.getvalue()

    return line


@pytest.fixture(scope="module")
def as_json() -> Line:
    return logger("json")


@pytest.fixture(scope="module")
def as_text() -> Line:
    return logger("classic")


def strict(line: str) -> dict[str, Any]:
    """One line of JSON as the strictest reader takes it."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert line.endswith("\n")
    assert len(line[:-1].splitlines()) == 1
    assert len(line.encode()) < LONGEST
    record: dict[str, Any] = json.loads(line, parse_constant=refuse)
    json.dumps(record, ensure_ascii=False).encode("utf-8")  # a lone surrogate would raise
    return record


@given(environ=environs, wsgi=st.booleans(), status=statuses, time=times)
@example(environ={"HTTP_USER_AGENT": '"\\\t\r\n\0\x1f\x7f\x85\u2028\ud800'}, wsgi=True, status=None, time=None)
def test_any_request_is_one_line_of_json(as_json: Line, environ: Any, wsgi: bool, status: Any, time: Any) -> None:
    if wsgi:
        environ = {"wsgi.version": (1, 0), **environ}
    record = strict(as_json(environ, status, time))
    assert set(record) >= set(FIELDS) | {"@timestamp", "remote_addr", "request_path", "request_time"}
    assert record["status_code"] is None or isinstance(record["status_code"], int)
    assert record["request_time"] >= 0


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=500))
def test_what_was_sent_as_utf_8_is_what_is_read(as_json: Line, text: str) -> None:
    sent = text.encode().decode("latin-1")
    record = strict(as_json({"wsgi.version": (1, 0), "PATH_INFO": sent, **dict.fromkeys(FIELDS.values(), sent)}))
    assert {record[field] for field in [*FIELDS, "request_path"]} == {text}
    # An ASGI server has decoded the path already.
    assert strict(as_json({"PATH_INFO": text}))["request_path"] == text


def test_long_values_are_whole_until_the_line_would_be_cut(as_json: Line) -> None:
    assert strict(as_json({"HTTP_REFERER": "r" * 8190, "HTTP_USER_AGENT": "u" * 8190}))["referer"] == "r" * 8190
    record = strict(as_json({**dict.fromkeys(FIELDS.values(), "\1" * 8190), "HTTP_X_REQUEST_ID": "short"}))
    assert record["request_id"] == "short"
    assert record["user_agent"].endswith("\1\u2026")


def test_what_nobody_could_read(as_json: Line, as_text: Line) -> None:
    record = strict(as_json(None, "400"))
    assert (record["status_code"], record["request_path"]) == (400, None)
    assert ' "- - -" 400 ' in as_text(None, "400")
    refused = {
        "wsgi.version": (1, 0),
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/a%20b?token=s",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    assert strict(as_json(refused))["request_path"] == "/a%20b"


def test_an_asgi_workers_time_is_no_timedelta(as_json: Line) -> None:
    assert strict(as_json({}, 200, SimpleNamespace(seconds=2, microseconds=250000)))["request_time"] == 2.25


@given(raw=values, agent=values, referer=values)
@example(raw="/", agent="folded\r\n second", referer='"\\')
def test_any_request_is_one_line_of_text(as_text: Line, raw: Any, agent: Any, referer: Any) -> None:
    environ = {
        **{"REQUEST_METHOD": "GET", "RAW_URI": raw, "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "192.0.2.1"},
        **{"HTTP_USER_AGENT": agent, "HTTP_REFERER": referer},
    }
    line = as_text(environ)
    assert len(line.encode("ascii")) < LONGEST
    assert line[:-1].isprintable()
    assert ' 192.0.2.1 "GET ' in line


def test_text_escapes_can_be_undone(as_text: Line) -> None:
    line = as_text({"REQUEST_METHOD": "GET", "RAW_URI": "/", "SERVER_PROTOCOL": "x", "HTTP_USER_AGENT": 'a"\\n\n\xfc'})
    assert line.endswith(r' "-" "a\"\\n\n\xfc"' + "\n")


def test_the_text_names_the_client_that_the_proxy_names(as_text: Line) -> None:
    request = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "SERVER_PROTOCOL": "x", "HTTP_X_REAL_IP": "203.0.113.5"}
    assert ' 203.0.113.5 "GET /' in as_text({**request, "REMOTE_ADDR": ""})
    assert ' 192.0.2.1 "GET /' in as_text({**request, "REMOTE_ADDR": "192.0.2.1"})
    assert ' ab "GET /' in as_text({**request, "REMOTE_ADDR": "", "HTTP_X_REAL_IP": "a\n b"})
    assert ' - "GET /' in as_text({**request, "REMOTE_ADDR": "", "HTTP_X_REAL_IP": "\xa0"})


def test_a_logger_of_the_users_own_stays_beside_the_classic_text() -> None:
    text = render_config({"wsgi_app": "site:app", "logger_class": "mine.Logger"}, access_log="classic")
    assert 'logger_class = "mine.Logger"' in text
    assert "ClassicLogger" not in text
