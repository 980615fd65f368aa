# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running git as the build user, and what its failures mean.

Keys and passwords reach it as git_access.py says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import (
    meaning,
    no_connection,
    plain_ssh_command,
    sweep_keys,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError, last_lines
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    BUILD_USER,
    NO_HOME,
    STATE_DIRECTORY,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import Completed, run_as

GIT_CONFIG = f"{STATE_DIRECTORY}/gitconfig"
# A repository on the host itself may belong to anybody: git's ownership check protects the caller, and the build user
# has nothing to lose.
GIT_CONFIG_TEXT = (
    "[safe]\n\tdirectory = *\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n"
)
# git knows no limit of its own for a server that is silent; the first listing is small, its answer quick.
LISTING_SECONDS, SLOW_LISTING_SECONDS, FETCH_SECONDS = 20, 120, 3600
# The exit status of timeout(1).
TIMED_OUT = 124
_STALLED = {"GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "60"}
# What ssh says to a person at a terminal: its frame, and where to edit a file that is gone by then.
_SSH_CHATTER = re.compile(
    r"^@[@\s]*$|^Please contact your system|^Add correct host key in|^Offending \S+ key in|^\s+remove"
)


def prepare_git() -> None:
    """Write git's configuration for the build user. git passes variables on to no repository on the host itself."""
    sweep_keys()
    os.makedirs(STATE_DIRECTORY, mode=0o755, exist_ok=True)
    try:
        with open(GIT_CONFIG, encoding="utf-8") as stream:
            if stream.read() == GIT_CONFIG_TEXT:
                return
    except FileNotFoundError:
        pass
    replace_file(GIT_CONFIG, GIT_CONFIG_TEXT.encode(), 0o644)


def run_git(arguments: list[str], env: Mapping[str, str], limit: int = 0, **options: object) -> Completed:
    """Run git as the build user; after ``limit`` seconds it is ended, with the helpers that it started."""
    environment = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_GLOBAL": GIT_CONFIG,
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "GIT_SSH_COMMAND": plain_ssh_command(),
        **_STALLED,
        **env,
        # Whatever the build's own home is: a .netrc there would be any build's.
        "HOME": NO_HOME,
    }
    bounded = ["timeout", "--kill-after=5", str(limit)] if limit else []
    return run_as(BUILD_USER, [*bounded, "git", *arguments], env=environment, **options)


def require_connection(url: str, env: Mapping[str, str], verb: str) -> None:
    """Raise ReleaseError when the server takes no connection; as the host's own git configuration leads to it."""
    if run_git(["config", "--get-urlmatch", "http.proxy", url], env).stdout.strip():
        return
    real = run_git(["ls-remote", "--get-url", "--", url], env).stdout.strip() or url
    if trouble := no_connection(real, env):
        raise ReleaseError("source", f"git can't {verb} {url}: {trouble}")


def require_answer(result: Completed, source: Mapping[str, Any], problem: str) -> None:
    if result.returncode == 0:
        return
    if result.returncode == TIMED_OUT:
        raise ReleaseError("source", f"{problem}: the server did not answer in time", last_lines(result.stderr, 5))
    said = "\n".join(line for line in result.stderr.splitlines() if not _SSH_CHATTER.search(line))
    explained = meaning(said, source)
    raise ReleaseError("source", f"{problem}: {explained}" if explained else problem, last_lines(said, 12))


def checked(result: Completed, problem: str) -> None:
    if result.returncode != 0:
        raise ReleaseError("source", problem, last_lines(result.stderr or result.stdout, 8))
