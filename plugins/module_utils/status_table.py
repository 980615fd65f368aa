# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The status of applications as text for people. Pure functions."""

from __future__ import annotations

import datetime
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Sequence[str]
NOTHING = "-"
WIDEST = {"version": 28, "by": 24}
# Control characters and lone surrogates; marks of direction could show a text other than it is.
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
COLUMNS = ("host", "app", "release", "version", "since", "by", "state", "workers", "memory", "probe", "tls")


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clean(text: object) -> str:
    """Return a text as one line that moves no cursor: what an application says may hold anything."""
    return "".join("\ufffd" if _is_unseen(character) else character for character in " ".join(str(text).split()))


def visible(text: str) -> str:
    """Return lines that move no cursor and have no colours: what a program says may hold anything."""
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line.expandtabs()) for line in text.splitlines())
    return "\n".join("".join("\ufffd" if _is_unseen(one) else one for one in line) for line in lines)


def json_text(data: object) -> str:
    """Return data as JSON for a terminal or a file: what ``clean`` takes away is written as ``\\uXXXX``.

    json leaves DEL, the control characters from U+0080 on, marks of direction and lone surrogates as they are.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return "".join(f"\\u{ord(one):04x}" if one != "\n" and _is_unseen(one) else one for one in text)


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN or unicodedata.bidirectional(character) in _BIDI


def cut(text: str, limit: int) -> str:
    """Return the text within so many columns; an ellipsis says that something is missing."""
    if width(text) <= limit:
        return text
    kept, used = "", 0
    for character in text:
        if (used := used + _columns(character)) > limit - 1:
            break
        kept += character
    return kept + "…"


def table(head: Row, rows: Iterable[Row], right: Iterable[str] = ()) -> str:
    """Return rows below a head, in columns; those named in ``right`` end in one line."""
    lines = [[name.upper() for name in head], *([cell or NOTHING for cell in row] for row in rows)]
    widths = [max(width(line[column]) for line in lines) for column in range(len(head))]
    flush = [name in set(right) for name in head]
    return "\n".join(
        "  ".join(
            " " * (size - width(cell)) + cell if to_right else cell + " " * (size - width(cell))
            for cell, size, to_right in zip(line, widths, flush, strict=True)
        ).rstrip()
        for line in lines
    )


def ago(then: str | None, now: str) -> str:
    """Return how long ago a time in ISO 8601 was, in one unit; its date when that is more than two months."""
    start, end = _moment(then), _moment(now)
    if start is None or end is None:
        return NOTHING
    seconds = (end - start).total_seconds()
    if seconds < 0:
        return f"in {_span(-seconds)}"
    return start.date().isoformat() if seconds >= 60 * 86400 else f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    for unit, size, limit in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 48 * 3600)):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86400)} d"


def _moment(text: str | None) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def size(count: int | None) -> str:
    """Return bytes as a person reads them."""
    if count is None:
        return NOTHING
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1000 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def version(item: Mapping[str, Any]) -> str:
    """Return the version asked for, and the beginning of the commit or digest that it is."""
    asked, found = str(item.get("asked") or ""), str(item.get("version") or "")
    if not found or (found.startswith(asked) and asked):
        return clean(asked[:12] if asked == found else asked or found[:12])
    return clean(f"{asked} {found[:8]}" if asked else found[:12])


def workers(web: Mapping[str, Any] | None) -> str:
    """Return living and configured workers."""
    if not web:
        return NOTHING
    configured = web.get("workers_configured")
    return f"{web.get('workers', 0)}/{'?' if configured is None else configured}"


def probe(answer: Mapping[str, Any] | None) -> str:
    """Return the time of a good answer, or what came instead."""
    if not answer:
        return NOTHING
    if answer.get("good"):
        return f"{answer.get('ms', 0):.0f} ms"
    return str(answer["status"]) if answer.get("status") else "no answer"


def certificate(facts: Mapping[str, Any] | None) -> str:
    """Return how long a certificate is good, or why it is not."""
    if not facts:
        return NOTHING
    days = facts.get("days_left")
    if days is None or facts.get("problems"):
        return "broken"
    if facts.get("placeholder"):
        return "placeholder"
    return "expired" if days < 0 else f"{days} d"


def state(app: Mapping[str, Any]) -> str:
    """Return the state, and what is going on at the moment."""
    words = [str(app.get("state") or NOTHING)]
    if activity := app.get("activity"):
        words.append("deploying" if activity.get("state") == "running" else "interrupted")
    if app.get("maintenance"):
        words.append("maintenance")
    return ", ".join(words)


def row(host: str, app: Mapping[str, Any], now: str) -> list[str]:
    """Return one line of the table, in the order of COLUMNS."""
    web = app.get("web")
    cells = {
        "host": clean(host),
        "app": clean(app["app"]),
        "release": clean(app.get("release") or NOTHING),
        "version": version(app) or NOTHING,
        "since": ago(app.get("since"), now),
        "by": clean(app.get("by") or NOTHING),
        "state": clean(state(app)),
        "workers": workers(web),
        "memory": size((web or {}).get("memory_bytes")),
        "probe": probe(app.get("probe")),
        "tls": certificate(app.get("tls")),
    }
    return [cut(cells[name], WIDEST.get(name, 80)) for name in COLUMNS]
