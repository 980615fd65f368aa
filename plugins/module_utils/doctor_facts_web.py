# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests to a site, as a visitor on this host and on the socket of its release. Each is a GET."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_said as said
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_web import TEST_ADDRESS
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_application import log_position, log_since
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_probe import UnixConnection
from ansible_collections.flaskworks.deploy.plugins.module_utils.tls_certificate import fingerprint

PATIENCE = 5.0
# A file of the debugger itself, which it gives to everybody (werkzeug/debug/__init__.py, get_resource).
DEBUGGER = "/?__debugger__=yes&cmd=resource&f=debugger.js"
_DEBUGGERS_WORD = b"EVALEX"
_MOST = 200_000
# Seconds until a server has written its line.
_LOGGED_WITHIN = 1.0


def page_facts(wanted: Mapping[str, Any], health: Mapping[str, Any], access_log: str) -> dict[str, Any]:
    """Ask the site through nginx; return what came, and what the application's log says of the visitor."""
    host = _host_of(wanted["domains"])
    tls = [port for port in wanted["ports"] if port in wanted["tls_ports"]]
    port = (tls or wanted["ports"])[0]
    path = str(health.get("path") or "/")
    facts: dict[str, Any] = {"host": host, "port": port, "path": path, "error": "", "status": 0, "cookies": []}
    mark, position = secrets.token_hex(16), log_position(access_log) if access_log.startswith("/") else None
    # Nobody but a trusted proxy may say this.
    headers = {"X-Forwarded-For": TEST_ADDRESS, "X-Real-IP": TEST_ADDRESS, "X-Tracking-ID": mark}
    try:
        first = _connection(port, bool(tls), host)
        facts["status"], found, dummy = _get(first, host, path, headers)
        facts["fingerprint"] = getattr(first, "fingerprint", None)
        for other in {path, "/"} - {path}:
            found += _get(_connection(port, bool(tls), host), host, other, {})[1]
        answer = _get(_connection(port, bool(tls), host), host, DEBUGGER, {})
    except (OSError, http.client.HTTPException) as error:
        facts["error"] = _in_words(error)
        return facts
    facts["cookies"] = said.cookies(found)
    facts["debugger"] = answer[0] == 200 and _DEBUGGERS_WORD in answer[2]
    facts["logged_address"] = _logged_address(access_log, position, mark) if position is not None else None
    return facts


def socket_facts(path: str) -> dict[str, Any]:
    """Ask a release on its own socket whether it offers a debugger."""
    try:
        status, dummy, body = _get(UnixConnection(path, PATIENCE), "localhost", DEBUGGER, {})
    except (OSError, http.client.HTTPException):
        return {}
    return {"debugger": status == 200 and _DEBUGGERS_WORD in body}


def _host_of(domains: list[str]) -> str:
    if not domains:
        return "localhost"
    return f"www.{domains[0][2:]}" if domains[0].startswith("*.") else domains[0]


def _connection(port: int, tls: bool, host: str) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    # Whether the certificate is a good one is another check's question.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return _NamedConnection("127.0.0.1", port, host, context)


class _NamedConnection(http.client.HTTPSConnection):
    """A connection to this host that asks for a site by its name (SNI). ``fingerprint``: of what it was shown."""

    fingerprint: str | None = None

    def __init__(self, address: str, port: int, name: str, context: ssl.SSLContext) -> None:
        super().__init__(address, port, timeout=PATIENCE, context=context)
        self._site, self._tls = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._site)
        self.fingerprint = fingerprint(self.sock.getpeercert(binary_form=True) or b"")


def _get(
    connection: http.client.HTTPConnection, host: str, path: str, headers: Mapping[str, str]
) -> tuple[int, list[str], bytes]:
    """Return status, Set-Cookie headers and the beginning of the body."""
    given = {"Host": host, "User-Agent": "flaskworks-doctor", "Connection": "close", **headers}
    try:
        connection.request("GET", path, headers=given)
        answer = connection.getresponse()
        return answer.status, answer.headers.get_all("Set-Cookie") or [], _beginning(answer)
    finally:
        connection.close()


def _beginning(answer: http.client.HTTPResponse) -> bytes:
    """Return what comes of a body in time: the time-out of a connection begins again with every byte of a stream."""
    until, body = time.monotonic() + PATIENCE, b""
    while len(body) < _MOST and time.monotonic() < until:
        try:
            part = answer.read1(_MOST - len(body))
        except TimeoutError:
            break
        if not part:
            break
        body += part
    return body


def _in_words(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there"
    if isinstance(error, http.client.RemoteDisconnected):
        return "nginx knows no such site: it closed the connection"
    return f"{type(error).__name__}: {error}"


def _logged_address(path: str, position: int, mark: str) -> str | None:
    """Return the visitor's address in the JSON line of the log with this mark; None when there is no such line."""
    until = time.monotonic() + _LOGGED_WITHIN
    while time.monotonic() < until:
        # The file is the application's: no link of it is followed.
        for line in log_since(path, position).splitlines():
            if mark in line:
                try:
                    found = json.loads(line)
                except ValueError:
                    return None
                return str(found.get("remote_addr") or "") if isinstance(found, dict) else None
        time.sleep(0.05)
    return None
