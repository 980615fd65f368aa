# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What programs say when a sandbox or a limit stops them, and what each needs instead. See sandbox_findings.

The words are those of Python 3.11 and 3.13, systemd 252 and 257, gunicorn, cffi, numba, PyPy, Node.js and Chromium, as
they were met in these sandboxes; those of the OOM killer and of status 228 are from systemd's source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_paths import (
    is_below,
    needs_device,
    needs_proc,
    needs_write,
    writable_paths,
)

# Functions of Python's os module -> what SystemCallFilter= has to allow for them (systemd-analyze syscall-filter).
_CALLS = {
    **dict.fromkeys(("chown", "lchown", "fchown"), "@chown"),
    **dict.fromkeys(("nice", "setpriority", "sched_setaffinity", "sched_setscheduler", "sched_setparam"), "@resources"),
    **dict.fromkeys(("setuid", "setgid", "setgroups", "initgroups", "setreuid", "setregid"), "@setuid"),
}
# How many lines above an error are looked at.
_ABOVE = 6
_CALL = re.compile(rf"\b({'|'.join(_CALLS)})\(")
# A kernel without IPv6 says the same, and no directive helps.
_IPV6 = re.compile(r"AF_INET6|\bipv6\b|\[::|['\"]::", re.IGNORECASE)
# os.fork() and what subprocess and multiprocessing call; Python shows the name of its function without the source too.
_FORK = re.compile(r"\bfork(?:pty)?\(|fork_exec\b|\bposix_spawnp?\b|\b_execute_child\b|start_new_thread")
_MEMORY_CALL = re.compile(r"\bmmap\(|\bmprotect\(|PROT_EXEC")
# systemd 252 names the path as it mounts it.
_MOUNTS = r"Failed to set up mount namespacing: (?:/run/systemd/unit-root)?(?P<path>/[^:\n]+): No such file"
# busctl and systemctl of systemd 252 and 257; libdbus; libraries that try the socket themselves.
_BUS = (
    r"(?:Failed to connect to (?:system scope )?bus(?: via local transport)?|/run/dbus/system_bus_socket): "
    r"(?:Permission denied|Operation not permitted|No such file)|Permission denied: '/(?:var/)?run/dbus/"
)
_NO_NETWORK = "this sandbox has no network: set systemd: {hardening: strict}"


@dataclass(frozen=True)
class Said:
    """A line and what is known around it: its application, directive -> values of its unit, all lines."""

    app: str
    service: Mapping[str, Sequence[str]]
    lines: Sequence[str]
    number: int

    @property
    def above(self) -> str:
        """The lines in front of an error that say which call it was: the last frames of a traceback."""
        return "\n".join(self.lines[max(0, self.number - _ABOVE) : self.number])

    def on(self, directive: str) -> bool:
        """Tell whether the unit has a directive that is switched on."""
        return self.value(directive).lower() not in ("", "no", "false", "off", "0")

    def value(self, directive: str) -> str:
        """Return the last value of a directive, an empty text when the unit does not have it."""
        return (list(self.service.get(directive, [])) or [""])[-1]


def _write_execute(dummy: re.Match[str], said: Said) -> str:
    if not said.on("MemoryDenyWriteExecute"):
        return ""
    return "MemoryDenyWriteExecute stops your JIT: set systemd: {Service: {MemoryDenyWriteExecute: false}}"


def _read_only(matched: re.Match[str], said: Said) -> str:
    if not said.on("ProtectSystem") and not said.on("ReadOnlyPaths"):
        return ""
    return needs_write(said.app, matched[1], writable_paths(said.service))


def _denied(matched: re.Match[str], said: Said) -> str:
    path = matched[1]
    if is_below(path, "/home") or is_below(path, "/root"):
        hidden = said.on("ProtectHome") and said.value("ProtectHome") != "read-only"
        return "ProtectHome hides it: set systemd: {Service: {ProtectHome: read-only}}" if hidden else ""
    own = is_below(path, f"/srv/{said.app}/releases") or is_below(path, f"/srv/{said.app}/current")
    return needs_write(said.app, path, ()) if own else ""


def _bus(dummy: re.Match[str], said: Said) -> str:
    hidden = [path for words in said.service.get("InaccessiblePaths", []) for path in words.split()]
    others = [path for path in hidden if path.lstrip("-+") != "/run/dbus"]
    if others == hidden:
        return ""
    kept = f"[{', '.join(others)}]" if others else "null"
    text = "InaccessiblePaths hides the system's D-Bus, which tells of other sites"
    return f"{text}: set systemd: {{Service: {{InaccessiblePaths: {kept}}}}}"


def _missing(matched: re.Match[str], said: Said) -> str:
    path = matched[1]
    if path.startswith("/dev/"):
        return needs_device(path) if said.on("PrivateDevices") else ""
    return needs_proc(path) if said.value("ProcSubset") == "pid" else ""


def _family(dummy: re.Match[str], said: Said) -> str:
    allowed = said.value("RestrictAddressFamilies").split()
    if not allowed or allowed[0].startswith("~") or "AF_NETLINK" in allowed:
        return ""
    if "AF_INET" not in allowed or said.on("PrivateNetwork"):
        return _NO_NETWORK
    if _IPV6.search(said.above):
        return ""
    wider = " ".join([*allowed, "AF_NETLINK"])
    text = "RestrictAddressFamilies leaves the internet and unix sockets; for the list of network interfaces"
    return f'{text} set systemd: {{Service: {{RestrictAddressFamilies: "{wider}"}}}}'


def _no_network(dummy: re.Match[str], said: Said) -> str:
    return _NO_NETWORK if said.on("PrivateNetwork") else ""


def _refused_call(matched: re.Match[str], said: Said) -> str:
    """Which call it was stands in the traceback above the error."""
    if _MEMORY_CALL.search(said.above) and (fix := _write_execute(matched, said)):
        return fix
    filters = [words for words in said.service.get("SystemCallFilter", []) if words]
    called = _CALL.findall(said.above)
    if not called or not filters:
        return ""
    wider = ", ".join(f'"{words}"' for words in [*filters, _CALLS[called[-1]]])
    return f"SystemCallFilter refuses {called[-1]}(): set systemd: {{Service: {{SystemCallFilter: [{wider}]}}}}"


def _denied_call(matched: re.Match[str], said: Said) -> str:
    """Without a path: memory since systemd 254, which leaves it to the kernel (PR_SET_MDWE), or a port."""
    if _MEMORY_CALL.search(said.above):
        return _write_execute(matched, said)
    if not re.search(r"\.bind\(|create_server\(", said.above):
        return ""
    return "ports below 1024 are nginx's: listen above them, or let nginx do it, as nginx: {listen: [80]}"


def _namespaces(dummy: re.Match[str], said: Said) -> str:
    if not said.on("RestrictNamespaces"):
        return ""
    return "RestrictNamespaces stops a sandbox that a program makes for itself: set systemd: {hardening: standard}"


def _privileges(dummy: re.Match[str], said: Said) -> str:
    if not said.on("NoNewPrivileges"):
        return ""
    return "a site gets no rights but its own: give what needs more a unit of its own, by the role systemd_units"


def _killed(dummy: re.Match[str], said: Said) -> str:
    if said.value("SystemCallErrorNumber") not in ("", "kill"):
        return ""
    text = "SystemCallFilter killed it where it could have answered with an error"
    return f"{text}: set systemd: {{Service: {{SystemCallErrorNumber: EPERM}}}}"


def _mounts(matched: re.Match[str], said: Said) -> str:
    """systemd 252 may leave out the path."""
    own = (f"/srv/{said.app}", f"/var/log/{said.app}")
    listed = [path for path in writable_paths(said.service) if not path.startswith(("-", "+", *own))]
    path = matched.groupdict().get("path") or " or ".join(listed)
    if not path:
        return ""
    return f"its unit opens {path}, which the host does not have: make it, or write '-' before it if it may be missing"


def _seccomp(dummy: re.Match[str], said: Said) -> str:
    if not said.on("SystemCallFilter"):
        return ""
    return "this kernel takes no filter of system calls: set systemd: {hardening: off}, or boot the kernel of Debian"


def _files(dummy: re.Match[str], said: Said) -> str:
    now = said.value("LimitNOFILE")
    # Without a limit of its own a service has systemd's DefaultLimitNOFILE=, 1024 unless a program asks for more.
    return f"it may open {now or 1024} files: set limits: {{nofile: {4 * int(now) if now.isdigit() else 8192}}}"


def _tasks(dummy: re.Match[str], said: Said) -> str:
    for directive, key in (("TasksMax", "tasks"), ("LimitNPROC", "nproc")):
        if (now := said.value(directive)).isdigit():
            return f"{directive} allows {now} processes and threads: set limits: {{{key}: {2 * int(now)}}}"
    return ""


def _fork(matched: re.Match[str], said: Said) -> str:
    """A file that another program has locked, and a socket that has nothing to say, are no limit."""
    return _tasks(matched, said) if _FORK.search(said.above) else ""


def _memory(matched: re.Match[str], said: Said) -> str:
    worker = matched.groupdict().get("worker")
    if worker and any(f"WORKER TIMEOUT (pid:{worker})" in line for line in said.lines[: said.number]):
        # gunicorn killed it itself, and guesses wrong.
        return ""
    if now := said.value("MemoryMax"):
        return f"it needed more memory than the {now} of limits.memory: raise that, or lower server.workers"
    return "the host ran out of memory: lower server.workers, and set limits: {memory: 50%} to keep the others running"


# Check, what is said, and what follows from it; an empty text when the sandbox is not to blame.
Rule = tuple[str, re.Pattern[str], Callable[[re.Match[str], Said], str]]


def _rules(*given: tuple[str, str, Callable[[re.Match[str], Said], str]]) -> tuple[Rule, ...]:
    return tuple((check, re.compile(pattern), fix_of) for check, pattern, fix_of in given)


# What systemd says and nobody else.
SYSTEM_RULES = _rules(
    ("sandbox-killed", r"status=31/SYS", _killed),
    ("sandbox-mounts", _MOUNTS, _mounts),
    ("sandbox-mounts", r"status=226/NAMESPACE", _mounts),
    ("sandbox-filter", r"status=228/SECCOMP", _seccomp),
    ("limit-memory", r"killed by the OOM killer|result 'oom-kill'", _memory),
)
# What programs say.
PROGRAM_RULES = _rules(
    ("sandbox-write-execute", r"MemoryError: Cannot allocate write\+execute memory", _write_execute),
    (
        "sandbox-write-execute",
        r"PermissionError: \[Errno 1?[13]\] cannot allocate executable memory",
        _write_execute,
    ),
    ("sandbox-write-execute", r"trying to allocate some memory for the JIT", _write_execute),
    ("sandbox-write-execute", r"SetPermissionsOnExecutableMemoryChunk", _write_execute),
    ("sandbox-read-only", r"Read-only file system: '([^'\n]+)'", _read_only),
    ("sandbox-read-only", r"cannot [a-z ]{1,60} '?(/[^'\n:]+)'?: Read-only file system", _read_only),
    ("sandbox-bus", _BUS, _bus),
    ("sandbox-denied", r"Permission denied: '(/[^'\n]+)'", _denied),
    ("sandbox-hidden", r"No such file or directory: '(/(?:dev|proc)/[^'\n]+)'", _missing),
    ("sandbox-address-family", r"Address family not supported by protocol", _family),
    ("sandbox-network", r"Temporary failure in name resolution|Network is unreachable", _no_network),
    ("sandbox-refused-call", r"PermissionError: \[Errno 1\] Operation not permitted", _refused_call),
    ("sandbox-refused-call", r"PermissionError: \[Errno 13\] Permission denied\s*$", _denied_call),
    ("sandbox-namespaces", r"No usable sandbox!|unshare failed: Operation not permitted", _namespaces),
    ("sandbox-privileges", r"sudo: The \"no new privileges\" flag is set", _privileges),
    ("sandbox-killed", r"was sent SIGSYS", _killed),
    ("limit-files", r"\[Errno 24\] Too many open files", _files),
    ("limit-tasks", r"can't start new thread", _tasks),
    ("limit-tasks", r"\[Errno 11\] Resource temporarily unavailable", _fork),
    ("limit-memory", r"pid:(?P<worker>\d+)\) was sent SIGKILL! Perhaps out of memory\?", _memory),
)
RULES = (*PROGRAM_RULES, *SYSTEM_RULES)
