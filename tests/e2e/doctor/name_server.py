"""A name server for the zone test: the A records of the lines `name address` of a file, which is read at each question.

Of all else it says that it failed, so that the next server of /etc/resolv.conf is asked. It runs on the test host.
"""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path

NO_ERROR, SERVER_FAILED, NO_SUCH_NAME = 0, 2, 3
TYPE_A = 1


def answer(question: bytes, records: dict[str, str]) -> bytes:
    """Return the answer to a question (RFC 1035, 4.1), whose name has its parts behind their lengths."""
    parts, at = [], 12
    while length := question[at]:
        parts.append(question[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    (kind,) = struct.unpack_from("!H", question, at + 1)
    name, asked = ".".join(parts), question[12 : at + 5]
    status = SERVER_FAILED if parts[-1:] != ["test"] else NO_ERROR if name in records else NO_SUCH_NAME
    found = [socket.inet_aton(records[name])] if status == NO_ERROR and kind == TYPE_A else []
    # An answer, with recursion wanted and to be had; 0xC00C leads to the name in the question.
    head = question[:2] + struct.pack("!HHHHH", 0x8180 | status, 1, len(found), 0, 0)
    return head + asked + b"".join(struct.pack("!HHHIH", 0xC00C, TYPE_A, 1, 0, 4) + address for address in found)


def main(address: str, path: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            question, visitor = server.recvfrom(4096)
            lines = Path(path).read_text().splitlines()
            server.sendto(answer(question, dict(line.split() for line in lines if line)), visitor)


if __name__ == "__main__":
    main(*sys.argv[1:])
