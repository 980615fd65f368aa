# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long the live releases take to answer right now."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_probe import Health, ask

PROBE_LIMIT = 5.0


def probe_all(targets: Mapping[str, tuple[str, Health]]) -> dict[str, dict[str, Any]]:
    """Ask every application (name -> socket and question) once, all at the same time.

    Nobody is waited for longer than the limit.
    """
    answers: dict[str, dict[str, Any]] = {}

    def probe(app: str, socket: str, health: Health) -> None:
        started = time.monotonic()
        words, good = ask(socket, health, PROBE_LIMIT)
        answers[app] = answer_of(words, good, time.monotonic() - started)

    threads = [threading.Thread(target=probe, args=(app, *target), daemon=True) for app, target in targets.items()]
    for thread in threads:
        thread.start()
    until = time.monotonic() + PROBE_LIMIT + 0.5
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = answer_of(f"no whole answer within {PROBE_LIMIT:.0f} s", False, PROBE_LIMIT)
    return {app: answers.get(app, late) for app in targets}


def answer_of(words: str, good: bool, seconds: float) -> dict[str, Any]:
    """Return a probe's answer as data; the words begin with the status when there was one."""
    status = re.match(r"(\d{3}) ", words)
    return {
        "good": good,
        "status": int(status[1]) if status else None,
        "ms": round(seconds * 1000, 1),
        "answer": words,
    }
