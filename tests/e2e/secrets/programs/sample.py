"""Looks at all processes again and again, as nobody, until it is told to stop; stdin has the markers."""

from __future__ import annotations

import json
import os
import pwd
import sys
import time


def main() -> None:
    given = json.load(sys.stdin)
    if os.fork():
        os._exit(0)
    os.setsid()
    out = open("/run/sampled.json", "w", opener=lambda path, flags: os.open(path, flags, 0o600))  # noqa: SIM115
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    account = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    markers, rounds = [marker.encode() for marker in given["markers"]], 0
    hits: set[str] = set()
    seen: set[str] = set()
    until = time.monotonic() + 400
    while time.monotonic() < until and not os.path.exists("/run/enough"):
        rounds += 1
        for pid in os.listdir("/proc"):
            for name in ("cmdline", "environ") if pid.isdigit() else ():
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as stream:
                        text = stream.read()
                except OSError:
                    continue
                seen.add(text.split(b"\0")[0].decode(errors="replace").rpartition("/")[2])
                for marker in markers:
                    if marker in text:
                        hits.add(text.decode(errors="replace").replace(marker.decode(), "<SECRET>"))
        time.sleep(0.05)
    out.write(json.dumps({"hits": sorted(hits), "seen": sorted(seen), "rounds": rounds}))
    out.close()


main()
