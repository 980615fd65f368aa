# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a person sees of changes: differences without secrets, and messages without them."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Iterable

from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_changes import Change
from ansible_collections.flaskworks.deploy.plugins.module_utils.file_set_entries import Seen, Wanted, group_id, user_id

# Shorter words than this are not taken for secrets, or messages could not be read.
_SECRET_LENGTH = 6


def difference(change: Change) -> dict[str, str]:
    """Return one entry of Ansible's diff; the content of a sensitive file is not in it."""
    before, wanted = change.before, change.wanted
    attributes = [_describe(before), _describe_wanted(wanted)]
    texts = [
        _text(before.kind, before.content, before.target, change.hidden),
        _text(wanted.kind, wanted.content, wanted.target, change.hidden),
    ]
    if change.hidden and before.kind == wanted.kind == "file" and before.content != wanted.content:
        texts[1] += "(the content changes; it is not shown)\n"
    if all(attributes) and attributes[0] != attributes[1]:
        texts = [f"({line})\n{text}" for line, text in zip(attributes, texts, strict=True)]
    return {
        "before_header": f"{change.path} ({attributes[0] or 'does not exist'})",
        "after_header": f"{change.path} ({attributes[1] or 'does not exist'})",
        "before": texts[0],
        "after": texts[1],
    }


def redact(text: str, changes: Iterable[Change]) -> str:
    """Return a program's words without those of sensitive files: a parser quotes the line that it does not like."""
    secrets = set()
    for change in changes:
        if change.hidden:
            for content in (change.before.content, change.wanted.content if change.wanted.sensitive else b""):
                secrets.update(re.split(r"[\s=:;,\"'#{}\[\]()]+", content.decode(errors="replace")))
                secrets.update(line.strip() for line in content.decode(errors="replace").splitlines())
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_LENGTH:
            text = text.replace(secret, "********")
    return text


def _text(kind: str, content: bytes, target: str, hidden: bool) -> str:
    if kind == "link":
        return f"link to {target}\n"
    if kind != "file":
        return "" if kind in ("none", "absent") else f"{kind}\n"
    if hidden:
        return "(sensitive)\n"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"(binary, {len(content)} bytes)\n"
    return text if "\0" not in text else f"(binary, {len(content)} bytes)\n"


def _describe(seen: Seen) -> str:
    """Everything but the content; nothing for what isn't there."""
    if seen.kind in ("file", "directory"):
        return f"{seen.kind} {seen.mode:04o} {_user(seen.uid)}:{_group(seen.gid)}"
    return "" if seen.kind == "none" else seen.kind


def _describe_wanted(wanted: Wanted) -> str:
    if wanted.kind in ("link", "absent"):
        return "" if wanted.kind == "absent" else "link"
    uid, gid = user_id(wanted.owner), group_id(wanted.group)
    user = wanted.owner if uid is None else _user(uid)
    group = wanted.group if gid is None else _group(gid)
    return f"{wanted.kind} {wanted.mode:04o} {user}:{group}"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
