# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rewrites of a site: paths that nginx makes of what a visitor asked for, by regular expressions.

nginx merges the slashes of a request and resolves its dots once, before them. What a rewrite puts together it takes as
it is, while an application or a browser may not: ``//evil.org`` in a redirect is another host, and ``//private`` is
``/private`` for Werkzeug, and no part of it for the guards of a location.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_words import quoted

Entry = Mapping[str, Any]
Faults = Iterator[tuple[str, str]]

# What no request has once nginx has read it.
_UNRESOLVED = "//|/[.][.]?(?:/|$)"
_REPLACEMENT = re.compile(r"(/|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/)([A-Za-z0-9._~!&'()*+,=:@%/?-]|\$[1-9])*")
# What a simple expression is made of; others have no samples.
_ATOM = re.compile(
    r"(?P<open>\((?:\?:)?)(?!\?)|(?P<close>\))[*+?]?|(?P<or>\|)|[\^$]"
    r"|(?P<class>\\[dws]|\.|\[\^?\]?[^]\\]*\])(?P<often>[*+?]|\{[0-9,]+\})?\??"
    r"|(?P<char>[\w/~%!&',=:@ -]|\\[^\w])[*+?]?"
)
# Escapes and classes, in which a parenthesis is a character, and parentheses.
_PARENTHESIS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^]\\])*\]|\(\??|\)")
# As many groups are tried with other texts.
_VARIED = 4
_LONGEST = 100


def rewrite_faults(key: str, rewrite: Entry) -> Faults:
    """Return what is wrong with one rewrite."""
    pattern, to = rewrite["match"], rewrite["to"]
    groups = 0
    if not pattern.startswith("^/") or not pattern.isascii() or not pattern.isprintable():
        yield f"{key}.match", f"{pattern!r} does not begin with '^/' or has more than printable ASCII characters"
    elif "(?<" in pattern.replace("(?<=", "").replace("(?<!", "") or "(?P<" in pattern:
        yield f"{key}.match", "names a group, which would be a variable of nginx: use $1 to $9"
    else:
        try:
            groups = re.compile(pattern).groups
        except (re.error, OverflowError) as error:
            yield f"{key}.match", f"{pattern!r} is no regular expression: {error}"
            return
    if not _REPLACEMENT.fullmatch(to) or to.startswith("//"):
        yield f"{key}.to", f"{to!r} is neither a path nor a URL of http or https, with $1 to $9 for the groups of match"
    elif used := [number for number in re.findall(r"\$([1-9])", to) if int(number) > groups]:
        yield f"{key}.to", f"has ${used[0]}, but match has {groups} group{'' if groups == 1 else 's'}"
    elif not to.startswith("/") and not rewrite.get("status"):
        yield f"{key}.status", "is missing: another address is a redirect, so write 301 or 302"
    elif not rewrite.get("status") and re.search(_UNRESOLVED, to.partition("?")[0]):
        yield f"{key}.to", f"{to!r} has two slashes, or a part of dots, which nobody can ask for: it would get 400"
    elif groups and to.startswith("/") and (told := _misled(rewrite)):
        yield f"{key}.match", told


def rewrites(site: Entry) -> list[str]:
    """Return what follows the word rewrite, in the order of the list."""
    kinds = {301: "permanent", 302: "redirect"}
    return [
        f"{quoted(_of_this_host(item))} {quoted(item['to'])} {kinds.get(item.get('status'), 'last')}"
        for item in site["rewrites"]
    ]


def unresolved(site: Entry) -> str:
    """Return the expression for what a rewrite may have made that nobody could ask for; an empty text without any."""
    return quoted(_UNRESOLVED) if any(not item.get("status") for item in site["rewrites"]) else ""


def _of_this_host(rewrite: Entry) -> str:
    """Return the expression. Where groups come first in a redirect, nobody chooses the host by them: no path with a
    backslash fits, and they have no slash where they would be the second one. Browsers take both for the same.
    """
    match, to = str(rewrite["match"]), rewrite["to"]
    first = re.match(r"/((?:\$[1-9])+)(/?)", to)
    if not rewrite.get("status") or not first:
        return match
    numbers = sorted({int(number) for number in first[1][1::2]})
    # Before a slash an empty group would be as bad, so one of them has a character.
    guards = {int(first[1][1]): "(?=[^/])"} if first[2] else dict.fromkeys(numbers, "(?!/)")
    inserted = []
    for number, (start, end) in enumerate(_bodies(match), 1):
        if number in guards:
            inserted += [(start, guards[number] + "(?:"), (end, ")")]
    for position, text in sorted(inserted, reverse=True):
        match = match[:position] + text + match[position:]
    return rf"^(?![^\\]*\\)(?:{match})"


def _bodies(pattern: str) -> list[tuple[int, int]]:
    """Return where the bodies of the groups begin and end that have a number."""
    found: list[tuple[int, int]] = []
    opened: list[int] = []
    for matched in _PARENTHESIS.finditer(pattern):
        if matched[0] == ")":
            if (number := opened.pop()) >= 0:
                found[number] = (found[number][0], matched.start())
        elif matched[0].startswith("("):
            opened.append(len(found) if matched[0] == "(" else -1)
            found += [(matched.end(), 0)] * (matched[0] == "(")
    return found


def _misled(rewrite: Entry) -> str:
    """Return what is wrong when a path is found that becomes one with two slashes in front, or an empty text.

    Only of such a path it is said: expressions that are not understood here are left to the guards at run time.
    """
    pattern, to = rewrite["match"], rewrite["to"]
    for path in _samples(pattern):
        made = _made(pattern, to, path)
        if not made.startswith("//"):
            continue
        why = "which is another host" if rewrite.get("status") else "which gets 400, as guards would miss it"
        for start, dummy in _bodies(pattern):
            better = f"{pattern[: start - 1]}/{pattern[start - 1 :]}"
            if "//" not in (mended := _made(better, to, path)) and mended:
                return f"{pattern!r} makes {made!r} of {path!r}, {why}: write {better!r}, or begin the group with [^/]"
        return f"{pattern!r} makes {made!r} of {path!r}, {why}: no group may begin with a slash, or be empty, there"
    return ""


def _made(pattern: str, to: str, path: str) -> str:
    """Return the path that a rewrite makes of another one, an empty text when it does not fit."""
    found = re.search(pattern, path)
    return re.sub(r"\$([1-9])", lambda name: found[int(name[1])] or "", to).partition("?")[0] if found else ""


def _samples(pattern: str) -> Iterator[str]:
    """Return paths that may fit, as nginx has them: with texts in the place of groups that make a difference."""
    atoms, position = [], 0
    while position < len(pattern):
        if not (atom := _ATOM.match(pattern, position)):
            return
        atoms.append(atom)
        position = atom.end()
    groups = sum(atom["open"] == "(" for atom in atoms)
    for texts in itertools.product((None, "/x", ""), repeat=min(groups, _VARIED)):
        path = _sample(atoms, texts)
        if path.startswith("/") and not re.search(_UNRESOLVED, path):
            yield path


def _sample(atoms: list[re.Match[str]], texts: tuple[str | None, ...]) -> str:
    """Return a path: of alternatives the first, of classes a character, of groups what is inside, or their text."""
    path, number, left_out = "", 0, 0
    for atom in atoms:
        text = None
        if atom["open"] == "(":
            text = texts[number] if number < len(texts) else None
            number += 1
        if left_out:
            left_out += bool(atom["open"]) - bool(atom["close"])
        elif text is not None or atom["or"]:
            path, left_out = path + (text or ""), 1
        elif atom["class"]:
            fits = [letter for letter in "a1A-_." if re.fullmatch(atom["class"], letter)]
            times = int("".join(re.findall("^{([0-9]+)", atom["often"] or "")) or 1)
            path += fits[0] * min(times, _LONGEST) if fits else ""
        elif atom["char"]:
            path += atom["char"][-1]
    return path
