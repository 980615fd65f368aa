# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""git as the source of a release: which commit a version means, the mirror on the host, and the files of one commit.

git runs as the build user; keys and passwords reach it as git_access.py says.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.durable import owned_directory, replace_file
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import (
    git_access,
    meaning,
    no_connection,
    plain_ssh_command,
    sweep_keys,
    without_password,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_signatures import require_signature
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError, last_lines
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import (
    BUILD_USER,
    NO_HOME,
    STATE_DIRECTORY,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import Completed, account_of, run_as

COMMIT = re.compile(r"^[0-9a-f]{40}$")
GIT_CONFIG = f"{STATE_DIRECTORY}/gitconfig"
# A repository on the host itself may belong to anybody: git's ownership check protects the caller, and the build user
# has nothing to lose.
GIT_CONFIG_TEXT = (
    "[safe]\n\tdirectory = *\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n"
)
# git knows no limit of its own for a server that is silent; the first listing is small, its answer quick.
_LISTING_SECONDS, _SLOW_LISTING_SECONDS, _FETCH_SECONDS = 20, 120, 3600
# The exit status of timeout(1).
_TIMED_OUT = 124
_INDEX = "flaskworks-index"
_STALLED = {"GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "60"}
# The lines of a file whose content lies with Git LFS (git-lfs's specification of pointers).
_LFS_POINTER = ("^version https://git-lfs[.]github[.]com/spec/v1$", "^oid sha256:[0-9a-f]*$", "^size [0-9]*$")
# What ssh says to a person at a terminal: its frame, and where to edit a file that is gone by then.
_SSH_CHATTER = re.compile(
    r"^@[@\s]*$|^Please contact your system|^Add correct host key in|^Offending \S+ key in|^\s+remove"
)


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


def prepare_git() -> None:
    """Write git's configuration for the build user. git passes variables on to no repository on the host itself."""
    sweep_keys()
    os.makedirs(STATE_DIRECTORY, mode=0o755, exist_ok=True)
    try:
        with open(GIT_CONFIG, encoding="utf-8") as stream:
            if stream.read() == GIT_CONFIG_TEXT:
                return
    except FileNotFoundError:
        pass
    replace_file(GIT_CONFIG, GIT_CONFIG_TEXT.encode(), 0o644)


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
        listed = _git(asked, environment, limit=_LISTING_SECONDS)
        if listed.returncode == _TIMED_OUT:
            _require_connection(url, environment, "read")
            listed = _git(asked, environment, limit=_SLOW_LISTING_SECONDS)
    _require_answer(listed, source, f"git can't read {url}")
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
            require_signature(_git, mirror, source, commit, environment)
        return _place(mirror, source, commit, subdirectory, destination, environment)


def _fetch_tag(mirror: str, source: Mapping[str, Any], env: Mapping[str, str]) -> None:
    """Have the tag as the server has it now, if the version is one: it may be younger than its commit."""
    version = str(source.get("version") or "HEAD")
    if COMMIT.match(version):
        return
    url, name = without_password(source["url"])[0], f"refs/tags/{version}"
    listed = _git(["ls-remote", "--", url, name], env, limit=_SLOW_LISTING_SECONDS)
    _require_answer(listed, source, f"git can't read {url}")
    if listed.stdout.strip():
        fetch = ["--git-dir", mirror, "fetch", "--quiet", "--force", "--no-write-fetch-head", "--no-tags", "--", url]
        _require_answer(
            _git([*fetch, f"+{name}:{name}"], env, limit=_FETCH_SECONDS), source, f"git can't fetch {version}"
        )
    else:
        _git(["--git-dir", mirror, "update-ref", "-d", name], env)


def _place(
    mirror: str, source: Mapping[str, Any], commit: str, subdirectory: str, destination: str, env: Mapping[str, str]
) -> list[str]:
    url = without_password(source["url"])[0]
    fetch_commit(mirror, source, commit, env)
    check_out(mirror, commit, subdirectory, destination, env)
    pointers = lfs_pointers(mirror, commit, subdirectory, env)
    listed = _git(["--git-dir", mirror, "ls-tree", "-r", "-z", f"{commit}:{subdirectory}"], env)
    links = submodule_links(listed.stdout)
    if not links:
        return pointers
    told = _git(
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


def lfs_pointers(mirror: str, commit: str, subdirectory: str, env: Mapping[str, str]) -> list[str]:
    """Return the names of files of a commit whose content is not in git but with Git LFS."""
    base = ["--git-dir", mirror, "grep", "--name-only", "-z"]
    if not _git([*base, "filter=lfs", commit, "--", ":(glob)**/.gitattributes"], env).stdout:
        return []
    tree = f"{commit}:{subdirectory}" if subdirectory not in ("", ".") else commit
    found = _git([*base, "--all-match", *(word for line in _LFS_POINTER for word in ("-e", line)), tree], env).stdout
    return sorted(name.removeprefix(f"{tree}:").removeprefix(f"{tree}/") for name in found.split("\0") if name)


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


def fetch_commit(mirror: str, source: Mapping[str, Any], commit: str, env: Mapping[str, str]) -> None:
    """Make sure that the bare mirror holds ``commit``; fetches only when it is missing. Raises ReleaseError."""
    prepare_mirror(mirror, env)
    has = ["--git-dir", mirror, "cat-file", "-e", f"{commit}^{{commit}}"]
    if _git(has, env).returncode == 0:
        return
    url = without_password(source["url"])[0]
    _require_connection(url, env, "fetch")
    fetch = ["--git-dir", mirror, "fetch", "--quiet", "--prune", "--force", "--no-write-fetch-head", "--", url]
    fetched = _git([*fetch, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"], env, limit=_FETCH_SECONDS)
    if _git(has, env).returncode != 0:
        _require_answer(fetched, source, f"git can't fetch {url}")
        # A commit that no branch or tag reaches; most servers hand it out by its name.
        single = _git([*fetch, f"+{commit}:refs/flaskworks/{commit}"], env, limit=_FETCH_SECONDS)
        _require_answer(single, source, f"git can't fetch {commit} from {url}")


def prepare_mirror(mirror: str, env: Mapping[str, str]) -> None:
    """Make sure that there is a bare mirror that git can use, whatever a git that was killed left. Raises ReleaseError.

    The application's lock is held: no other git works here, and a lock file is nobody's.
    """
    if os.path.isdir(mirror):
        sweep_mirror(mirror)
        if _git(["--git-dir", mirror, "rev-parse", "--git-dir"], env).returncode == 0:
            return
    # git knows by HEAD, objects and refs (gitrepository-layout(5)) what is a repository; an ``init`` that was cut short
    # has but some of them.
    shutil.rmtree(mirror, ignore_errors=True)
    os.makedirs(mirror, mode=0o750, exist_ok=True)
    account = account_of(BUILD_USER)
    owned_directory(mirror, account.pw_uid, account.pw_gid, 0o750)
    _checked(_git(["init", "--quiet", "--bare", mirror], env), "git can't create the mirror")


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
    read = _git([*base, "read-tree", "--reset", tree], environment, cwd=destination)
    subdirectory = tree.partition(":")[2]
    if read.returncode != 0 and subdirectory:
        raise ReleaseError(
            "source", f"commit {commit[:12]} has no directory '{subdirectory}'", last_lines(read.stderr, 3)
        )
    _checked(read, f"git can't read commit {commit[:12]}")
    written = _git([*base, "checkout-index", "--all", "--force", "--quiet"], environment, cwd=destination)
    _checked(written, f"git can't write the files of commit {commit[:12]}")


def _git(arguments: list[str], env: Mapping[str, str], limit: int = 0, **options: object) -> Completed:
    """Run git as the build user; after ``limit`` seconds it is ended, with the helpers that it started."""
    environment = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_GLOBAL": GIT_CONFIG,
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "GIT_SSH_COMMAND": plain_ssh_command(),
        **_STALLED,
        **env,
        # Whatever the build's own home is: a .netrc there would be any build's.
        "HOME": NO_HOME,
    }
    bounded = ["timeout", "--kill-after=5", str(limit)] if limit else []
    return run_as(BUILD_USER, [*bounded, "git", *arguments], env=environment, **options)


def _require_connection(url: str, env: Mapping[str, str], verb: str) -> None:
    """Raise ReleaseError when the server takes no connection; as the host's own git configuration leads to it."""
    if _git(["config", "--get-urlmatch", "http.proxy", url], env).stdout.strip():
        return
    real = _git(["ls-remote", "--get-url", "--", url], env).stdout.strip() or url
    if trouble := no_connection(real, env):
        raise ReleaseError("source", f"git can't {verb} {url}: {trouble}")


def _require_answer(result: Completed, source: Mapping[str, Any], problem: str) -> None:
    if result.returncode == 0:
        return
    if result.returncode == _TIMED_OUT:
        raise ReleaseError("source", f"{problem}: the server did not answer in time", last_lines(result.stderr, 5))
    said = "\n".join(line for line in result.stderr.splitlines() if not _SSH_CHATTER.search(line))
    explained = meaning(said, source)
    raise ReleaseError("source", f"{problem}: {explained}" if explained else problem, last_lines(said, 12))


def _checked(result: Completed, problem: str) -> None:
    if result.returncode != 0:
        raise ReleaseError("source", problem, last_lines(result.stderr or result.stdout, 8))
