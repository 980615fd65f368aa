"""Clients on bad lines, for a server of the loopback: `python3 slow_clients.py --port 8000`.

One file, nothing but the standard library: the benchmark of servers runs it on its host. A third of the clients send
the head of a request a byte at a time, a third its body, a third ask for a big page and read it slowly. None of them
comes to its end by itself. Writes {"attached": N} when all are connected, and after SIGTERM how many still are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Kind(NamedTuple):
    """What a client sends at once, what it sends with each step, and how many bytes it reads with each."""

    first: bytes
    step: bytes
    reads: int


KINDS = {
    "head": Kind(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a", 0),
    "body": Kind(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", b"a", 0),
    "reader": Kind(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", 1024),
}
# As small as the kernel allows, so that the server can't leave a page in the buffer of a client that doesn't read it.
RECEIVE_BUFFER = 4096
# Of one client to be accepted by the kernel.
CONNECT_SECONDS = 20.0


class Client:
    """One connection."""

    def __init__(self, kind: str) -> None:
        self.kind = KINDS[kind]
        # Why it is over; "" while it is attached.
        self.over = ""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.setblocking(False)

    async def connect(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(loop.sock_connect(self.socket, ("127.0.0.1", port)), CONNECT_SECONDS)
            await loop.sock_sendall(self.socket, self.kind.first)
        except OSError as error:
            self.over = type(error).__name__

    def step(self) -> None:
        """A byte or a sip more; and a look at whether the server still wants this client."""
        try:
            self.socket.send(self.kind.step)
            if self.kind.reads:
                found = self.socket.recv(self.kind.reads)
                self.over = "" if found else "closed"
            else:
                found = self.socket.recv(1, socket.MSG_PEEK)
                self.over = "answered" if found else "closed"
        except BlockingIOError:
            pass
        except OSError as error:
            self.over = type(error).__name__

    async def live(self, pace: float, delay: float) -> None:
        """Go on until the server has enough. The delay keeps the clients from moving all at once."""
        await asyncio.sleep(delay)
        while not self.over:
            await asyncio.sleep(pace)
            self.step()
        self.socket.close()


def say(**values: object) -> None:
    print(json.dumps(values), flush=True)


async def attach(port: int, count: int, pace: float) -> None:
    """Keep so many clients at a port until SIGTERM."""
    names = list(KINDS)
    clients = [Client(names[number % len(names)]) for number in range(count)]
    await asyncio.gather(*(client.connect(port) for client in clients))
    enough = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, enough.set)
    say(attached=sum(not client.over for client in clients))
    lives = [asyncio.ensure_future(client.live(pace, pace * n / count)) for n, client in enumerate(clients)]
    await enough.wait()
    for life in lives:
        life.cancel()
    say(attached=sum(not client.over for client in clients), over=Counter(c.over for c in clients if c.over))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True, help="of 127.0.0.1")
    parser.add_argument("--count", type=int, default=300, help="clients (default: 300)")
    parser.add_argument("--pace", type=float, default=1.0, metavar="S", help="seconds of one step (default: 1)")
    args = parser.parse_args(argv)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(args.count + 50, hard)), hard))
    asyncio.run(attach(args.port, args.count, args.pace))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
