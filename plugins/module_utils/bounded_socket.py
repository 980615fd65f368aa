# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connections on which a whole answer has one deadline; a timeout of a socket begins again with every byte."""

from __future__ import annotations

import socket
import time
from typing import Any


class BoundedSocket(socket.socket):
    """A socket that waits for what comes until its deadline, of time.monotonic(), and no longer."""

    deadline = float("inf")

    def begin(self, seconds: float) -> None:
        """Let the deadline be so many seconds away, for connecting and sending as well."""
        self.deadline = time.monotonic() + seconds
        self.settimeout(seconds)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)
        return super().recv_into(buffer, nbytes, flags)


def connected(address: str, port: int, seconds: float) -> BoundedSocket:
    """Return a connection to an address, on which everything has to be over in so many seconds. Raises OSError."""
    bounded = BoundedSocket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bounded.begin(seconds)
        bounded.connect((address, port))
    except OSError:
        bounded.close()
        raise
    return bounded
