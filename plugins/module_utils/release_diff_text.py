# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What differs between two releases as text for people. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_diff import is_same
from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import NOTHING, clean, table, version

# A server's file that was replaced as a whole would bury everything else.
MOST_LINES = 40
_NAMES = {
    "environment": "environment variables",
    "secrets": "secrets",
    "files": "files with settings",
    "static": "static maps",
}


def diff_text(found: Mapping[str, Any]) -> str:
    """Return the text for what release_diff found, or for why nothing was compared."""
    if found.get("error"):
        return clean(found["error"])
    return "\n".join(_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    old, new = found["old"], found["new"]
    head = ("", "release", "version", "built")
    rows = [[word, *_cells(release)] for word, release in (("old", old), ("new", new))]
    yield table(head, rows)
    if is_same(found):
        yield "nothing differs"
        return
    yield f"code: {version(old)} -> {version(new)}" if found["code"] else "code: the same"
    if python := found["python"]:
        yield f"python: {clean(python['old'] or 'unknown')} -> {clean(python['new'] or 'unknown')}"
    packages = found["packages"]
    changes = [(item["name"], item["old"], item["new"]) for item in packages["changed"]]
    changes += [(item["name"], NOTHING, item["version"]) for item in packages["added"]]
    changes += [(item["name"], item["version"], NOTHING) for item in packages["removed"]]
    if changes:
        yield "packages:"
        rows = [[clean(cell) for cell in change] for change in sorted(changes)]
        yield _indented(table(("package", "old", "new"), rows))
    else:
        yield "packages: the same"
    for kind, word in _NAMES.items():
        if words := _change(found[kind]):
            yield f"{word}: {words}"
    for kind in ("settings", "units"):
        for name, lines in found[kind].items():
            yield f"{clean(name)}:"
            yield from (f"  {clean_line(line)}" for line in lines[:MOST_LINES])
            if len(lines) > MOST_LINES:
                yield f"  and {len(lines) - MOST_LINES} lines more"
    if found["other"]:
        yield f"changed too: {', '.join(map(clean, found['other']))}"


def clean_line(line: str) -> str:
    """Return a line of a diff that moves no cursor, with the blanks at its beginning."""
    kept = line[1:]
    return line[:1] + " " * (len(kept) - len(kept.lstrip())) + clean(kept)


def _cells(release: Mapping[str, Any]) -> list[str]:
    return [clean(release.get("release") or NOTHING), version(release) or NOTHING, clean(release.get("created") or "")]


def _change(names: Mapping[str, list[str]]) -> str:
    words = [f"{word} {', '.join(map(clean, names[word]))}" for word in ("added", "removed", "changed") if names[word]]
    return "; ".join(words)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
