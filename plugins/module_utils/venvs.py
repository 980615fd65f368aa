# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Virtual environments that are built once, completely, and never changed afterwards.

The order of calls::

    abi = interpreter_abi(spec.interpreter, run)
    uv = ensure_uv(root_run, env=spec.env) if spec.installer == "uv" else None
    inputs = inputs_digest(spec, abi)                  # no network, no process; key for "nothing to resolve"
    dest = find_sealed(venvs_dir, inputs)              # a complete environment from the same inputs
    if dest is None:
        resolved = resolve(spec, abi, run, uv, scratch=dir_that_run_may_write)
        dest = f"{venvs_dir}/{digest(abi, resolved)[:16]}"
        if sealed(dest) is None:
            discard(dest)                              # left over from a run that was killed
            ...make dest (empty, owned by the user of `run`)...
            build(spec, resolved, dest, run, uv)
            ...chown dest to root...
        seal(dest, inputs=inputs, abi=abi, resolved=resolved)     # written last: no seal, no environment

Everything that executes foreign code (build backends of packages) goes through `run`, which the caller may point at a
sandbox and an unprivileged user; the functions themselves only read files below `spec.project_dir`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class VenvError(Exception):
    """An environment can't be made; the message says why in words for the user, with the installer's last lines."""


class Runner(Protocol):
    """Runs one command to its end and never raises for its exit status.

    argv        absolute program (or one on env's PATH) and its arguments
    env         the whole environment of the command: nothing else is inherited
    cwd         directory it starts in
    stdin       text for its standard input (None: nothing to read)
    returns     stdout and stderr captured as text (UTF-8, errors replaced)
    """

    def __call__(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]: ...


@dataclass(frozen=True)
class VenvSpec:
    """What an environment is made from.

    interpreter    name or path of the Python, e.g. python3, python3.12, /opt/py/bin/python3
    installer      "uv" or "pip"
    project_dir    absolute directory that relative names are looked up in; files outside of it are refused
    requirements   requirements files, relative to project_dir (or absolute, below it)
    constraints    constraints files, likewise
    packages       further requirement strings, e.g. ["gunicorn==27.0.1", "redis"]
    env            variables for the installer: index (PIP_* and UV_*; one set is translated for the other), proxies, CA
    lock_project   install what uv.lock in project_dir says (`uv` only)
    install_project  install the project itself too (not editable): its code becomes part of the environment
    source_digest  digest of the project's source; enters the environment's key only when its code is installed into it
    """

    interpreter: str = "python3"
    installer: str = "uv"
    project_dir: str = "/"
    requirements: Sequence[str] = ()
    constraints: Sequence[str] = ()
    packages: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    lock_project: bool = False
    install_project: bool = False
    source_digest: str = ""


def detect(spec: VenvSpec) -> VenvSpec:
    """Fill in what the project offers when no requirements are named.

    In this order: requirements.txt; uv.lock (installer uv); pyproject.toml; nothing but `packages`. A pyproject.toml
    with a [build-system] and no requirements.txt means that the project itself is installed.
    Returns the spec unchanged when it names requirements. Raises VenvError for a file that can't be read.
    """
    raise NotImplementedError


def interpreter_abi(interpreter: str, run: Runner) -> str:
    """One line that two environments must share to be interchangeable, e.g. "cpython-311-x86_64-linux-gnu /usr/bin/python3.11".

    Raises VenvError when the interpreter is missing (naming those that are there) or can't make environments.
    """
    raise NotImplementedError


def inputs_digest(spec: VenvSpec, abi: str) -> str:
    """Hex digest of everything that is known without asking an index: file contents, packages, installer, ABI, index."""
    raise NotImplementedError


def resolve(spec: VenvSpec, abi: str, run: Runner, uv: str | None, scratch: str) -> str:
    """The exact set as the text of a requirements file: sorted, one requirement a line, with hashes when some were given.

    scratch: an empty directory that `run` may write; the caller removes it.
    Raises VenvError with the installer's own last lines.
    """
    raise NotImplementedError


def digest(abi: str, resolved: str) -> str:
    """Hex SHA-256 that names an environment; callers take its first 16 characters."""
    raise NotImplementedError


def build(spec: VenvSpec, resolved: str, dest: str, run: Runner, uv: str | None) -> None:
    """Make the complete environment at `dest`: absent, or an empty directory that `run` may write.

    Byte-compiled, files copied (no hard links into a cache), the resolved text kept in dest/flaskworks-requirements.txt.
    An environment can't be moved afterwards: its scripts name their interpreter by path. Raises VenvError.
    """
    raise NotImplementedError


def seal(dest: str, *, inputs: str, abi: str, resolved: str) -> None:
    """Declare `dest` complete: everything in it is written to disk first, then the marker. Called as its final owner."""
    raise NotImplementedError


def sealed(dest: str) -> dict[str, str] | None:
    """The marker's content ({"inputs", "abi", "digest", "made"}) when the environment is complete, else None."""
    raise NotImplementedError


def find_sealed(venvs_dir: str, inputs: str) -> str | None:
    """Path of a sealed environment in `venvs_dir` made from the same inputs, the newest first."""
    raise NotImplementedError


def discard(dest: str) -> None:
    """Remove an environment directory, complete or not; nothing happens when it is absent. Never follows links."""
    raise NotImplementedError


def ensure_uv(run: Runner, *, env: Mapping[str, str], root: str = "/opt/flaskworks") -> str:
    """Path of the pinned uv, <root>/uv-<version>/bin/uv; installed with python3 -m venv and pip when absent.

    Safe to call twice at once and to be killed at any point. Raises VenvError.
    """
    raise NotImplementedError
