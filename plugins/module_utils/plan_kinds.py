# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of where an application's code comes from: git, a directory, an archive, a package of an index."""

from __future__ import annotations

import re
import urllib.parse

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report, path_fault
from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import (
    SshKeyError,
    known_hosts,
    private_key,
    ssh_server,
)

KINDS = {
    "git": "{git: URL, version: TAG}",
    "path": "{path: DIRECTORY}",
    "archive": '{archive: URL, checksum: "sha256:..."}',
    "pypi": '{pypi: "NAME==VERSION"}',
}
# Which kinds a key belongs to.
_BELONGS = {
    "version": ("git",),
    "deploy_key": ("git",),
    "host_key": ("git",),
    "verify": ("git",),
    "user": ("git",),
    "password": ("git",),
    "checksum": ("archive", "pypi"),
    "strip": ("archive",),
    "subdir": ("git", "path", "archive"),
}
_DEFAULTS = {"version": "HEAD", "subdir": ""}
# user@host:path, the short form of ssh.
_SCP_LIKE = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9._-]+:(?!//).+")
_SCHEMES = ("https", "http", "ssh", "git", "file")
# git-check-ref-format(1), and no text that git could take for an option.
_BAD_VERSION = re.compile(r"^-|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.$|\.lock$")
_ARCHIVE_NAME = re.compile(r"\.(tar|tar\.(gz|bz2|xz)|tgz|tbz2?|txz|zip)$")
_CHECKSUM = re.compile(r"sha256:[0-9a-fA-F]{64}")
# PEP 508 names and extras, PEP 440 versions.
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PACKAGE = re.compile(rf"({_NAME})\s*(?:\[\s*({_NAME}(?:\s*,\s*{_NAME})*)?\s*\])?\s*(.*)", re.DOTALL)
_EXACT = re.compile(r"={2,3}\s*([A-Za-z0-9][A-Za-z0-9.!+_-]*)")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


def check_source(report: Report, entry: Entry) -> None:
    """One place, and what belongs to it."""
    source = entry.get("source") or {}
    kinds = [kind for kind in KINDS if source.get(kind) is not None]
    if entry.get("source") is not None and len(kinds) != 1:
        said = f"names {' and '.join(kinds)}" if kinds else "does not say where the code comes from"
        report.add("source", "source", f"{said}: write one of {', '.join(KINDS.values())}")
    if len(kinds) == 1:
        for key in _BELONGS:
            if kinds[0] not in _BELONGS[key] and source.get(key) not in (None, _DEFAULTS.get(key)):
                report.add("source", f"source.{key}", _misplaced(key, kinds[0], source))
    if source.get("git") is not None:
        _check_git(report, source)
        _check_access(report, source)
    if source.get("path") is not None:
        _check_path(report, source["path"])
    if source.get("archive") is not None:
        _check_archive(report, source)
    if source.get("pypi") is not None:
        _check_package(report, entry)
    if source.get("subdir") and (fault := path_fault(source["subdir"])):
        report.add("path", "source.subdir", fault)


def exact_package(requirement: str) -> tuple[str, str, str]:
    """Return name, extras and version of a requirement that names one version; no version when it does not."""
    found = _PACKAGE.fullmatch(requirement.strip())
    exact = _EXACT.fullmatch(found[3].strip()) if found else None
    extras = ",".join(sorted(re.split(r"\s*,\s*", found[2]))) if found and found[2] else ""
    return (found[1] if found else ""), extras, (exact[1] if exact else "")


def is_url(archive: str) -> bool:
    """Tell whether an archive lies where the host fetches it, and not on the controller."""
    return "://" in archive or archive.startswith("file:")


def _misplaced(key: str, kind: str, source: Entry) -> str:
    """Return why a key is of no use beside this kind of source, and what was meant perhaps."""
    owners = " and ".join(_BELONGS[key])
    remedy = "remove it"
    if key == "version" and kind == "pypi":
        name = exact_package(source["pypi"])[0] or "NAME"
        remedy = f"did you mean pypi: '{name}=={source[key]}'?"
    elif key == "version":
        kept = "is known by its checksum" if kind == "archive" else "is taken as it is"
        remedy = f"{'an archive' if kind == 'archive' else 'a directory'} {kept}, remove the version"
    elif key == "checksum" and kind == "git":
        remedy = "did you mean version? A commit is its own checksum"
    elif key in ("user", "password") and kind == "pypi":
        remedy = "did you mean flask_apps_build_env? An index gets its credentials there"
    return f"belongs to {owners}, and the source is {kind}: {remedy}"


def _check_git(report: Report, source: Entry) -> None:
    url, version, key = source["git"], source["version"], "source.git"
    if _BAD_VERSION.search(version) or not version:
        report.add("git-version", "source.version", f"{version!r} is no branch, tag or commit of git")
    try:
        parts = urllib.parse.urlsplit(url)
        user, password, dummy = parts.username, parts.password, parts.port
    except ValueError:
        report.add("git-url", key, "is no URL that can be read: write https://HOST/PATH or git@HOST:PATH")
        return
    if "://" in url and (password is not None or (user and parts.scheme in ("http", "https"))):
        report.add(
            "git-credentials",
            key,
            "holds a user name or password, which would stand in logs and in the process list: say them as source.user"
            " and source.password, which are kept secret, or use ssh (git@HOST:PATH) with source.deploy_key",
        )
    elif re.search(r"[\x00-\x20\x7f]", url) or url.startswith("-") or "::" in url.split("/")[0]:
        report.add("git-url", key, f"{url!r} is no URL that git should fetch: write https://HOST/PATH or git@HOST:PATH")
    elif _ARCHIVE_NAME.search(url):
        report.add("git-url", key, f"'{url}' is an archive, not a repository: did you mean {KINDS['archive']}?")
    elif "://" in url:
        if parts.scheme not in _SCHEMES or not (parts.netloc or parts.scheme == "file") or not parts.path.strip("/"):
            report.add(
                "git-url", key, f"'{url}' can't be fetched: write https://HOST/PATH, ssh://HOST/PATH or git@HOST:PATH"
            )
    elif not url.startswith("/") and not _SCP_LIKE.fullmatch(url):
        report.add(
            "git-url", key, f"'{url}' is no URL: write https://HOST/PATH or git@HOST:PATH; a directory here is path"
        )


def _check_access(report: Report, source: Entry) -> None:
    """Keys and passwords: of the right kind for the URL, whole, and for a server that is known."""
    url = source["git"]
    try:
        server = ssh_server(url)
    except ValueError:
        return
    for key in ("deploy_key", "host_key"):
        if source.get(key) is not None and server is None:
            text = (
                f"is for ssh, and '{_bare(url)}' is not: write git@HOST:PATH, or give source.user and source.password"
            )
            report.add("deploy-key" if key == "deploy_key" else "host-key", f"source.{key}", text)
    if server is not None and source.get("deploy_key") is not None:
        try:
            private_key(source["deploy_key"])
        except SshKeyError as error:
            report.add("deploy-key", "source.deploy_key", str(error))
        if source.get("host_key") is None:
            text = (
                f"is needed beside a deploy key, or anybody could pretend to be {server[0]}: write the line that"
                f" 'ssh-keyscan {server[0]}' prints, after comparing it with what its operator publishes"
            )
            report.add("host-key", "source.host_key", text)
    if server is not None and source.get("host_key") is not None:
        try:
            known_hosts(source["host_key"], server)
        except SshKeyError as error:
            report.add("host-key", "source.host_key", str(error))
    _check_password(report, source)


def _check_password(report: Report, source: Entry) -> None:
    url, password = source["git"], source.get("password")
    named = [key for key in ("user", "password") if source.get(key) is not None]
    if not named:
        return
    key = f"source.{named[-1]}"
    if not url.startswith("https://"):
        hint = "an SSH server takes a key: give source.deploy_key" if ssh_server(url) else "write https://HOST/PATH"
        report.add("git-credentials", key, f"is for https only, where nobody can read it on its way: {hint}")
    elif not password:
        report.add("git-credentials", "source.password", "is missing beside source.user: give the password or a token")
    elif re.search(r"[\x00\r\n]", password + (source.get("user") or "")):
        report.add(
            "git-credentials", key, "has a line break, which git can't hand over: remove it (use '|-' or quotes)"
        )


def _bare(url: str) -> str:
    """Return a URL without what may be a password."""
    return re.sub(r"(?<=://).*@", "", url)


def _check_path(report: Report, path: str) -> None:
    if not path.strip() or "\0" in path:
        report.add("source", "source.path", "is empty: name a directory on the controller")
    elif re.match(r"(https?|ssh|git)://|git@[^/]+:", path):
        report.add("source", "source.path", f"'{_bare(path)}' is a URL: did you mean git, or archive?")
    elif _ARCHIVE_NAME.search(path):
        report.add("source", "source.path", f"'{path}' is an archive, not a directory: did you mean archive?")


def _check_archive(report: Report, source: Entry) -> None:
    archive, checksum, key = source["archive"], source.get("checksum"), "source.archive"
    try:
        parts = urllib.parse.urlsplit(archive)
        dummy = parts.port
        wrong = is_url(archive) and (parts.scheme not in ("https", "http", "file") or not parts.path.strip("/"))
        wrong = wrong or (parts.scheme in ("https", "http") and not parts.hostname)
    except ValueError:
        report.add("archive", key, "is no URL that can be read: write https://HOST/PATH")
        return
    if not archive.strip() or "\0" in archive:
        report.add("archive", key, "is empty: name a URL, or a file on the controller")
    elif is_url(archive) and "@" in parts.netloc:
        report.add("archive", key, "holds a user name or password, which would stand in logs: fetch it beforehand")
    elif archive.endswith(".git") or re.match(r"ssh://|git@", archive):
        report.add("archive", key, f"'{archive}' is a repository: did you mean {KINDS['git']}?")
    elif wrong or (is_url(archive) and _CONTROL.search(archive)):
        report.add(
            "archive", key, f"{archive!r} can't be fetched: write https://HOST/PATH, or a file on the controller"
        )
    if checksum is None and is_url(archive):
        text = "is missing: what comes over a network is known by its checksum, 'sha256:' and what sha256sum prints"
        report.add("checksum", "source.checksum", text)
    _check_checksum(report, checksum)


def _check_checksum(report: Report, checksum: str | None) -> None:
    if checksum is None or _CHECKSUM.fullmatch(checksum):
        return
    if re.fullmatch(r"[0-9a-fA-F]{64}", checksum):
        text = f"is a digest without its name: write 'sha256:{checksum}'"
    else:
        text = f"{checksum!r} is no SHA-256: write 'sha256:' and the 64 characters that sha256sum prints"
    report.add("checksum", "source.checksum", text)


def _check_package(report: Report, entry: Entry) -> None:
    """A package with its exact version, and nothing that would need files of a project."""
    requirement = entry["source"]["pypi"]
    name, dummy, version = exact_package(requirement)
    if not version:
        report.add("pypi", "source.pypi", _not_exact(requirement, name))
    _check_checksum(report, entry["source"].get("checksum"))
    python = entry.get("python") or {}
    for kind in ("requirements", "constraints"):
        if isinstance(python, dict) and python.get(kind):
            text = "names files, and a package of an index comes without any: list packages in python.packages"
            report.add("pypi", f"python.{kind}", text)
    static = entry.get("static") or {}
    for url, target in static.items() if isinstance(static, dict) else ():
        if isinstance(target, str) and target.startswith("src:"):
            path = target.removeprefix("src:")
            text = f"'{target}': the code is a package, not in the source: did you mean 'package:{path}'?"
            report.add("pypi", f"static.{url}", text)


def _not_exact(requirement: str, name: str) -> str:
    if "://" in requirement or "@" in requirement:
        return f"{_bare(requirement)!r} is an address: did you mean {KINDS['archive']}, or git?"
    if not name:
        return f"{requirement!r} is no package: write NAME==VERSION"
    if re.fullmatch(_NAME, requirement.strip()):
        return f"'{requirement}' has no version, so each host would get that of its day: write '{name}==VERSION'"
    return f"{requirement!r} is not one exact version: write '{name}==VERSION', without ranges, '*' or conditions"
