# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of the command flaskworks: the code that module and command share, as it lies in this collection."""

from __future__ import annotations

import ast
import functools
import os

PACKAGE = "ansible_collections.flaskworks.deploy.plugins.module_utils"
ENTRY = "host_command"
_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils")


def imported(text: str) -> set[str]:
    """Return the names of this collection's module_utils that a source text imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            names.add(str(node.module).removeprefix(f"{PACKAGE}.").partition(".")[0])
    return names


@functools.cache
def sources(entry: str = ENTRY) -> dict[str, str]:
    """Return module name -> source text of the command and all that it imports."""
    found: dict[str, str] = {}
    waiting = {entry}
    while waiting:
        name = waiting.pop()
        with open(os.path.join(_FOLDER, f"{name}.py"), encoding="utf-8") as stream:
            found[name] = stream.read()
        waiting |= imported(found[name]) - found.keys()
    return dict(sorted(found.items()))
