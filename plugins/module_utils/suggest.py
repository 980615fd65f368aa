# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Near misses."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: object, known: Iterable[object], cutoff: float = 0.6) -> str:
    """Return the known word that was probably meant, or an empty text. Upper and lower case do not matter.

    ``cutoff``: how near is near, from 0 to 1 (the same).
    """
    by_lower = {str(name).lower(): str(name) for name in known}
    found = difflib.get_close_matches(str(word).lower(), list(by_lower), n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else ""


def hint(word: object, known: Iterable[object]) -> str:
    """Return ``did you mean 'x'?``, or what there is to choose from when nothing is near."""
    names = sorted(str(name) for name in known)
    near = closest(word, names)
    return f"did you mean '{near}'?" if near else f"possible: {', '.join(names)}"
