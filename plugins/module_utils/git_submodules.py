# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What git says of the submodules of a commit, and where they come from. Pure."""

from __future__ import annotations

import os


def submodule_links(listing: str) -> dict[str, str]:
    """Return path -> commit of the submodules in the output of ``git ls-tree -r -z``."""
    links = {}
    for entry in listing.split("\0"):
        facts, _tab, path = entry.partition("\t")
        if facts.startswith("160000 "):
            links[path] = facts.split()[2]
    return links


def submodule_urls(text: str) -> dict[str, str]:
    """Return path -> URL from the output of ``git config -z`` for .gitmodules."""
    modules: dict[str, dict[str, str]] = {}
    for entry in text.split("\0"):
        key, _newline, value = entry.partition("\n")
        name, _dot, variable = key.removeprefix("submodule.").rpartition(".")
        modules.setdefault(name, {})[variable] = value
    return {module["path"]: module["url"] for module in modules.values() if "path" in module and "url" in module}


def is_local(url: str) -> bool:
    """Tell whether a URL means a path on the host; ``user@host:path`` does not."""
    return url.startswith("file:") or ("://" not in url and ":" not in url.partition("/")[0])


def absolute_url(parent: str, url: str) -> str:
    """Return a submodule's URL; one that begins with ./ or ../ is relative to the parent repository's."""
    if not url.startswith(("./", "../")):
        return url
    prefix, separator, path = parent.rstrip("/").partition("://")
    if not separator and not is_local(parent):
        # user@host:path
        prefix, separator, path = parent.rstrip("/").partition(":")
    if not separator:
        prefix, path = "", parent.rstrip("/")
    return prefix + separator + os.path.normpath(os.path.join(path, url))
