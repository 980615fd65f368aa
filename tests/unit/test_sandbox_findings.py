"""What stops a program in its sandbox is named with the words that let it go on, which the plan accepts."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_findings import sandbox_findings
from ansible_collections.flaskworks.deploy.plugins.module_utils.sandbox_rules import RULES
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

SPEC = entry_points("flask_apps")
ERRNO_1 = "PermissionError: [Errno 1] Operation not permitted"
SRC = "/srv/blog/releases/20260314-101500-1f2e3d4c/src"
ISOLATED = {"systemd": {"hardening": "isolated"}}


def service(**keys: Any) -> dict[str, Any]:
    """The [Service] section of the web unit of an application."""
    blog = {"source": {"path": "."}, "wsgi": "app:app", "domains": ["blog.example.org"], **keys}
    made: dict[str, Any] = make_plan(SPEC, {"blog": blog})["releases"]["blog"]["units"]["blog@.service"]["Service"]
    return made


# What was said, in which application, the check, and what to write.
CASES: list[tuple[list[str], dict[str, Any], str, str]] = [
    (
        ["MemoryError: Cannot allocate write+execute memory for ffi.callback(). You might be running on a system"],
        ISOLATED,
        "sandbox-write-execute",
        "MemoryDenyWriteExecute stops your JIT: set systemd: {Service: {MemoryDenyWriteExecute: false}}",
    ),
    (
        ["PermissionError: [Errno 13] cannot allocate executable memory. This may be due to security restrictions"],
        ISOLATED,
        "sandbox-write-execute",
        "set systemd: {Service: {MemoryDenyWriteExecute: false}}",
    ),
    (
        ["Got an unexpected error trying to allocate some memory for the JIT (tried to do mmap() with PROT_EXEC"],
        ISOLATED,
        "sandbox-write-execute",
        "set systemd: {Service: {MemoryDenyWriteExecute: false}}",
    ),
    (
        [" 4: 0x7f v8::internal::MemoryAllocator::SetPermissionsOnExecutableMemoryChunk(v8::internal::VirtualMemory*"],
        ISOLATED,
        "sandbox-write-execute",
        "set systemd: {Service: {MemoryDenyWriteExecute: false}}",
    ),
    (
        ["    m = mmap.mmap(-1, 4096, prot=7)", "        ^^^^^^^^", ERRNO_1],
        ISOLATED,
        "sandbox-refused-call",
        "set systemd: {Service: {MemoryDenyWriteExecute: false}}",
    ),
    (
        ["    m = mmap.mmap(-1, 4096, prot=7)", "PermissionError: [Errno 13] Permission denied"],
        ISOLATED,
        "sandbox-refused-call",
        "set systemd: {Service: {MemoryDenyWriteExecute: false}}",
    ),
    (
        [f"OSError: [Errno 30] Read-only file system: '{SRC}/uploads/2026/a.png'"],
        {},
        "sandbox-read-only",
        "say shared: [uploads/2026]",
    ),
    (["OSError: [Errno 30] Read-only file system: 'cache.db'"], {}, "sandbox-read-only", "and write data/cache.db"),
    (["Permission denied: '/srv/blog/current/src/site.db'"], {}, "sandbox-denied", "say shared: [data]"),
    (
        ["Failed to connect to system scope bus via local transport: Operation not permitted (consider using"],
        {},
        "sandbox-bus",
        "set systemd: {Service: {InaccessiblePaths: null}}",
    ),
    (
        ["FileNotFound: Failed to connect to socket /run/dbus/system_bus_socket: No such file or directory"],
        {"systemd": {"Service": {"InaccessiblePaths": ["-/run/dbus /mnt/a", "/mnt/b"]}}},
        "sandbox-bus",
        "set systemd: {Service: {InaccessiblePaths: [/mnt/a, /mnt/b]}}",
    ),
    (
        ["OSError: [Errno 30] Read-only file system: '/opt/data/x'"],
        {"systemd": {"Service": {"ReadWritePaths": ["/srv/blog/shared", "/mnt/a"]}}},
        "sandbox-read-only",
        "set systemd: {Service: {ReadWritePaths: [/srv/blog/shared, /mnt/a, /opt/data]}}",
    ),
    (
        ["/bin/sh: 1: cannot create /opt/data/y: Read-only file system"],
        {},
        "sandbox-read-only",
        "ReadWritePaths: [/srv/blog/shared, /var/log/blog, /opt/data]",
    ),
    (
        ["touch: cannot touch '/etc/x/y': Read-only file system"],
        {},
        "sandbox-read-only",
        "/etc/x is not blog's own: say shared: [data]",
    ),
    (
        ["OSError: [Errno 30] Read-only file system: '/run/app.pid'"],
        {},
        "sandbox-read-only",
        "/run is the system's: turn its pid file off, which systemd does not need, or say shared: [data]",
    ),
    (
        ["OSError: [Errno 30] Read-only file system: '/var/lib/blog/x'"],
        {},
        "sandbox-read-only",
        "/var/lib/blog]}} if it is blog's own; else make blog a new directory in it",
    ),
    (
        ["OSError: [Errno 30] Read-only file system: '/srv/blog/.cache'"],
        {},
        "sandbox-read-only",
        "set env: {XDG_CACHE_HOME: /srv/blog/shared/cache}",
    ),
    (
        ["PermissionError: [Errno 13] Permission denied: '/home/anna/model.bin'"],
        {},
        "sandbox-denied",
        "ProtectHome hides it: set systemd: {Service: {ProtectHome: read-only}}",
    ),
    (
        ["FileNotFoundError: [Errno 2] No such file or directory: '/dev/fuse'"],
        {},
        "sandbox-hidden",
        'set systemd: {Service: {PrivateDevices: false, DeviceAllow: "/dev/fuse rw"}}',
    ),
    (
        ["FileNotFoundError: [Errno 2] No such file or directory: '/proc/meminfo'"],
        {},
        "sandbox-hidden",
        "ProcSubset hides /proc/meminfo: set systemd: {Service: {ProcSubset: all}}",
    ),
    (
        ["OSError: [Errno 97] Address family not supported by protocol"],
        {},
        "sandbox-address-family",
        'set systemd: {Service: {RestrictAddressFamilies: "AF_UNIX AF_INET AF_INET6 AF_NETLINK"}}',
    ),
    (
        ["urllib.error.URLError: <urlopen error [Errno 97] Address family not supported by protocol>"],
        ISOLATED,
        "sandbox-address-family",
        "set systemd: {hardening: strict}",
    ),
    (
        ["socket.gaierror: [Errno -3] Temporary failure in name resolution"],
        ISOLATED,
        "sandbox-network",
        "set systemd: {hardening: strict}",
    ),
    (
        ["    os.chown(path, -1, group)", f"{ERRNO_1}: '/srv/blog/shared/x'"],
        {},
        "sandbox-refused-call",
        'SystemCallFilter: ["@system-service", "~@privileged @resources", "@chown"]',
    ),
    (
        ["    os.nice(5)", "    ~~~~^^^", ERRNO_1],
        {},
        "sandbox-refused-call",
        '"~@privileged @resources", "@resources"]',
    ),
    (
        ['    server.bind(("", 80))', "PermissionError: [Errno 13] Permission denied"],
        {},
        "sandbox-refused-call",
        "ports below 1024 are nginx's",
    ),
    (
        ["[1121/1:ERROR:zygote_host_impl_linux.cc:130] No usable sandbox! If this is a Debian system,"],
        {},
        "sandbox-namespaces",
        "set systemd: {hardening: standard}",
    ),
    (
        ["unshare: unshare failed: Operation not permitted"],
        {},
        "sandbox-namespaces",
        "set systemd: {hardening: standard}",
    ),
    (
        ['sudo: The "no new privileges" flag is set, which prevents sudo from running as root.'],
        {},
        "sandbox-privileges",
        "by the role systemd_units",
    ),
    (
        ["blog@x.service: Main process exited, code=killed, status=31/SYS"],
        {"systemd": {"Service": {"SystemCallErrorNumber": None}}},
        "sandbox-killed",
        "set systemd: {Service: {SystemCallErrorNumber: EPERM}}",
    ),
    (
        ["[ERROR] Worker (pid:17) was sent SIGSYS!"],
        {"systemd": {"Service": {"SystemCallErrorNumber": "kill"}}},
        "sandbox-killed",
        "set systemd: {Service: {SystemCallErrorNumber: EPERM}}",
    ),
    (
        ["x.service: Failed to set up mount namespacing: /opt/none: No such file or directory"],
        {},
        "sandbox-mounts",
        "its unit opens /opt/none, which the host does not have",
    ),
    (
        ["x.service: Failed to set up mount namespacing: /run/systemd/unit-root/opt/none: No such file or directory"],
        {},
        "sandbox-mounts",
        "its unit opens /opt/none, which the host does not have",
    ),
    (
        ["x.service: Main process exited, code=exited, status=226/NAMESPACE"],
        {"systemd": {"Service": {"ReadWritePaths": ["/srv/blog/shared", "-/opt/a", "/opt/none"]}}},
        "sandbox-mounts",
        "its unit opens /opt/none, which the host does not have",
    ),
    (["Main process exited, code=exited, status=228/SECCOMP"], {}, "sandbox-filter", "set systemd: {hardening: off}"),
    (["OSError: [Errno 24] Too many open files: '/x'"], {}, "limit-files", "set limits: {nofile: 8192}"),
    (
        ["OSError: [Errno 24] Too many open files"],
        {"limits": {"nofile": 100}},
        "limit-files",
        "it may open 100 files: set limits: {nofile: 400}",
    ),
    (
        ["RuntimeError: can't start new thread"],
        {"limits": {"tasks": 20}},
        "limit-tasks",
        "TasksMax allows 20 processes and threads: set limits: {tasks: 40}",
    ),
    (
        # As Python 3.13 has it.
        [
            '  File "/usr/lib/python3.13/subprocess.py", line 1896, in _execute_child',
            "    self.pid = _fork_exec(",
            "               ^^^^^^^^^^^",
            "    ...<8 lines>...",
            "            preexec_fn, _USE_VFORK)",
            "            ^^^^^^^^^^^^^^^^^^^^^^^",
            "BlockingIOError: [Errno 11] Resource temporarily unavailable",
        ],
        {"limits": {"nproc": 8}},
        "limit-tasks",
        "set limits: {nproc: 16}",
    ),
    *[
        (
            [f"    {call}", "    ~~~~^^^", f"BlockingIOError: [Errno 11] Resource temporarily unavailable{more}"],
            {"limits": {"tasks": 20}},
            "limit-tasks",
            "set limits: {tasks: 40}",
        )
        for call, more in (
            ("self.pid = os.fork()", ""),
            ("return _posixsubprocess.fork_exec(", ""),
            ('os.posix_spawn("/bin/true", ["true"], {})', ": '/bin/true'"),
        )
    ],
    (
        ["blog@x.service: Failed with result 'oom-kill'."],
        {"limits": {"memory": "64M"}},
        "limit-memory",
        "it needed more memory than the 64M of limits.memory",
    ),
    (
        ["[ERROR] Worker (pid:12) was sent SIGKILL! Perhaps out of memory?"],
        {},
        "limit-memory",
        "set limits: {memory: 50%}",
    ),
]


@pytest.mark.parametrize(
    ("lines", "keys", "check", "words"), CASES, ids=[f"{case[2]}-{case[0][-1][:40]}" for case in CASES]
)
def test_a_cure_is_named(lines: list[str], keys: dict[str, Any], check: str, words: str) -> None:
    found = sandbox_findings("blog", ["Booting worker", *lines, "Shutting down"], service(**keys))
    assert [(one.app, one.level, one.check) for one in found] == [("blog", "error", check)]
    assert words in found[0].fix
    assert not found[0].fix.endswith(".")


@pytest.mark.parametrize(("lines", "keys", "dummy", "dummy2"), CASES)
def test_the_words_of_a_cure_can_be_written_into_the_inventory(
    lines: list[str], keys: dict[str, Any], dummy: str, dummy2: str
) -> None:
    (found,) = sandbox_findings("blog", lines, service(**keys))
    for said in re.findall(r"(?:set|say) ((?:systemd|limits|env): \{.*\}+|shared: \[[^\]]*\])", found.fix):
        cure = yaml.safe_load(said)
        changed = service(**{**keys, **cure})
        assert sandbox_findings("blog", lines, changed) != [found] or "shared" in cure or "env" in cure


@pytest.mark.parametrize(
    ("lines", "keys"),
    [
        # The directive that could be to blame is not there.
        (["MemoryError: Cannot allocate write+execute memory for ffi.callback()"], {}),
        (["OSError: [Errno 97] Address family not supported by protocol"], {"systemd": {"hardening": "standard"}}),
        (["socket.gaierror: [Errno -3] Temporary failure in name resolution"], {}),
        (["OSError: [Errno 30] Read-only file system: '/mnt/x'"], {"systemd": {"hardening": "off"}}),
        (["No such file or directory: '/proc/meminfo'"], {"systemd": {"hardening": "standard"}}),
        (["No such file or directory: '/proc/1234/stat'"], {}),
        (["No such file or directory: '/proc/1234'"], {}),
        (["No such file or directory: '/dev/shm/sem.1'"], {}),
        (
            ["  socket.socket(socket.AF_INET6)", "OSError: [Errno 97] Address family not supported by protocol"],
            {},
        ),
        (["Failed to connect to bus: Operation not permitted"], {"systemd": {"hardening": "standard"}}),
        (["Failed to connect to bus: No medium found"], {}),
        (["No usable sandbox!"], {"systemd": {"hardening": "standard"}}),
        (["status=31/SYS"], {}),
        (["RuntimeError: can't start new thread"], {}),
        # A lock that another worker has, a socket that does not block.
        *[
            ([f"    {call}", "BlockingIOError: [Errno 11] Resource temporarily unavailable"], {"limits": {"tasks": 20}})
            for call in ("fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", "data = connection.recv(1024)")
        ],
        # Files that another program may not read, calls that are not known, a worker that gunicorn killed itself.
        (["PermissionError: [Errno 13] Permission denied: '/srv/shop/shared/x'"], {}),
        ([ERRNO_1], {}),
        (["PermissionError: [Errno 13] Permission denied"], {}),
        (
            [
                "[CRITICAL] WORKER TIMEOUT (pid:12)",
                *["  a frame"] * 20,
                "Worker (pid:12) was sent SIGKILL! Perhaps out of memory?",
            ],
            {},
        ),
        (["all is well"], {}),
    ],
)
def test_what_is_not_the_sandbox_is_not_blamed_on_it(lines: list[str], keys: dict[str, Any]) -> None:
    assert sandbox_findings("blog", lines, service(**keys)) == []


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("Main process exited, code=exited, status=228/SECCOMP", {}),
        (
            "Failed at step NAMESPACE spawning /srv/blog: status=226/NAMESPACE",
            {"systemd": {"Service": {"ReadWritePaths": ["/mnt/a"]}}},
        ),
        ("Failed to set up mount namespacing: /run/systemd/unit-root/mnt/a: No such file or directory", {}),
        (
            "Main process exited, code=killed, status=31/SYS",
            {"systemd": {"Service": {"SystemCallErrorNumber": "kill"}}},
        ),
        ("A process of this unit has been killed by the OOM killer.", {}),
        ("Failed with result 'oom-kill'.", {}),
    ],
)
def test_what_systemd_alone_says_is_believed_of_systemd_alone(line: str, keys: dict[str, Any]) -> None:
    """A site may log what a visitor sends, such as the name of his browser."""
    unit = service(**keys)
    assert sandbox_findings("blog", [line], unit, system=["Started blog."]) == []
    assert sandbox_findings("blog", [], unit, system=[line]) == sandbox_findings("blog", [line], unit) != []


def test_what_a_program_says_is_not_looked_for_in_systemds_words() -> None:
    line = "RuntimeError: can't start new thread"
    unit = service(limits={"tasks": 20})
    assert len(sandbox_findings("blog", [line], unit, system=[])) == 1
    assert sandbox_findings("blog", [], unit, system=[line]) == []


def test_without_a_unit_the_sandbox_is_to_blame_for_nothing() -> None:
    lines = [line for said, dummy, check, dummy2 in CASES if check.startswith("sandbox-") for line in said]
    checks = {one.check for one in sandbox_findings("blog", lines, {})}
    assert checks <= {"sandbox-denied", "sandbox-refused-call", "sandbox-killed", "sandbox-mounts"}


def test_one_cure_is_named_once_and_no_more_than_what_matched_is_quoted() -> None:
    lines = ["token=hunter22 FileNotFoundError: [Errno 2] No such file or directory: '/proc/meminfo' token=hunter22"]
    (found,) = sandbox_findings("blog", lines * 3, service())
    assert found.evidence == "it said: No such file or directory: '/proc/meminfo'"


@pytest.mark.parametrize(
    "line",
    [
        "Read-only file system: '/data/x], User: [root/y'",
        "Read-only file system: '/tmp/../root/.ssh/x'",
        "Read-only file system: '//root/.ssh/x'",
        "Read-only file system: '/proc/sys/vm/x'",
        "Read-only file system: '../units/x'",
        "Read-only file system: 'x]}, User: [root/y'",
        "No such file or directory: '/dev/x rw\", User: \"root'",
        "No such file or directory: '/dev/../etc/shadow'",
    ],
)
def test_what_an_application_says_opens_nothing_of_the_system(line: str) -> None:
    for found in sandbox_findings("blog", [line], service()):
        assert "say shared: [data]" in found.fix
        assert "systemd:" not in found.fix
        assert "User" not in found.fix


@pytest.mark.parametrize(
    "directory",
    [
        *("/run", "/run/nginx", "/var/run", "/var", "/var/lib", "/var/log", "/var/cache", "/var/spool", "/var/tmp"),
        *("/srv", "/srv/shop", "/srv/shop/shared/data", "/srv/shop/current/src/data", "/opt", "/mnt", "/media", "/tmp"),
        *("/home", "/etc", "/etc/blog", "/usr/local/lib/blog", "/var/lib/postgresql/15", "/var/log/blog2", "/var/www"),
    ],
)
def test_no_directory_of_others_is_opened(directory: str) -> None:
    (found,) = sandbox_findings("blog", [f"Read-only file system: '{directory}/app.x'"], service())
    assert "say shared: [data]" in found.fix
    assert "systemd:" not in found.fix
    assert directory in found.fix


@pytest.mark.parametrize("directory", ["/opt/data", "/mnt/nas/files", "/data", "/var/lib/blog", "/home/blog/x"])
def test_a_directory_that_may_be_its_own_is_opened_as_such(directory: str) -> None:
    (found,) = sandbox_findings("blog", [f"Read-only file system: '{directory}/x'"], service())
    assert f"{directory}]}}}} if it is blog's own; else" in found.fix


def test_every_rule_has_a_case() -> None:
    lines = [line for said, *dummy in CASES for line in said]
    assert [pattern.pattern for dummy, pattern, dummy2 in RULES if not any(map(pattern.search, lines))] == []


@pytest.mark.parametrize("pattern", [pattern.pattern for dummy, pattern, dummy2 in RULES])
def test_a_line_of_a_megabyte_takes_no_time(pattern: str) -> None:
    first = re.split(r"(?<!\\)[(\[|?*+]", pattern.removeprefix("(?:"))[0].replace("\\", "")
    assert len(first) > 3
    began = time.process_time()
    for words in (first, f"{first} /x '"):
        sandbox_findings("blog", [words * (10**6 // len(words))], service())
    assert time.process_time() - began < 1


def test_what_a_line_says_at_its_beginning_is_found_however_long_it_is() -> None:
    line = "sh: 1: cannot create /opt/data/y: Read-only file system" + "x" * 10**6
    assert [one.check for one in sandbox_findings("blog", [line], service())] == ["sandbox-read-only"]
