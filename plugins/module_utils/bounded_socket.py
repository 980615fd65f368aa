# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connections on which a whole answer has one deadline; a timeout of a socket begins again with every byte."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any, cast


class BoundedSocket(socket.socket):
    """A socket that waits for what comes until its deadline, of time.monotonic(), and no longer."""

    deadline = float("inf")

    def begin(self, seconds: float) -> None:
        """Let the deadline be so many seconds away, for connecting and sending as well."""
        self.deadline = time.monotonic() + seconds
        self.settimeout(seconds)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)
        # For TLS 0 would mean nothing at all.
        return super().recv_into(buffer, nbytes or len(buffer), flags)


class BoundedTls(BoundedSocket, ssl.SSLSocket):
    """The same within TLS."""


def connected(address: str, port: int, seconds: float, tls_name: str | None = None) -> BoundedSocket:
    """Return a connection to an address, on which everything has to be over in so many seconds. Raises OSError.

    With a name it speaks TLS and asks for that one; whatever certificate it is shown is good enough.
    """
    bounded = BoundedSocket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bounded.begin(seconds)
        bounded.connect((address, port))
        return bounded if tls_name is None else _secured(bounded, tls_name)
    except (OSError, ValueError):
        bounded.close()
        raise


def _secured(bounded: BoundedSocket, name: str) -> BoundedTls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.sslsocket_class = BoundedTls
    deadline = bounded.deadline
    bounded.settimeout(max(deadline - time.monotonic(), 0.01))
    secured = cast(BoundedTls, context.wrap_socket(bounded, server_hostname=name))
    secured.deadline = deadline
    return secured
