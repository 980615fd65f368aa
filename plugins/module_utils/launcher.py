# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starts a program of one release as systemd would, for process managers that know nothing of sockets and limits.

This text is written into releases as their ``launch``, with what is particular to each behind it, and runs there as the
application's user, with Debian's own Python and nothing else.

    launch web        becomes the server, with its socket as file descriptor 3
    launch worker.1   becomes a background process
    launch reopen     has the running server open its logs again
"""

# A program of its own, not a module: it prints, and ends by itself.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import re
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

# How many visitors may wait for a server that is busy, as the sockets under systemd have it.
BACKLOG = 2048
# linux/prctl.h
PR_SET_NO_NEW_PRIVS = 38
FIRST_SOCKET = 3
# So many starts within so many seconds are enough (StartLimitBurst=, StartLimitIntervalSec= of our units).
BURST, INTERVAL = 5, 60


def read_variables(text: str) -> dict[str, str]:
    """Return the variables of the file ``env`` of a release, as release_environment.py writes it for systemd."""
    found = re.findall(r'^([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"$', text, re.MULTILINE | re.DOTALL)
    return {name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for name, value in found}


def language(paths: Sequence[str] = ("/etc/locale.conf", "/etc/default/locale")) -> str:
    """Return the host's language, as systemd has it for its services; whoever starts this may have another one."""
    for path in paths:
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
            if found := re.search(r"""^LANG=["']?([\w.@-]+)["']?\s*$""", stream.read(), re.MULTILINE):
                return found[1]
    return "C.UTF-8"


def environment(release_dir: str, account: pwd.struct_passwd) -> dict[str, str]:
    """Return the environment of a program of the release: nothing of the caller's is in it."""
    with open(f"{release_dir}/env", encoding="utf-8") as stream:
        own = read_variables(stream.read())
    return {
        "HOME": account.pw_dir,
        "LOGNAME": account.pw_name,
        "USER": account.pw_name,
        "SHELL": account.pw_shell,
        "LANG": language(),
        "PATH": f"{release_dir}/venv/bin:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": f"{release_dir}/venv",
        "PYTHONUNBUFFERED": "1",
        **own,
    }


def start_time(pid: int) -> str:
    """Return when a process began (proc(5), stat, field 22); empty when there is none.

    Together with its number it is a process's identity: numbers are given again.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def running(path: str) -> int:
    """Return the process that a pid file of the launcher names, 0 when it is gone."""
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            pid, start = (*stream.read().split(), "", "")[:2]
    except OSError:
        return 0
    return int(pid) if pid.isdigit() and start and start_time(int(pid)) == start else 0


def catches(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process has a handler for a signal: one that has not installed it yet would die of it."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", stream.read(), re.MULTILINE)
    except OSError:
        return False
    return bool(caught and int(caught[1], 16) >> (number - 1) & 1)


def listening_socket(path: str) -> socket.socket:
    """Return a socket that listens at ``path``, for the owner and the group of its directory."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        made.bind(path)
    finally:
        os.umask(before)
    made.listen(BACKLOG)
    return made


def limit(name: str, kind: int, wanted: int) -> None:
    """Set a limit, as far as whoever started this allows it."""
    hard = resource.getrlimit(kind)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if value < wanted:
        print(f"launch: limits.{name} {wanted} can't be had here, only {value}", file=sys.stderr)
    resource.setrlimit(kind, (value, value))


def note(path: str, text: str) -> None:
    """Write a small file as a whole."""
    with open(f"{path}.new", "w", encoding="ascii") as stream:
        stream.write(text)
    os.replace(f"{path}.new", path)


def take_note(directory: str, process: str) -> None:
    """Write down which process this is, how often it was started, and when. What ends again and again is given up, as
    systemd does it: supervisor itself starts for ever what has lived for a second.
    """
    try:
        with open(f"{directory}/{process}.starts", encoding="ascii") as stream:
            starts, *moments = map(int, stream.read().split())
    except (OSError, ValueError):
        starts, moments = 0, []
    now = int(time.monotonic())
    moments = [moment for moment in moments if now - moment < INTERVAL][-BURST:]
    if len(moments) == BURST:
        sys.exit(f"launch: {process} was started {BURST} times within {INTERVAL} s and ended each time: it is given up")
    note(f"{directory}/{process}.starts", " ".join(map(str, [starts + 1, *moments, now])) + "\n")
    note(f"{directory}/{process}.pid", f"{os.getpid()} {start_time(os.getpid())}\n")


def launch(release: Mapping[str, Any], process: str) -> None:
    """Become a program of the release."""
    directory, runtime = release["directory"], release["runtime"]
    account = pwd.getpwnam(release["user"])
    if os.geteuid() != account.pw_uid:
        sys.exit(f"launch: this is for {account.pw_name}: runuser -u {account.pw_name} -- {sys.argv[0]} {process}")
    variables = environment(directory, account)
    os.umask(0o027)
    left = running(f"{runtime}/{process}.pid")
    # Whoever watched it is gone, or this would not be started.
    if left and left != os.getpid():
        print(f"launch: ends process {left}, which nobody watches any more", file=sys.stderr)
        os.kill(left, signal.SIGTERM)
    take_note(runtime, process)
    for name, kind in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        if release["limits"].get(name):
            limit(name, kind, release["limits"][name])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit(f"launch: no_new_privs: {os.strerror(ctypes.get_errno())}")
    os.chdir(f"{directory}/src")
    kept = FIRST_SOCKET
    if process == "web":
        made = listening_socket(f"{runtime}/sock")
        os.dup2(made.fileno(), FIRST_SOCKET)
        os.set_inheritable(FIRST_SOCKET, True)
        kept += 1
        variables |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    os.closerange(kept, 1 << 16)
    words = release["commands"][process]
    sys.stderr.flush()
    os.execve(words[0], words, variables)


def reopen(release: Mapping[str, Any]) -> None:
    """Have the running server open its logs again; none that runs is no error."""
    pid = running(f"{release['runtime']}/web.pid")
    if pid and catches(pid, signal.SIGUSR1):
        os.kill(pid, signal.SIGUSR1)


def main(facts: str, arguments: Sequence[str]) -> None:
    """Do what was asked for; ``facts`` is JSON of what is particular to the release."""
    release = json.loads(facts)
    known = [*release["commands"], "reopen"]
    if len(arguments) != 1 or arguments[0] not in known:
        sys.exit(f"Usage: launch {' | '.join(known)}")
    if arguments[0] == "reopen":
        reopen(release)
    else:
        launch(release, arguments[0])
