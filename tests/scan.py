"""Which TCP ports of an address take connections: `python3 scan.py ADDRESS FIRST-LAST`. Prints them as a JSON list.

One file without dependencies, which runs on a test host and asks another one: as many connections at once as the
process may have files, each given up after TIMEOUT (seconds).
"""

from __future__ import annotations

import errno
import json
import resource
import select
import socket
import sys
import time

TIMEOUT = 1.0
MOST = 12000


def attempt(family: int, address: str, port: int) -> socket.socket | bool:
    """Begin a connection: a socket that is on its way, or whether it is open already."""
    client = socket.socket(family, socket.SOCK_STREAM)
    client.setblocking(False)
    status = client.connect_ex((address, port))
    if status == errno.EINPROGRESS:
        return client
    client.close()
    if status in (errno.EADDRNOTAVAIL, errno.ENETUNREACH):
        raise OSError(status, "no connection can be tried")
    return status == 0


def scan(address: str, ports: list[int]) -> set[int]:
    """Return the open ports. Raises OSError when the process runs out of files or ports."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found: set[int] = set()
    for start in range(0, len(ports), MOST):
        poller, waiting = select.epoll(), {}
        for port in ports[start : start + MOST]:
            begun = attempt(family, address, port)
            if isinstance(begun, socket.socket):
                poller.register(begun, select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP)
                waiting[begun.fileno()] = (begun, port)
            elif begun:
                found.add(port)
        until = time.monotonic() + TIMEOUT
        while waiting and time.monotonic() < until:
            for number, dummy in poller.poll(max(0.0, until - time.monotonic())):
                client, port = waiting.pop(number)
                if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.add(port)
                poller.unregister(client)
                client.close()
        for client, dummy in waiting.values():
            client.close()
        poller.close()
    return found


def main() -> None:
    address, given = sys.argv[1], sys.argv[2]
    first, dummy, last = given.partition("-")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < MOST + 50:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST + 50), hard))
    print(json.dumps(sorted(scan(address, list(range(int(first), int(last or first) + 1))))))


if __name__ == "__main__":
    main()
