# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The mirror of a repository on the host, and the files of one of its commits."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import owned_directory
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import without_password
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_run import (
    FETCH_SECONDS,
    checked,
    require_answer,
    require_connection,
    run_git,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError, last_lines
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import BUILD_USER
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import account_of

_INDEX = "flaskworks-index"
# The lines of a file whose content lies with Git LFS (git-lfs's specification of pointers).
_LFS_POINTER = ("^version https://git-lfs[.]github[.]com/spec/v1$", "^oid sha256:[0-9a-f]*$", "^size [0-9]*$")


def fetch_commit(mirror: str, source: Mapping[str, Any], commit: str, env: Mapping[str, str]) -> None:
    """Make sure that the bare mirror holds ``commit``; fetches only when it is missing. Raises ReleaseError."""
    prepare_mirror(mirror, env)
    has = ["--git-dir", mirror, "cat-file", "-e", f"{commit}^{{commit}}"]
    if run_git(has, env).returncode == 0:
        return
    url = without_password(source["url"])[0]
    require_connection(url, env, "fetch")
    fetch = ["--git-dir", mirror, "fetch", "--quiet", "--prune", "--force", "--no-write-fetch-head", "--", url]
    fetched = run_git([*fetch, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"], env, limit=FETCH_SECONDS)
    if run_git(has, env).returncode != 0:
        require_answer(fetched, source, f"git can't fetch {url}")
        # A commit that no branch or tag reaches; most servers hand it out by its name.
        single = run_git([*fetch, f"+{commit}:refs/flaskworks/{commit}"], env, limit=FETCH_SECONDS)
        require_answer(single, source, f"git can't fetch {commit} from {url}")


def prepare_mirror(mirror: str, env: Mapping[str, str]) -> None:
    """Make sure that there is a bare mirror that git can use, whatever a git that was killed left. Raises ReleaseError.

    The application's lock is held: no other git works here, and a lock file is nobody's.
    """
    if os.path.isdir(mirror):
        sweep_mirror(mirror)
        if run_git(["--git-dir", mirror, "rev-parse", "--git-dir"], env).returncode == 0:
            return
    # git knows by HEAD, objects and refs (gitrepository-layout(5)) what is a repository; an ``init`` that was cut short
    # has but some of them.
    shutil.rmtree(mirror, ignore_errors=True)
    os.makedirs(mirror, mode=0o750, exist_ok=True)
    account = account_of(BUILD_USER)
    owned_directory(mirror, account.pw_uid, account.pw_gid, 0o750)
    checked(run_git(["init", "--quiet", "--bare", mirror], env), "git can't create the mirror")


def sweep_mirror(mirror: str) -> None:
    """Remove what a git that was killed left in a mirror: lock files (no ref's name ends like them, says
    git-check-ref-format(1)), indexes of earlier runs, and objects that were still being written.
    """
    for folder, dummy, files, opened in os.fwalk(mirror):
        inside = os.path.relpath(folder, mirror)
        for name in files:
            index = inside == "." and name.startswith(_INDEX)
            unfinished = inside.partition("/")[0] == "objects" and name.startswith("tmp_")
            if name.endswith(".lock") or index or unfinished:
                os.unlink(name, dir_fd=opened)


@contextlib.contextmanager
def _index_of(mirror: str) -> Iterator[str]:
    """Yield the name of an index that is this run's alone."""
    path = f"{mirror}/{_INDEX}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        yield path
    finally:
        for name in (path, f"{path}.lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def check_out(mirror: str, commit: str, subdirectory: str, destination: str, build_env: Mapping[str, str]) -> None:
    """Write the files of ``commit`` (of its ``subdirectory``) to ``destination``, with fresh times; no .git among them.

    Unlike ``git archive`` this obeys no export-ignore. Raises ReleaseError.
    """
    tree = f"{commit}:{subdirectory}" if subdirectory not in ("", ".") else f"{commit}^{{tree}}"
    with _index_of(mirror) as index:
        _write_tree(mirror, commit, tree, destination, {**build_env, "GIT_INDEX_FILE": index})


def _write_tree(mirror: str, commit: str, tree: str, destination: str, environment: Mapping[str, str]) -> None:
    base = ["--git-dir", mirror, "--work-tree", destination]
    read = run_git([*base, "read-tree", "--reset", tree], environment, cwd=destination)
    subdirectory = tree.partition(":")[2]
    if read.returncode != 0 and subdirectory:
        raise ReleaseError(
            "source", f"commit {commit[:12]} has no directory '{subdirectory}'", last_lines(read.stderr, 3)
        )
    checked(read, f"git can't read commit {commit[:12]}")
    written = run_git([*base, "checkout-index", "--all", "--force", "--quiet"], environment, cwd=destination)
    checked(written, f"git can't write the files of commit {commit[:12]}")


def lfs_pointers(mirror: str, commit: str, subdirectory: str, env: Mapping[str, str]) -> list[str]:
    """Return the names of files of a commit whose content is not in git but with Git LFS."""
    base = ["--git-dir", mirror, "grep", "--name-only", "-z"]
    if not run_git([*base, "filter=lfs", commit, "--", ":(glob)**/.gitattributes"], env).stdout:
        return []
    tree = f"{commit}:{subdirectory}" if subdirectory not in ("", ".") else commit
    found = run_git([*base, "--all-match", *(word for line in _LFS_POINTER for word in ("-e", line)), tree], env).stdout
    return sorted(name.removeprefix(f"{tree}:").removeprefix(f"{tree}/") for name in found.split("\0") if name)
