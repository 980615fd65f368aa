"""Attaches slow clients to a server, and asks it once: `python3 slow_clients.py KIND COUNT ADDRESS HOST`.

KIND is what they are slow with: `headers`, a `body` or a large `answer`. ADDRESS is a port of 127.0.0.1 or the path of
a unix socket. Prints the seconds until the question was answered, or "no answer".
"""

from __future__ import annotations

import socket
import sys
import time

# As long as nobody who asked would have waited.
PATIENCE = 5.0


def connect(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET if address.isdigit() else socket.AF_UNIX)
    made.settimeout(PATIENCE)
    # A small window: otherwise an answer fits into the memory of the kernel.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", int(address)) if address.isdigit() else address)
    return made


def attach(kind: str, address: str, host: str) -> socket.socket:
    """A client that has begun, and does not go on."""
    client = connect(address)
    if kind == "headers":
        client.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n".encode())
    elif kind == "body":
        client.sendall(f"POST /upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nbegun".encode())
    elif kind == "answer":
        client.sendall(f"GET /large HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return client


def ask(address: str, host: str) -> str:
    began = time.monotonic()
    try:
        with connect(address) as client:
            client.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = client.recv(4096)
    except OSError:
        return "no answer"
    return f"{time.monotonic() - began:.3f}" if answer.startswith(b"HTTP/1.1 200") else repr(answer[:80])


def main() -> None:
    kind, count, address, host = sys.argv[1:]
    clients = [attach(kind, address, host) for dummy in range(int(count))]
    # Until the server has taken them all: what it takes is taken at once.
    time.sleep(1)
    print(ask(address, host))
    for client in clients:
        client.close()


if __name__ == "__main__":
    main()
