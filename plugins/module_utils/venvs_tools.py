# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running the installers: their environment, their failures in words, and which Python is there."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ansible_collections.flaskworks.deploy.plugins.module_utils.system_path import SYSTEM_PATH
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_index import CREDENTIALS

KEPT_LINES = 15

# What one installer reads, and the other's name for it. Later names win where a caller sets both.
TRANSLATED = (
    ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
    ("PIP_INDEX_URL", "UV_INDEX_URL"),
    ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
    ("PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
    ("PIP_NO_INDEX", "UV_NO_INDEX"),
    ("PIP_CERT", "SSL_CERT_FILE"),
)

PROBE = """\
import importlib.util, json, os, sys, sysconfig
print(json.dumps({
    "abi": "-".join([sys.implementation.cache_tag, sysconfig.get_config_var("MULTIARCH") or sysconfig.get_platform()]),
    "threads": "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "",
    "path": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
    "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
}))
"""
WRITE = "import sys; open(sys.argv[1], 'w', encoding='utf-8').write(sys.stdin.read())"


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


def plain_runner(user: int | None = None, group: int | None = None) -> Runner:
    """A Runner that just runs the command, as another user when one is given (which needs root)."""

    def run(
        argv: Sequence[str], *, env: Mapping[str, str], cwd: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        groups: list[int] | None = None if user is None else []
        try:
            return subprocess.run(  # pylint: disable=ansible-bad-function
                list(argv),
                env=dict(env),
                cwd=cwd,
                input=stdin if stdin is not None else "",
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                umask=0o022,
                check=False,
                user=user,
                group=group,
                extra_groups=groups,
            )
        except OSError as error:
            return subprocess.CompletedProcess(list(argv), 127, "", f"{argv[0]}: {error.strerror}")

    return run


def command_env(extra: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of an installer: ours, with the caller's variables on top and each index known to both."""
    env = {
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "PATH": SYSTEM_PATH,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "UV_LINK_MODE": "copy",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "true",
        **extra,
    }
    for pip, uv in TRANSLATED:
        if pip in extra and uv not in extra:
            env[uv] = extra[pip]
        elif uv in extra and pip not in extra:
            env[pip] = extra[uv]
    if "UV_FIND_LINKS" in env:  # pip separates by white space, uv by commas
        env["UV_FIND_LINKS"] = ",".join(re.split(r"[\s,]+", env["UV_FIND_LINKS"].strip()))
        env["PIP_FIND_LINKS"] = env["UV_FIND_LINKS"].replace(",", " ")
    if "UV_CACHE_DIR" not in env:
        env.setdefault("UV_NO_CACHE", "1")
    if "PIP_CACHE_DIR" not in env:
        env.setdefault("PIP_NO_CACHE_DIR", "1")
    return env


def call(
    run: Runner,
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    doing: str,
    stdin: str | None = None,
    explain: Callable[[str], str] = lambda said: "",
) -> str:
    """The command's stdout. Raises VenvError "<doing> failed: <its last words>" for any exit status but 0.

    `explain` says what those words mean, which comes before them.
    """
    result = run(argv, env=command_env(env), cwd=cwd, stdin=stdin)
    if result.returncode:
        raise VenvError(failure(result, doing, explain))
    return result.stdout


def failure(result: subprocess.CompletedProcess[str], doing: str, explain: Callable[[str], str]) -> str:
    """What went wrong, what it means if that is known, and the command's last words."""
    words = f"{doing} failed (exit status {result.returncode})"
    if meaning := explain(spoken(result)):
        return f"{words}: {meaning}\nThe installer's last words:\n{last_words(result)}"
    return f"{words}:\n{last_words(result)}"


def spoken(result: subprocess.CompletedProcess[str]) -> str:
    """What a command said, without colours and without passwords in addresses."""
    said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", f"{result.stdout}\n{result.stderr}")
    return CREDENTIALS.sub("****@", said)


def last_words(result: subprocess.CompletedProcess[str]) -> str:
    """The end of what a command said."""
    said = spoken(result)
    lines = [line.rstrip() for line in said.splitlines() if line.strip() and not line.startswith("[notice]")]
    return "\n".join(lines[-KEPT_LINES:])


def write_file(run: Runner, python: str, path: str, text: str) -> None:
    """Write a file as the runner's own user, so that no link planted in its directory can lead root astray."""
    call(run, [python, "-I", "-c", WRITE, path], {}, "/", f"Writing {path}", stdin=text)


def interpreter_abi(interpreter: str, run: Runner) -> str:
    """One line that environments must share to be interchangeable: "cpython-311-x86_64-linux-gnu /usr/bin/python3.11".

    Raises VenvError when the interpreter is missing (naming those that are there) or can't make environments.
    """
    if shutil.which(interpreter, path=SYSTEM_PATH) is None:
        raise VenvError(
            f"{interpreter} is not on this host, and none is ever downloaded. The host has"
            f" {', '.join(_interpreters()) or 'none'}. Name one of these in python.interpreter; or python3.11 (Debian"
            " 12), python3.13 (Debian 13) or pypy3, which site.yml installs; or install another one yourself and name"
            " its path"
        )
    said = json.loads(call(run, [interpreter, "-I", "-c", PROBE], {}, "/", f"Asking {interpreter} for its version"))
    if not said["venv"]:
        package = f"{os.path.basename(said['path'])}-venv" if said["path"].startswith("/usr/bin/") else "python3-venv"
        raise VenvError(f"{said['path']} can't make virtual environments: install the Debian package {package}")
    return f"{said['abi']}{said['threads']} {said['path']}"


def _interpreters() -> list[str]:
    """The interpreters that the host has, by name."""
    patterns = [f"{folder}/{name}" for folder in ("/usr/bin", "/usr/local/bin") for name in ("python3.*[0-9]", "pypy3")]
    return sorted({os.path.basename(path) for pattern in patterns for path in glob.glob(pattern)})
