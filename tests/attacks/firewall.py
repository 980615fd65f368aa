"""Ports: what of the host is reached from outside, by its outer and by its inner address."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time

from attacks.table import Field, Seen, attack

# Those of application servers, databases and tools, and the first thousand.
PORTS = sorted(
    {
        *range(1, 1025),
        *(2375, 2376, 3000, 3306, 4000, 4369, 5000, 5001, 5432, 5672, 6379, 7000, 8000, 8001, 8002, 8008, 8080, 8081),
        *(8443, 8787, 8888, 9000, 9001, 9090, 9100, 9191, 11211, 15672, 27017),
    }
)


def open_ports(address: str, ports: list[int], seconds: float = 2.5) -> list[int]:
    """The ports that take a connection. A port without an answer is not open."""
    found: list[int] = []
    for start in range(0, len(ports), 400):
        with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as stack:
            for port in ports[start : start + 400]:
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex((address, port))
                waiting.register(client, selectors.EVENT_WRITE, port)
            until = time.monotonic() + seconds
            while waiting.get_map() and time.monotonic() < until:
                for key, dummy in waiting.select(until - time.monotonic()):
                    client = key.fileobj  # type: ignore[assignment]
                    if not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        found.append(key.data)
                    waiting.unregister(client)
    return found


def _scan(field: Field, address: str) -> Seen:
    wanted = sorted(map(int, field["mirror"].marks["ports"].split(",")))
    found = open_ports(address, PORTS)
    return Seen(f"open of {len(PORTS)}: {', '.join(map(str, found)) or 'none'}", found == wanted)


@attack("ports", "connections to 1,050 ports of the host", "SSH and the sites' ports; no gunicorn, nothing else")
def outer(field: Field) -> Seen:
    return _scan(field, field["mirror"].address)


@attack("ports", "the same to its address in the inner network, sent through the outer one", "nothing more")
def inner(field: Field) -> Seen:
    wanted = sorted(map(int, field["mirror"].marks["ports"].split(",")))
    found = open_ports(field["mirror"].marks["inner"], PORTS)
    return Seen(f"open of {len(PORTS)}: {', '.join(map(str, found)) or 'none'}", set(found) <= set(wanted))
