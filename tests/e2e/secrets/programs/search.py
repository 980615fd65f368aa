"""Reads all that a user can read, and says where the markers are. It is never a file on the host, nor are they."""

from __future__ import annotations

import json
import os
import pwd
import stat
from collections.abc import Iterator
from typing import Any

# Instead of this stands what it is told: its input is this program.
GIVEN = "{}"


def candidates(given: dict[str, Any]) -> Iterator[str]:
    """All names, those in directories that the user can't list too: he may guess them."""
    yield from given["paths"]
    for top in given["tops"]:
        for folder, folders, files in os.walk(top):
            if folder == "/":
                folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
            yield from (f"{folder}/{name}" for name in files)


def become(user: str) -> None:
    account = pwd.getpwnam(user)
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


class Search:
    """What was found, and how many files could be read."""

    def __init__(self, markers: list[str]) -> None:
        self.markers = [marker.encode() for marker in markers]
        self.found: list[str] = []
        self.read = 0

    def shows(self, text: bytes) -> bool:
        return any(marker in text for marker in self.markers)

    def look(self, path: str) -> None:
        try:
            if self.shows(os.fsencode(path)) and os.path.lexists(path):
                self.found.append("name " + path)
            if not path.startswith("/proc/") and not stat.S_ISREG(os.lstat(path).st_mode):
                return
            with open(path, "rb") as stream:
                self.read += 1
                while block := stream.read(1 << 20):
                    if self.shows(block):
                        self.found.append(path)
                        return
                    if len(block) == 1 << 20:
                        stream.seek(-200, 1)
        except (OSError, ValueError):
            pass


def main() -> None:
    given = json.loads(GIVEN)
    search = Search(given["markers"])
    names = list(candidates(given))
    if given["user"]:
        become(given["user"])
    own = {str(os.getpid()), "self", "thread-self", str(os.getppid())}
    for name in names:
        search.look(name)
    for pid in os.listdir("/proc"):
        if pid.isdigit() and pid not in own and given["processes"]:
            for name in ("environ", "cmdline", "status", "comm", "maps"):
                search.look(f"/proc/{pid}/{name}")
    for folder in ("/dev/shm", "/dev/mqueue"):
        for name in os.listdir(folder) if os.access(folder, os.R_OK) else []:
            search.look(f"{folder}/{name}")
    print(json.dumps({"found": search.found, "read": search.read}))


main()
