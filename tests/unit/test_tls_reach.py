"""Whether an authority would get its answer, asked of real servers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import tls_reach


@contextlib.contextmanager
def dripping() -> Iterator[int]:
    """A server that sends one byte of its headers every tenth of a second, for ever; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                peer = server.accept()[0]
                peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while True:
                    peer.sendall(b"x")
                    time.sleep(0.1)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_reach, "PATIENCE", 0.5)
    begun = time.monotonic()
    with dripping() as port:
        monkeypatch.setattr(tls_reach, "HTTP", port)
        with pytest.raises(TimeoutError):
            tls_reach.ask("127.0.0.1", "blog.test", "/")
    assert time.monotonic() - begun < 2
