# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs that say how a host's network is set up, and change it: where they are found, and what they print."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

# Those of administrators lie beside the others, whatever the environment of the module says.
PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


class UfwError(Exception):
    """A firewall that can't become what is wanted; the message is for a person."""


def must(argv: Sequence[str]) -> str:
    """Return what a program prints. Raises UfwError, with its words, when it is not there or fails."""
    program = shutil.which(argv[0], path=PATH)
    if not program:
        raise UfwError(f"{argv[0]} is not installed on this host")
    done = subprocess.run(  # pylint: disable=ansible-bad-function
        [program, *argv[1:]],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
    )
    if done.returncode != 0:
        raise UfwError(f"'{' '.join(argv)}' failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def output(argv: Sequence[str]) -> str:
    """Return what a program prints, whatever its exit status is; an empty text when it is not there."""
    program = shutil.which(argv[0], path=PATH)
    if not program:
        return ""
    done = subprocess.run(  # pylint: disable=ansible-bad-function
        [program, *argv[1:]], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout
