# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a release fails, and how its words are kept free of secrets."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import urllib.parse
from collections.abc import Iterable

from ansible_collections.flaskworks.deploy.plugins.module_utils.status_table import visible

# Shorter values ("1", "yes") would black out half of any text, and hide nothing.
SHORTEST_SECRET = 4
SHORTEST_HIDDEN = 8
HIDDEN = "********"
# A part of a secret that is long and mixed enough to be one by itself.
_WORD = re.compile(r"[A-Za-z0-9_]{8,}")
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):([^/\s]+)(?=@)")


class ReleaseError(Exception):
    """A step that failed.

    ``step`` names it, ``problem`` says in one sentence what is wrong, ``output`` holds the program's own words (may
    be empty).
    """

    def __init__(self, step: str, problem: str, output: str = "") -> None:
        super().__init__(problem)
        self.step = step
        self.problem = problem
        self.output = output.strip()


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` without the secrets, as they are and as programs write them, and without passwords in URLs."""
    forms = {form for secret in secrets for form in written(secret) if len(form.strip()) >= SHORTEST_SECRET}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return _URL_PASSWORD.sub(rf"\1:{HIDDEN}", text)


def written(secret: str) -> set[str]:
    """Return the ways in which programs write a secret: whole, line by line, quoted for a language, encoded; and what
    tells most of it by itself: a password in a URL, words with letters and digits.
    """
    forms = set()
    for part in (secret, *secret.splitlines()):
        quoted = (repr(part), ascii(part), json.dumps(part), json.dumps(part, ensure_ascii=False), shlex.quote(part))
        data = part.encode(errors="surrogateescape")
        forms |= {part, part.encode("unicode_escape").decode(), html.escape(part), base64.b64encode(data).decode()}
        forms |= {form[1:-1] for form in quoted if form[:1] in ("'", '"')}
        forms |= {urllib.parse.quote(data), urllib.parse.quote(data, safe=""), urllib.parse.quote_plus(data)}
    for matched in _URL_PASSWORD.finditer(secret):
        forms |= {matched[2], urllib.parse.unquote(matched[2])}
    forms |= {word for word in _WORD.findall(secret) if re.search("[0-9]", word) and re.search("[A-Za-z]", word)}
    return forms


def hidden_parts(text: str) -> list[str]:
    """Return what may be secret in a rendered file: its longer lines and the texts in quotes."""
    parts = [line.strip() for line in text.splitlines()] + re.findall(r"[\"']([^\"'\n]+)[\"']", text)
    return [part for part in parts if len(part) >= SHORTEST_HIDDEN]


def last_lines(text: str, count: int) -> str:
    """Return the last ``count`` lines that aren't empty."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-count:])


def standing_of(live: str | None, target: str, active: str) -> str:
    """Return in words what serves after a failure: ``active`` is the state of the live release's service."""
    if live is None:
        return "No release is live; nothing was switched."
    if live == target:
        return f"Release {live} is the live one; its service is {active or 'not there'}."
    if active == "active":
        return f"Release {live} is still serving; nothing was switched."
    return f"Nothing was switched; the service of the live release {live} is {active or 'not there'}."


def failure_report(
    app: str,
    step: str,
    problem: str,
    output: str,
    journal: str,
    standing: str,
    secrets: Iterable[str],
    cures: Iterable[str] = (),
) -> str:
    """Return the text a person reads when a release failed: step, cause, the program's and the unit's words, what
    cures it where that is known, what still serves.
    """
    parts = [f"{app}: the release failed at the step '{step}': {problem}"]
    if output:
        parts.append("It said:\n" + _indented(last_lines(output, 30)))
    if journal:
        parts.append("Last words of the new unit (journal and error log):\n" + _indented(last_lines(journal, 20)))
    if listed := list(cures):
        parts.append("What it lacks, and how it gets that:\n" + _indented("\n".join(listed)))
    parts.append(standing)
    hidden = list(secrets)
    # Before, for secrets that hold what is not shown; and after, for those that had colours between their letters.
    return scrub(visible(scrub("\n".join(parts), hidden)), hidden)


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
