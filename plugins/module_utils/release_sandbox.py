# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running programs for a release: as the unprivileged build user, in the build's sandbox, and in the application's own.

Values of variables travel in files that only root reads, never in an argument list or a unit's properties.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_cache import build_cache
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_environment import environment_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    BUILD_USER,
    CACHE_DIRECTORY,
    KEYS_DIRECTORY,
    NO_HOME,
    RUN_DIRECTORY,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.system_path import SYSTEM_PATH

Completed = subprocess.CompletedProcess[str]

# From this status on it was systemd that could not run a program, or a signal that ended it (systemd.exec(5)): such a
# program has said nothing.
SYSTEMD_SAYS_WHY = 200

# What serves comes before what is being made (systemd.resource-control(5); 100 is the rule).
BEHIND = ("CPUWeight=20", "IOWeight=20")

BUILD_PROPERTIES = (
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "ProtectProc=invisible",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "CapabilityBoundingSet=",
    # git runs as the same user, for another application perhaps: its keys have a place, its environment and its view of
    # the file system are out of reach for a process of another user namespace (capabilities(7), CAP_SYS_PTRACE).
    "PrivateUsers=yes",
    f"InaccessiblePaths=-{KEYS_DIRECTORY}",
    # There systemd tells everybody the commands and the Environment= of all units.
    "InaccessiblePaths=-/run/dbus",
    "UMask=0022",
)

# Directives of the application's unit that a single command does not share: how the service is started, watched and
# stopped.
_ONLY_FOR_SERVICES = frozenset(
    {
        *(
            "Type",
            "Sockets",
            "NotifyAccess",
            "PIDFile",
            "RemainAfterExit",
            "GuessMainPID",
            "BusName",
            "FileDescriptorStoreMax",
        ),
        *("ExecStart", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost", "ExecCondition"),
        *(
            "Restart",
            "RestartSec",
            "RestartSteps",
            "RestartMaxDelaySec",
            "SuccessExitStatus",
            "RestartPreventExitStatus",
        ),
        *(
            "RestartForceExitStatus",
            "KillMode",
            "KillSignal",
            "SendSIGKILL",
            "SendSIGHUP",
            "FinalKillSignal",
            "WatchdogSec",
        ),
        *("TimeoutStartSec", "TimeoutStopSec", "TimeoutSec", "TimeoutAbortSec", "RuntimeMaxSec", "StandardInput"),
        *("StandardOutput", "StandardError", "SyslogIdentifier", "NonBlocking", "OOMPolicy"),
    }
)


def run(argv: Sequence[str], **options: Any) -> Completed:
    """Run a program of the system as root and return its result; text, output captured, never raises for its status."""
    environment = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", **options.pop("env", {})}
    try:
        return subprocess.run(  # pylint: disable=ansible-bad-function
            list(argv), env=environment, capture_output=True, text=True, errors="replace", check=False, **options
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(list(argv), 127, "", f"{argv[0]} is not installed")
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(
            list(argv), 124, "", f"{argv[0]} gave no answer within {error.timeout:.0f} s"
        )


def run_as(user: str, argv: Sequence[str], **options: Any) -> Completed:
    """Run a program as another user with no other groups than its own, outside of any sandbox."""
    account = account_of(user)
    environment = {"HOME": NO_HOME, **options.pop("env", {})}
    options.setdefault("umask", 0o022)
    return run(argv, env=environment, user=account.pw_uid, group=account.pw_gid, extra_groups=[], **options)


def account_of(user: str) -> pwd.struct_passwd:
    """Return the account. Raises ReleaseError when it does not exist."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise ReleaseError("accounts", f"the system user {user} does not exist on this host") from None


def command_unit(app: str, step: str) -> str:
    """Return the name of the transient unit of one step. The dot keeps ``blog`` apart from ``blog-api``."""
    return f"flaskworks.{app}.{step}.service"


def stop_commands(app: str) -> None:
    """Stop what an interrupted deploy left running."""
    run(["systemctl", "stop", f"flaskworks.{app}.*"])


class BuildSandbox:
    """Runs the steps of a build as the build user; only the named paths of the application exist for it."""

    def __init__(self, app: str, group: str, build_env: Mapping[str, str]) -> None:
        self.app = app
        self.group = group
        self.build_env = dict(build_env)

    def runner(self, writable: Iterable[str], readable: Iterable[str] = ()) -> Callable[..., Completed]:
        """Return a callable that runs one command with these paths below /srv; see ``venvs.Runner``."""
        seen = list(writable), list(readable)

        def call(argv: Sequence[str], *, env: Mapping[str, str], cwd: str, stdin: str | None = None) -> Completed:
            return self.run(argv, env, cwd, *seen, stdin=stdin)

        return call

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        writable: Iterable[str],
        readable: Iterable[str] = (),
        stdin: str | None = None,
    ) -> Completed:
        """Run ``argv`` with the build's variables and ``env`` over them, ``writable`` and ``readable`` paths below
        /srv.
        """
        properties = self.properties(list(writable), readable)
        variables = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": "/tmp", **self.build_env, **env}
        return run_transient(command_unit(self.app, "build"), argv, properties, cwd, variables, stdin)

    def properties(self, writable: Sequence[str], readable: Iterable[str] = ()) -> list[str]:
        """Return the sandbox in which these paths are all of /srv that there is, and its own cache is the only one."""
        writable = [build_cache(self.app), *writable]
        return [
            *BUILD_PROPERTIES,
            f"User={BUILD_USER}",
            f"Group={BUILD_USER}",
            # The sealed venv of an earlier release is readable for the application's group.
            f"SupplementaryGroups={self.group}",
            "TemporaryFileSystem=/srv:ro",
            f"TemporaryFileSystem={CACHE_DIRECTORY}:ro",
            f"InaccessiblePaths=-/var/log/{self.app}",
            *(f"BindPaths={path}" for path in writable),
            *(f"ReadWritePaths={path}" for path in writable),
            *(f"BindReadOnlyPaths={path}" for path in readable),
        ]


def application_properties(service: Mapping[str, Any], release_id: str) -> list[str]:
    """Return the sandbox of the application's [Service] section as properties for systemd-run, specifiers replaced."""
    properties = []
    for name, value in service.items():
        if name in _ONLY_FOR_SERVICES or name == "WorkingDirectory":
            continue
        for item in value if isinstance(value, (list, tuple)) else [value]:
            text = ("yes" if item else "no") if isinstance(item, bool) else str(item)
            properties.append(f"{name}={expanded(text, release_id)}")
    return properties


def expanded(text: str, release_id: str) -> str:
    """Replace the specifiers that mean the release's id, as systemd does for the unit of that instance."""
    return text.replace("%i", release_id).replace("%I", release_id).replace("%%", "%")


def run_transient(
    unit: str,
    argv: Sequence[str],
    properties: Iterable[str],
    cwd: str,
    variables: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> Completed:
    """Run ``argv`` in a transient service and return its own exit status and output.

    ``variables`` go through a file below /run that only root reads; systemd would expand ``$`` in arguments, so it is
    doubled.
    """
    with _environment_file(variables) as given:
        return run(
            ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec", f"--unit={unit}"]
            + [f"--property={item}" for item in (*BEHIND, *properties, *given, f"WorkingDirectory={cwd}")]
            + ["--", *(word.replace("$", "$$") for word in argv)],
            input=stdin or "",
        )


def transient_words(unit: str, since: float) -> str:
    """Return what systemd said of a transient service since a moment (seconds since 1970)."""
    run(["journalctl", "--sync"])
    # Without its fraction: rounded up, it would leave out what comes within the same second.
    found = run(["journalctl", "--no-pager", "--quiet", "--output=cat", f"--since=@{int(since)}", f"--unit={unit}"])
    # Its other lines repeat the whole command.
    return "".join(line for line in found.stdout.splitlines(keepends=True) if line.startswith(f"{unit}: "))


@contextlib.contextmanager
def _environment_file(variables: Mapping[str, str] | None) -> Iterator[list[str]]:
    if not variables:
        yield []
        return
    os.makedirs(RUN_DIRECTORY, mode=0o700, exist_ok=True)
    descriptor, path = tempfile.mkstemp(dir=RUN_DIRECTORY, suffix=".env")
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(environment_text(variables))
        yield [f"EnvironmentFile={path}"]
    finally:
        os.unlink(path)
