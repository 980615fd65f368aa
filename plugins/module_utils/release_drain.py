# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting for a fact: nobody is connected to the old release any more, so that stopping it loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

# Two looks that find nothing, this far apart, are needed: between them a connection may pass from the queue to a
# worker.
PAUSE = 0.05
# Connections that have not changed for this long (seconds), with nobody waiting, belong to requests that are being
# answered: gunicorn's own graceful stop lets them finish. A stream would otherwise hold up each deploy.
SETTLED = 3.0
# How often (seconds) a person is told what is waited for.
TOLD = 5.0


@dataclass(frozen=True)
class Connected:
    """Who is connected to a socket: how many wait to be accepted, and the inodes of the accepted ones."""

    waiting: int
    accepted: frozenset[int]


def connected(listing: str, path: str) -> Connected:
    """Read from the text of /proc/net/unix (proc(5)) who is connected to a socket; the listening socket is the one
    with the flag __SO_ACCEPTCON (0x10000).

    A connection that waits has no inode yet, and ``ss`` shows it only as the listener's Recv-Q; here it is a line.
    """
    waiting, accepted = 0, set()
    for line in listing.splitlines():
        words = line.split(maxsplit=7)
        if len(words) == 8 and words[7] == path and not int(words[3], 16) & 0x10000:
            inode = int(words[6])
            if inode:
                accepted.add(inode)
            else:
                waiting += 1
    return Connected(waiting, frozenset(accepted))


def drain(path: str, limit: float, report: Callable[[str], None], look: Callable[[], str] | None = None) -> bool:
    """Wait until the old release can be stopped: nobody is connected to its socket, or for a while only requests that
    are being answered already.

    Returns whether nobody was connected in the end; ``limit`` (seconds) bounds the wait.
    """
    read = look or _sockets
    started = changed = told = time.monotonic()
    quiet, before = 0, Connected(0, frozenset())
    while (now := time.monotonic()) - started < limit:
        seen = connected(read(), path)
        quiet = quiet + 1 if not seen.waiting and not seen.accepted else 0
        if quiet == 2:
            return True
        if seen.waiting or seen.accepted != before.accepted:
            changed = now
        if now - changed > SETTLED and seen.accepted:
            report(f"{len(seen.accepted)} long requests are left: they have {limit:g} s to end")
            return False
        if now - told > TOLD:
            told = now
            report(f"waiting for {seen.waiting + len(seen.accepted)} connections to the old release")
        before = seen
        time.sleep(PAUSE)
    return False


def _sockets() -> str:
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as stream:
        return stream.read()
