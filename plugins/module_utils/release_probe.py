# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The question that decides whether a release goes live: an HTTP request on its own socket, and its answer in words."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.bounded_socket import BoundedSocket

# The time that one request may take, within the whole limit.
REQUEST_TIMEOUT = 10.0
# Of a longer body the beginning counts.
MOST_READ = 65536
PAUSE = 0.1
# How often (seconds) a person is told what is waited for.
TOLD = 5.0


@dataclass(frozen=True)
class Health:
    """What a healthy release answers."""

    path: str = "/"
    status: tuple[int, ...] = (200,)
    timeout: float = 30.0
    host: str = "localhost"
    scheme: str = "http"

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Health:
        status = given.get("status") or [200]
        return cls(
            path=str(given.get("path") or "/"),
            status=tuple(int(item) for item in (status if isinstance(status, (list, tuple)) else [status])),
            timeout=float(given.get("timeout") or 30),
            host=str(given.get("host") or "localhost"),
            scheme=str(given.get("scheme") or "http"),
        )


class ProbeError(Exception):
    """No good answer in time; the text is the last answer in words."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path, self._limit = path, timeout

    def connect(self) -> None:
        self.sock = bounded = BoundedSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        bounded.begin(self._limit)
        bounded.connect(self._path)


def wait_until_healthy(
    path: str, health: Health, is_alive: Callable[[], bool], report: Callable[[str], None] = lambda line: None
) -> float:
    """Ask until the answer is good; return the seconds that it took. ``report`` now and then takes the last answer.

    ``is_alive`` tells whether the unit still runs: a dead one is not waited for. Raises ProbeError.
    """
    started = told = time.monotonic()
    while True:
        left = health.timeout - (time.monotonic() - started)
        answer, good = ask(path, health, min(REQUEST_TIMEOUT, max(left, 0.5)))
        if good:
            return time.monotonic() - started
        if not is_alive():
            raise ProbeError(f"the new unit stopped by itself; the last probe said: {answer}")
        if time.monotonic() - started + PAUSE > health.timeout:
            raise ProbeError(
                f"no good answer to {health.path} within {health.timeout:g} s; the last probe said: {answer}"
            )
        if time.monotonic() - told > TOLD:
            told = time.monotonic()
            report(f"no good answer yet; the last one: {answer}")
        time.sleep(PAUSE)


def ask(path: str, health: Health, timeout: float) -> tuple[str, bool]:
    """Send one request; return its answer in words and whether it is a good one. Takes no longer than ``timeout``."""
    headers = {
        "Host": health.host,
        "X-Forwarded-Proto": health.scheme,
        "User-Agent": "flaskworks-probe",
        "Connection": "close",
    }
    connection = UnixConnection(path, timeout)
    answer = None
    try:
        connection.request("GET", health.path, headers=headers)
        answer = connection.getresponse()
        left = MOST_READ
        while left > 0 and (part := answer.read1(left)):
            left -= len(part)
    except TimeoutError:
        if answer is None:
            return f"no answer within {timeout:.0f} s", False
        # A page that a visitor would wait for as well; or a stream, which is no path to probe.
        return f"{answer.status} {answer.reason}, an answer that did not end within {timeout:.0f} s", False
    except (ConnectionRefusedError, FileNotFoundError):
        return "connection refused: nothing listens on the release's socket", False
    except (OSError, http.client.HTTPException) as error:
        return f"the connection broke: {type(error).__name__}: {error}", False
    finally:
        connection.close()
    if answer.status in health.status:
        return f"{answer.status} {answer.reason}", True
    return answer_in_words(answer.status, answer.reason, answer.getheader("Location"), health), False


def answer_in_words(status: int, reason: str, location: str | None, health: Health) -> str:
    """Return what a wrong status means, with the likely cure."""
    wanted = " or ".join(str(item) for item in health.status)
    text = f"{status} {reason} where {wanted} is wanted"
    if 300 <= status < 400:
        text += f", a redirect to {location}"
        if location and location.startswith("https:") and health.scheme == "http":
            text += " (the site wants https: set health.scheme to https)"
        else:
            text += " (probe a path that answers itself, or accept the status in health.status)"
    elif status == 400:
        text += f" (does the site accept the Host '{health.host}'? Set health.host)"
    elif status in (401, 403):
        text += f" ({health.path} wants a login: name a public path in health.path)"
    elif status == 404:
        text += f" (the site has no {health.path}: name another path in health.path)"
    elif status >= 500:
        text += " (the application failed: see its journal)"
    return text
