# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lines that an operator puts into a server block by hand (``extra``), as nginx reads them."""

from __future__ import annotations

import re

# ngx_conf_read_token: quotes, '#' and '}' mean something where a word begins, and '${' begins no block.
_TOKEN = re.compile(
    r"""[ \t\r\n]+ | \#[^\n]* | [;{}] | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | (?:\\.|\$\{|[^ \t\r\n;{\\])+""",
    re.VERBOSE | re.DOTALL,
)


def directives(extra: str, *names: str) -> list[list[str]]:
    """Return the words of each directive of one of these names that holds for the server block, as they are written.

    What stands inside of a block, such as a location, holds only there.
    """
    found, words, depth = [], [], 0
    for token in _TOKEN.findall(extra):
        if token[0] in " \t\r\n#":
            continue
        if token not in (";", "{", "}"):
            words.append(token)
            continue
        if token == ";" and depth == 0 and words and bare(words[0]) in names:
            found.append(words)
        depth += {"{": 1, "}": -1}.get(token, 0)
        words = []
    return found


def bare(word: str) -> str:
    """Return a word without the quotes around it."""
    return word[1:-1] if word[0] in "\"'" else word
