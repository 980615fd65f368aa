"""The container engine's command line, the same for podman and Docker."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ENGINES = ("podman", "docker")
DOCKER_SOCKET = "/var/run/docker.sock"
WANTED_LIMIT = 1048576
CONTAINERS_CONF = Path(__file__).resolve().parent / "containers.conf"


class HostError(Exception):
    """A test host can't be had; the message says what to do about it."""


def limits_are_fixed() -> bool:
    """Whether this process may not raise its limits to what podman asks for.

    podman sets 1048576 files and processes; where root itself may not do that, every container fails to start (EPERM).
    """
    for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        soft, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or hard >= WANTED_LIMIT:
            continue
        try:
            resource.setrlimit(kind, (soft, WANTED_LIMIT))
        except (OSError, ValueError):
            return True
        resource.setrlimit(kind, (soft, hard))
    return False


@dataclass(frozen=True)
class Engine:
    """How the engine is called: its name, and the words in front of each of its subcommands."""

    name: str
    argv: tuple[str, ...]
    run_flags: tuple[str, ...] = field(default=())

    def run(
        self, *args: str, check: bool = True, stdin: str | None = None, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run one subcommand with its output captured. Raises HostError with the engine's own words when it fails."""
        done = subprocess.run(
            [*self.argv, *args],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            **({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}),
        )
        if check and done.returncode:
            raise HostError(f"{self.name} {' '.join(args[:2])} failed ({done.returncode}): {done.stderr.strip()}")
        return done

    def import_tarball(self, tarball: Path, tag: str) -> None:
        """Make an image of a root file system."""
        self.run("import", str(tarball), tag)

    def has_image(self, tag: str) -> bool:
        return self.run("image", "inspect", tag, check=False).returncode == 0


def find_engine(environ: dict[str, str]) -> Engine:
    """The engine that FLASKWORKS_ENGINE names (podman unless told otherwise). Raises HostError when it is missing."""
    name = environ.get("FLASKWORKS_ENGINE", "podman")
    if name not in ENGINES:
        raise HostError(f"FLASKWORKS_ENGINE is {name!r}: choose one of {', '.join(ENGINES)}")
    path = shutil.which(name)
    if path is None:
        raise HostError(f"{name} is not installed: run tests/bootstrap")
    if name == "docker":
        # Members of the group docker need no sudo.
        words = [path] if os.access(DOCKER_SOCKET, os.W_OK) else as_root(path)
        return Engine(name, tuple(words), docker_flags())
    # crun, podman's default on Debian, refuses machines with the hybrid cgroup layout; runc runs on all of them.
    # env, because sudo drops the variable.
    words = ["env", f"CONTAINERS_CONF={CONTAINERS_CONF}", path] if limits_are_fixed() else [path]
    return Engine(name, (*as_root(*words), "--runtime=runc"), ("--systemd=always", "--pull=never"))


def as_root(*argv: str) -> list[str]:
    """The command as root: by sudo where the caller is somebody else. Raises HostError where that is missing."""
    if os.geteuid() == 0:
        return [*argv]
    if shutil.which("sudo") is None:
        raise HostError(f"{argv[-1]} needs root here, and there is no sudo")
    return ["sudo", *argv]


def docker_flags() -> tuple[str, ...]:
    """What podman's --systemd=always does, said to Docker."""
    tmpfs = ("--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec")
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return (*tmpfs, "--cgroupns=private")
    return (*tmpfs, "--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw")
