# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an installer's failure means, in words for the person who deploys. Pure functions.

The sentences that are looked for are those of pip 23 to 26 and uv 0.13.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_NAME = r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
_DRIFT = re.compile(r"lockfile.*needs to be updated|No solution found|was not found in the cache", re.DOTALL)
_CONFLICT = re.compile(r"conflicting dependencies|requirements are unsatisfiable|ResolutionImpossible")
_UNKNOWN = (
    re.compile(rf"Because {_NAME} was not found in the (?:package registry|provided package locations|cache)"),
    re.compile(rf"No matching distribution found for {_NAME}"),
)
_NO_WHEEL = (
    re.compile(rf"Because (?:all versions of )?{_NAME}\S* (?:has|have) no (?:usable )?wheels"),
    re.compile(rf"and {_NAME}\S* has no (?:usable )?wheels"),
)
_NO_BUILD = re.compile(rf"Distribution `{_NAME}==\S+ @ .*? is marked as `--no-build` but has no binary distribution")
_PYTHON = re.compile(
    r"resolved to (Python [\w.+]+), which is incompatible with the project's Python requirement: `([^`]+)`"
)
_UNPINNED = re.compile(
    r"In --require-hashes mode, all requirements must have their versions pinned.*?:\s+(\S+)", re.DOTALL
)
_UNBUILT = " (with python.require_hashes nothing is built from its source, as what a build needs has no hash)"
_HASH = re.compile(r"THESE PACKAGES DO NOT MATCH THE HASHES|Hash mismatch for")


def meaning(said: str, wanted: Sequence[tuple[str, str]], offline: bool = False, only_wheels: bool = False) -> str:
    """Return what the words of an installer mean, or an empty text.

    wanted   each requirement, and where it stands: ("flask<3", "requirements.txt")
    offline  whether packages come from a wheelhouse alone
    only_wheels  whether nothing may be built, for want of hashes of what a build needs
    """
    if _HASH.search(said):
        return (
            "a file is another one than its hash says, and nothing of it was installed: either the index serves a"
            " changed file, or the hash is that of another version or platform"
        )
    if found := _UNPINNED.search(said):
        return f"{found[1]} is needed too, and it has no hash: pin it with its hash in a requirements file"
    if found := _PYTHON.search(said):
        return (
            f"the project wants Python {found[2]}, and the host's is {found[1]}: name another one in"
            " python.interpreter, or change requires-python"
        )
    if name := _first(_NO_WHEEL, said):
        why = _UNBUILT if only_wheels else ""
        return f"{name} has no wheel for this Python and platform{why}{_asked(said, wanted, [name])}"
    if name := _first(_UNKNOWN, said):
        fits = f"that fits and has a wheel{_UNBUILT}" if only_wheels else "that fits"
        where = (
            "the wheelhouse has no fitting wheel of it: build the wheelhouse again"
            " (flaskworks.deploy.wheelhouse) after a change of requirements, server or Python"
            if offline
            else f"the index has no such package, or no version {fits}; is its name right, and is the index"
            " (python.index, python.extra_indexes) the one that has it?"
        )
        return f"{name} can't be had: {where}{_asked(said, wanted, [name])}"
    if _CONFLICT.search(said):
        return f"the requirements contradict each other: no set of versions suits all of them{_asked(said, wanted)}"
    return ""


def drift_meaning(said: str) -> str:
    """Return what it means that a lock was not accepted, or an empty text."""
    if _PYTHON.search(said):
        return meaning(said, [])
    if name := _first([_NO_BUILD], said):
        return f"{name} has no wheel for this Python and platform{_UNBUILT}"
    if _DRIFT.search(said):
        return (
            "uv.lock does not fit pyproject.toml: run `uv lock` in the project, commit both files, and deploy again."
            " Nothing was installed"
        )
    return ""


def unhashed(names: Mapping[str, str]) -> str:
    """Return the words that refuse requirements without hashes: requirement -> why it can't be accepted."""
    lines = [f"  {requirement}: {why}" for requirement, why in names.items()]
    return "\n".join(
        [
            "python.require_hashes is set, so that nothing is installed which has no hash:",
            *lines,
            "Pin all with their hashes in a requirements file: `uv pip compile --generate-hashes requirements.in -o"
            " requirements.txt` or pip-compile writes one. What the server needs belongs into it too.",
        ]
    )


def _first(patterns: Sequence[re.Pattern[str]], said: str) -> str:
    # Installers break their lines where a terminal would.
    text = " ".join(said.split())
    return next((found[1] for found in (pattern.search(text) for pattern in patterns) if found), "")


def _asked(said: str, wanted: Sequence[tuple[str, str]], names: Sequence[str] = ()) -> str:
    """Return those requirements that the installer speaks of, with where they stand."""
    spoken = {_normal(word) for word in re.findall(rf"(?<![\w.-]){_NAME}", said)} | {_normal(name) for name in names}
    lines = []
    for requirement, origin in wanted:
        found = re.match(_NAME, requirement)
        if found and _normal(found[1]) in spoken:
            lines.append(f"  {requirement}  ({origin})")
    return ". Asked for:\n" + "\n".join(dict.fromkeys(lines)) if lines else ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
