# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx: its configuration tested as a whole, reloaded without losing a request, and the effect verified."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import FileSetError
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_nginx_logs import logs_in, make_private
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_program import (
    in_context,
    installed,
    run,
    words,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_units import Units, last_words, states

DIRECTORY = "/etc/nginx"
LOGS = "/var/log/nginx"
SERVICE = "nginx.service"
# How long new workers may take to appear after a reload, in seconds. For a port that is taken nginx tries for 2.5.
PATIENCE = 15.0
_LISTENS = "0A"


class Nginx(Units):
    """A reload keeps every connection; a restart would not, so there is none."""

    def __init__(self, units: Mapping[str, Mapping[str, Any]]) -> None:
        own = {"active": True, **units.get(SERVICE, {}), "on_change": "none"}
        super().__init__({**units, SERVICE: own})

    def require(self, changes: Sequence[Change]) -> None:
        if not installed("nginx"):
            raise FileSetError("nginx is not installed on this host")

    def validate(self, changes: Sequence[Change]) -> None:
        # nginx -t makes the log files that it finds in the configuration.
        in_context([DIRECTORY], changes, check_configuration, scratch=[LOGS])

    def apply(self, changes: Sequence[Change]) -> None:
        ran = states([SERVICE])[SERVICE].active == "active"
        for change in changes:
            make_private(logs_in(change.wanted.content or b"", LOGS))
        super().apply(changes)
        if self.units[SERVICE]["active"]:
            if ran:
                self._reload()
            self._check_ports()

    def _reload(self) -> None:
        """A reload returns 0 also when the master could not take the configuration; only new workers tell that."""
        self.touched.add(SERVICE)
        master = _master()
        workers, logs = live_workers(master), _log_sizes(master)
        done = run(["systemctl", "reload", SERVICE])
        if done.returncode != 0:
            raise FileSetError(f"systemctl reload {SERVICE} failed:\n{words(done)}\n{last_words(SERVICE)}")
        deadline = time.monotonic() + PATIENCE
        while True:
            now = live_workers(master)
            # The master starts all new workers before it tells the first old one to go (ngx_master_process_cycle).
            # A new one alone proves nothing: it may come from a reload just before this one.
            if now and not now & workers:
                return
            refused = _new_errors(logs, master)
            late = time.monotonic() > deadline
            # A port may become free while nginx tries again.
            if late and now - workers and not refused:
                return
            if late or any("bind() to" not in line for line in refused):
                said = "\n".join(dict.fromkeys(refused)) or last_words(SERVICE)
                raise FileSetError(f"nginx goes on with its old configuration after a reload:\n{said}")
            time.sleep(0.02)

    def _check_ports(self) -> None:
        master = _master()
        wanted = listens(run(["nginx", "-T", "-q"]).stdout)
        deadline = time.monotonic() + 2
        while missing := wanted - _listening(master):
            if time.monotonic() > deadline:
                raise FileSetError(f"nginx does not listen on {', '.join(sorted(missing))} as its configuration says")
            time.sleep(0.05)

    def restore(self, before: Mapping[str, Any]) -> None:
        super().restore(before)
        was = before["units"].get(SERVICE, {}).get("active")
        if before["swapped"] and was == "active":
            self._reload()


def _master() -> int:
    return int(states([SERVICE])[SERVICE].pid or 0)


def live_workers(master: int) -> set[int]:
    """Return the process ids of the workers of a master that take connections (those that drain do not)."""
    workers = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stream:
                parent = stream.read().rsplit(")", 1)[1].split()[1]
            if parent != str(master):
                continue
            with open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as stream:
                title = stream.read()
        except (OSError, IndexError):
            continue
        if title.startswith("nginx: worker process") and "shutting down" not in title:
            workers.add(int(name))
    return workers


def listens(dump: str) -> set[str]:
    """Return the TCP ports and unix sockets of the listen directives in what ``nginx -T`` prints."""
    found = set()
    for words_of in re.findall(r"(?:^|(?<=[;{}]))[ \t]*listen[ \t]+([^;{}]+)(?=;)", dump, re.MULTILINE):
        address, *options = words_of.split()
        if address.startswith("unix:"):
            found.add(address)
        elif not {"udp", "quic"} & set(options):
            port = re.search(r"(?:^|:)(\d+)$", address)
            if port or not re.search(r":\d+-\d+$", address):
                found.add(port[1] if port else "80")
    return found


def _listening(master: int) -> set[str]:
    """Return the TCP ports and unix sockets on which a process listens: see proc_pid_net(5)."""
    inodes = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{master}/fd"):
            with contextlib.suppress(OSError):
                if found := re.fullmatch(r"socket:\[(\d+)]", os.readlink(f"/proc/{master}/fd/{name}")):
                    inodes.add(found[1])
    found_on = set()
    for table in ("tcp", "tcp6"):
        for fields in _rows(f"/proc/{master}/net/{table}"):
            if fields[3] == _LISTENS and fields[9] in inodes:
                found_on.add(str(int(fields[1].rpartition(":")[2], 16)))
    for fields in _rows(f"/proc/{master}/net/unix"):
        if len(fields) > 7 and fields[6] in inodes:
            found_on.add(f"unix:{fields[7]}")
    return found_on


def _rows(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return [line.split() for line in stream.read().splitlines()[1:]]
    except OSError:
        return []


def check_configuration(context: dict[str, str]) -> None:
    """Refuse what nginx -t refuses or newly warns of: the second of two sites with one name is dead, for example."""
    done = run(["nginx", "-t", "-q"], context)
    lines = _plain(words(done))
    if done.returncode != 0:
        raise FileSetError("nginx refuses the configuration:\n" + "\n".join(lines))
    if lines:
        known = Counter(_plain(words(run(["nginx", "-t", "-q"], {LOGS: context[LOGS]} if LOGS in context else None))))
        if new := list((Counter(lines) - known).elements()):
            raise FileSetError("nginx warns of the configuration:\n" + "\n".join(new))


def _plain(text: str) -> list[str]:
    """Return the lines of nginx without time and process id, which differ from one test to the next.

    What a module merely tells, as ModSecurity does the number of its rules, is left out.
    """
    lines = [re.sub(r"^\S+ \S+ (\[\w+\]) \d+#\d+: ", r"\1 ", line) for line in text.splitlines()]
    return [line for line in lines if not line.startswith(("[notice] ", "[info] "))]


def _log_sizes(master: int) -> dict[str, int]:
    """Return the files that a process has open, with their sizes: its error log is one of them."""
    sizes = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{master}/fd"):
            with contextlib.suppress(OSError):
                path = os.readlink(f"/proc/{master}/fd/{name}")
                if os.path.isfile(path):
                    sizes[path] = os.stat(path).st_size
    return sizes


def _new_errors(sizes: Mapping[str, int], master: int) -> list[str]:
    """Return what the master has logged as [emerg] since; a visitor can't write such a line into an access log."""
    lines: list[str] = []
    own = re.compile(rf"\d{{4}}/\d\d/\d\d \S+ (\[emerg] ){master}#\d+: (.*)")
    for path, size in sizes.items():
        with contextlib.suppress(OSError), open(path, "rb") as stream:
            stream.seek(size)
            text = stream.read().decode(errors="replace")
            lines += [found[1] + found[2] for line in text.splitlines() if (found := own.fullmatch(line))]
    return lines
