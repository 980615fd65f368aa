# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the files below /srv, and commands against it that root can run beside a hostile site. Pure.

Who may write a directory can put a link in place of what is in it before somebody runs a command with that path. So
root's commands name no path through such a directory: they begin at it and follow no link, or are run as the site's
user.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_finding import Finding

Facts = Mapping[str, Any]

# Directories in one command.
MANY = 10


def files(facts: Facts) -> list[Finding]:
    """Files below /srv that others may write, or that belong to somebody else."""
    return [_unseen(item) if item["kind"] == "unseen" else _finding(item) for item in facts["files"]]


def _finding(item: Mapping[str, Any]) -> Finding:
    what = item["path"] + (f" and {item['count'] - 1} more" if item["count"] > 1 else "")
    level = "error"
    if item["kind"] == "world-writable":
        evidence = f"everybody on the host can write {what}"
    elif item["kind"] == "own-code":
        evidence = f"{what} belongs to {item['owner']}, outside of shared: the site can change its code"
    elif item["kind"] == "group-code":
        evidence = f"{what} can be written by a group of {item['app']}, outside of shared: the site can change its code"
    else:
        wanted = item["wanted"]
        rule = "neither to root nor to the application" if wanted == "root" else f"below shared all is {wanted}'s"
        evidence, level = f"{what} belongs to {item['owner']}, {rule}", "warning"
    return Finding(level, item["app"], "files", evidence, _fix(item))


def _fix(item: Mapping[str, Any]) -> str:
    # Whoever made the file chose its name, and root is told to run this.
    name, start, kind = shlex.quote(item["path"]), shlex.quote(item["start"]), item["kind"]
    # Without the group, by which the site reads its code and nginx what it serves.
    owned = f"chown -hR --from={item['uid']} {item['wanted']} {start}"
    if item["app"] and item["wanted"] == item["app"]:
        if kind != "world-writable":
            return f"{owned}, unless it is meant to be so"
        first = "cd /" if item["owner"] == item["app"] else f"{owned} && cd /"
        closed = f"find {start} -xdev ! -type l -perm -o+w ! -perm -1000 -execdir chmod o-w {{}} +"
        return f"{first} && runuser -u {item['app']} -- {closed}; see who made it so"
    if name != start and not item["app"]:
        return f"have its owner take the right away (chmod o-w), not root: others can swap what is in {start}"
    if name != start:
        return f"chown -h root {start} && chmod go-w {start}: others can swap what is in it; then run the doctor again"
    if kind == "world-writable":
        return f"chmod o-w {name}; see who made it so"
    if kind == "group-code":
        return f"chmod g-w {name}"
    if kind == "own-code":
        return f"{owned}; what the site writes belongs below shared"
    return f"{owned}, unless it is meant to be so"


def _unseen(item: Mapping[str, Any]) -> Finding:
    """There are more files than the doctor looks at."""
    rest, named = item["rest"], item["rest"][:3]
    parts = ", ".join(named) + (f" and {len(rest) - len(named)} more" if len(rest) > len(named) else "")
    evidence = f"{item['count']} files and directories below {item['path']} were looked at, so not all of {parts}"
    where = " ".join(map(shlex.quote, rest if len(rest) <= MANY else [item["path"]]))
    fix = f"look yourself: find {where} -xdev ! -type l -perm -o+w lists what everybody may write"
    return Finding("info", "", "files", evidence, fix + ", and ! -user root in place of -perm -o+w what is not root's")
