# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What programs and files of a host say, as facts for the doctor. Pure functions: text in, values out."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import time
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any

HOPS = ("x_for", "x_proto", "x_host", "x_port", "x_prefix")


def _word(value: object) -> str:
    return str(value)[:80]


_COOKIE: dict[str, Callable[[Any], Any]] = {"name": _word, "secure": bool, "httponly": bool, "samesite": _word}
_KEY: dict[str, Callable[[Any], Any]] = {"name": _word, "length": int, "kinds": int, "known": bool, "name_like": bool}


def memory(meminfo: str) -> dict[str, int]:
    """Return bytes of /proc/meminfo (proc(5)). Raises KeyError when it lacks a line."""
    found = {name: int(count) * 1024 for name, count in re.findall(r"^(\w+):\s+(\d+) kB$", meminfo, re.MULTILINE)}
    return {
        "total": found["MemTotal"],
        "available": found["MemAvailable"],
        "swap_total": found["SwapTotal"],
        "swap_free": found["SwapFree"],
    }


def periodic(shell: str, missing: bool = False) -> bool:
    """Tell whether ``apt-config shell value APT::Periodic::...`` names an interval, like ``value='1'`` or ``'1d'``;
    ``missing``: what holds when there is no such setting.
    """
    matched = re.search(r"^value='(.*)'$", shell, re.MULTILINE)
    return matched[1].strip() not in ("", "0") if matched else missing


def time_service(packages: str) -> str:
    """Return the installed package that keeps the time, of ``dpkg-query`` with status, name and what it provides, which
    tabs part; empty when there is none. Each of Debian's conflicts with the others, and its unit has its name.
    """
    for line in packages.splitlines():
        status, name, provides = (*line.split("\t"), "", "")[:3]
        if status.startswith("ii") and "time-daemon" in re.split(r"[,\s]+", provides):
            return name
    return ""


def journal_storage(config: str) -> str:
    """Return where journald keeps the journal, of ``systemd-analyze cat-config``: the last line counts."""
    found = re.findall(r"^\s*Storage\s*=\s*(\w+)\s*$", config, re.MULTILINE)
    return found[-1].lower() if found else "auto"


def newest_kernel(names: Iterable[str]) -> str:
    """Return the version of the newest kernel among the files of /boot; empty when there is none."""
    versions = [name.removeprefix("vmlinuz-") for name in names if name.startswith("vmlinuz-")]
    return max(versions, key=lambda name: [int(part) for part in re.findall(r"\d+", name)], default="")


def same_flavour(one: str, other: str) -> bool:
    """Tell whether two kernels are of one kind, such as amd64 or cloud-amd64: another may be kept on purpose."""
    return one.partition("-")[2].lstrip("0123456789.+-debpo") == other.partition("-")[2].lstrip("0123456789.+-debpo")


def listeners(listing: str) -> list[dict[str, Any]]:
    """Return who listens where, of ``ss --listening --tcp --numeric --processes`` without its head.

    A line ends in ``users:(("nginx",pid=12,fd=6),...)``; one of a process in another namespace has no users.
    """
    found = []
    for line in listing.splitlines():
        words = line.split(None, 5)
        if len(words) < 4 or words[0] != "LISTEN":
            continue
        address, dummy, port = words[3].rpartition(":")
        users = re.findall(r'\("((?:[^"\\]|\\.)*)",pid=(\d+)', words[5] if len(words) > 5 else "")
        if port.isdigit():
            program, pid = users[0] if users else ("a process of another namespace", "0")
            found.append({"address": address, "port": int(port), "program": program, "pid": int(pid)})
    return found


def addresses(listing: str) -> list[str]:
    """Return the addresses of ``getent ahosts``, each once, in their order."""
    words = (line.split()[0].partition("%")[0] for line in listing.splitlines() if line.split())
    return list(dict.fromkeys(str(ipaddress.ip_address(word)) for word in words))


def kills(journal: str) -> list[dict[str, str]]:
    """Return which processes or units were killed for want of memory, of ``journalctl --output=json``."""
    found = []
    for line in journal.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        message = entry.get("MESSAGE")
        text = message if isinstance(message, str) else ""
        if entry.get("_TRANSPORT") == "kernel":
            # "Out of memory: Killed process 812 (gunicorn) ...", "Memory cgroup out of memory: Killed process ..."
            matched = re.search(r"[Oo]ut of memory: Killed process \d+ \(([^)]*)\)", text)
            what = matched[1] if matched else ""
        else:
            what = str(entry.get("UNIT") or "")
        if what:
            found.append({"what": what, "time": moment(entry.get("__REALTIME_TIMESTAMP"))})
    return found


def lines_since(log: str, since: str) -> list[str]:
    """Return the lines of a server's error log from the first one on that is not older than a time (ISO 8601, UTC).

    gunicorn begins its lines with ``[2026-03-14 10:15:00 +0000]``, Flask with ``[2026-03-14 10:15:00,123]`` in local
    time; those of a traceback have no time.
    """
    begin = aware(since)
    lines = log.splitlines()
    for number, line in enumerate(lines):
        matched = re.match(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:,\d+| ([+-]\d{4}))\]", line)
        if not matched:
            continue
        zone = matched[2]
        form = "%Y-%m-%d %H:%M:%S %z" if zone else "%Y-%m-%d %H:%M:%S"
        try:
            then = datetime.datetime.strptime(f"{matched[1]} {zone}" if zone else matched[1], form).astimezone()
        except (ValueError, OverflowError):  # digits that are no time: the log is the application's
            continue
        if then >= begin:
            return lines[number:]
    return []


def aware(text: str) -> datetime.datetime:
    """Return a time of ISO 8601, in UTC unless it says otherwise. Raises ValueError."""
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def moment(microseconds: object) -> str:
    """Return a time of the journal as ISO 8601 in UTC."""
    text = str(microseconds or "")
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(text) // 1_000_000)) if text.isdigit() else "?"


def cookies(headers: Iterable[str]) -> list[dict[str, Any]]:
    """Return the cookies of Set-Cookie headers with their flags, never their values."""
    found = []
    for header in headers:
        try:
            parsed = SimpleCookie(header)
        except CookieError:
            continue
        for name, morsel in parsed.items():
            found.append(
                {
                    "name": name,
                    "secure": bool(morsel["secure"]),
                    "httponly": bool(morsel["httponly"]),
                    "samesite": str(morsel["samesite"]),
                }
            )
    return found


def inside(answer: str) -> dict[str, Any]:
    """Return what doctor_inside has printed, in the shape that it promises: the application could have said anything.

    Raises ValueError for anything else.
    """
    try:
        said = json.loads((answer.splitlines() or [""])[-1])
    except RecursionError as error:
        raise ValueError("another answer than that of the doctor's program") from error
    if not isinstance(said, dict):
        raise ValueError("no answer of the doctor's program")
    if "error" in said:
        return {"error": str(said["error"])[:80]}
    try:
        hops, cookie, key, seen = said["proxy_fix"], said["cookie"], said["secret"], said["seen"]
        return {
            "flask": said["flask"] is True,
            "debug": said["debug"] is True,
            "proxy_fix": {name: int(hops[name]) for name in HOPS} if hops else None,
            "cookie": {name: kind(cookie[name]) for name, kind in _COOKIE.items()} if cookie else None,
            "secret": {name: kind(key[name]) for name, kind in _KEY.items()} if key else None,
            "seen": {name: str(seen[name])[:80] for name in ("address", "scheme")},
        }
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError("another answer than that of the doctor's program") from error
