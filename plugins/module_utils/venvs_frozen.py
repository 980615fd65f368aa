# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an environment really holds, read from its files: nothing of it is run."""

from __future__ import annotations

import glob
import importlib.metadata
import json
import re
from collections.abc import Mapping

from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs_requirements as reqs
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_index import without_credentials

# What the standard library's venv puts into each environment (until Python 3.11 setuptools too): no part of the set
# unless it was asked for. pip freeze leaves the same out.
SEEDS = frozenset({"pip", "setuptools", "wheel", "distribute", "pkg-resources"})


def installed(venv: str, resolved: str) -> dict[str, str]:
    """Return normalised name -> version of all packages in an environment, those of the site and its server alike.

    A package that came from git or an archive says so behind its version, with the commit or the digest. `resolved` is
    the set that it was built from: it tells which of the packages that every environment has were asked for.
    """
    asked = {reqs.name_of(line) for line in reqs.logical_lines(resolved)}
    found = {}
    for folder in sorted(glob.glob(f"{glob.escape(venv)}/lib/*/site-packages")):
        for distribution in importlib.metadata.distributions(path=[folder]):
            name = normal_name(distribution.metadata["Name"] or "")
            if name and (name in asked or name not in SEEDS):
                found[name] = f"{distribution.version}{_origin(distribution.read_text('direct_url.json'))}"
    return dict(sorted(found.items()))


def exact_text(resolved: str, packages: Mapping[str, str]) -> str:
    """Return the requirements file of what is installed: the set that was resolved, without lines for other platforms.

    A package that no line names, such as the project itself, stands in a comment with its version.
    """
    head = [line for line in resolved.splitlines() if line.startswith(("# installer", "# source", "-"))]
    lines = [line for line in reqs.logical_lines(resolved) if not line.startswith("-")]
    kept = [line for line in lines if _is_installed(line, packages)]
    named = {reqs.name_of(line) for line in kept}
    own = [f"# from the source itself: {name} {version}" for name, version in packages.items() if name not in named]
    return "\n".join([*head, *own, ""]) + reqs.render(kept)


def _is_installed(line: str, packages: Mapping[str, str]) -> bool:
    name, pinned = reqs.name_of(line), reqs.pinned_version(reqs.split_hashes(line)[0])
    return not name or (name in packages and pinned in ("", packages[name].partition(" ")[0]))


def normal_name(name: str) -> str:
    """Return a project's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _origin(direct_url: str | None) -> str:
    """Return what a package's record of its origin says (PEP 610), in brackets; a directory says nothing."""
    try:
        said = json.loads(direct_url or "{}")
    except ValueError:
        return ""
    address = without_credentials(str(said.get("url", "")))
    if vcs := said.get("vcs_info"):
        return f" ({vcs.get('vcs')} {address} at {str(vcs.get('commit_id'))[:12]})"
    if archive := said.get("archive_info"):
        digest = (archive.get("hashes") or {}).get("sha256") or str(archive.get("hash", "")).rpartition("=")[2]
        return f" (archive {digest[:12] or address})"
    return ""
