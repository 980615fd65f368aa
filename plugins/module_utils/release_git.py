# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""git as the source of a release: which commit a version means, and the files of that commit with its submodules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import git_access, without_password
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_mirror import check_out, fetch_commit, lfs_pointers
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_run import (
    FETCH_SECONDS,
    LISTING_SECONDS,
    SLOW_LISTING_SECONDS,
    TIMED_OUT,
    require_answer,
    require_connection,
    run_git,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_signatures import require_signature
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_submodules import (
    absolute_url,
    is_local,
    submodule_links,
    submodule_urls,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError

COMMIT = re.compile(r"^[0-9a-f]{40}$")


def commit_of(listing: str, version: str) -> str | None:
    """Return the commit that ``version`` means in the output of ``git ls-remote``: a tag (peeled) before a branch,
    HEAD as itself.
    """
    found = {}
    for line in listing.splitlines():
        commit, tab, name = line.partition("\t")
        if tab:
            found[name] = commit
    wanted = [f"refs/tags/{version}^{{}}", f"refs/tags/{version}", f"refs/heads/{version}", f"{version}^{{}}", version]
    return next((found[name] for name in wanted if name in found), None)


def resolve_commit(source: Mapping[str, Any], build_env: Mapping[str, str]) -> str:
    """Return the full commit of a git source; a full commit needs no network.

    Raises ReleaseError when there is none.
    """
    version = str(source.get("version") or "HEAD")
    if COMMIT.match(version):
        return version
    url = without_password(source["url"])[0]
    patterns = (
        [version]
        if version == "HEAD"
        else [f"refs/tags/{version}", f"refs/tags/{version}^{{}}", f"refs/heads/{version}"]
    )
    with git_access(source, build_env) as environment:
        asked = ["ls-remote", "--", url, *patterns]
        listed = run_git(asked, environment, limit=LISTING_SECONDS)
        if listed.returncode == TIMED_OUT:
            require_connection(url, environment, "read")
            listed = run_git(asked, environment, limit=SLOW_LISTING_SECONDS)
    require_answer(listed, source, f"git can't read {url}")
    commit = commit_of(listed.stdout, version)
    if commit is None:
        raise ReleaseError(
            "source", f"{url} has no branch and no tag '{version}' (a commit must be given with all 40 characters)"
        )
    return commit


def place_commit(
    mirror: str,
    source: Mapping[str, Any],
    commit: str,
    subdirectory: str,
    destination: str,
    build_env: Mapping[str, str],
) -> list[str]:
    """Write the files of a commit (of its ``subdirectory``), those of its submodules included, to ``destination``.

    Returns the names of files that are mere pointers of Git LFS. Raises ReleaseError.
    """
    with git_access(source, build_env) as environment:
        if source.get("verify"):
            fetch_commit(mirror, source, commit, environment)
            _fetch_tag(mirror, source, environment)
            # The commit names its submodules by their commits, and so has signed them as well.
            require_signature(mirror, source, commit, environment)
        return _place(mirror, source, commit, subdirectory, destination, environment)


def _fetch_tag(mirror: str, source: Mapping[str, Any], env: Mapping[str, str]) -> None:
    """Have the tag as the server has it now, if the version is one: it may be younger than its commit."""
    version = str(source.get("version") or "HEAD")
    if COMMIT.match(version):
        return
    url, name = without_password(source["url"])[0], f"refs/tags/{version}"
    listed = run_git(["ls-remote", "--", url, name], env, limit=SLOW_LISTING_SECONDS)
    require_answer(listed, source, f"git can't read {url}")
    if listed.stdout.strip():
        fetch = ["--git-dir", mirror, "fetch", "--quiet", "--force", "--no-write-fetch-head", "--no-tags", "--", url]
        require_answer(
            run_git([*fetch, f"+{name}:{name}"], env, limit=FETCH_SECONDS), source, f"git can't fetch {version}"
        )
    else:
        run_git(["--git-dir", mirror, "update-ref", "-d", name], env)


def _place(
    mirror: str, source: Mapping[str, Any], commit: str, subdirectory: str, destination: str, env: Mapping[str, str]
) -> list[str]:
    url = without_password(source["url"])[0]
    fetch_commit(mirror, source, commit, env)
    check_out(mirror, commit, subdirectory, destination, env)
    pointers = lfs_pointers(mirror, commit, subdirectory, env)
    listed = run_git(["--git-dir", mirror, "ls-tree", "-r", "-z", f"{commit}:{subdirectory}"], env)
    links = submodule_links(listed.stdout)
    if not links:
        return pointers
    told = run_git(
        ["--git-dir", mirror, "config", "--blob", f"{commit}:.gitmodules", "-z", "--get-regexp", r"^submodule\."],
        env,
    )
    urls = submodule_urls(told.stdout)
    for path, module_commit in links.items():
        whole = f"{subdirectory}/{path}" if subdirectory else path
        if whole not in urls:
            raise ReleaseError("source", f"the submodule {whole} has no entry in .gitmodules")
        address = absolute_url(url, urls[whole])
        if is_local(address) and not is_local(url):
            # Else a repository could ask for the mirrors of other applications, which the build user can read.
            raise ReleaseError("source", f"the submodule {whole} names a path on this host: {address}")
        module = f"{mirror}/modules/{whole.replace('/', '.')}"
        inner = _place(module, {**source, "url": address}, module_commit, "", f"{destination}/{path}", env)
        pointers += [f"{path}/{name}" for name in inner]
    return pointers
