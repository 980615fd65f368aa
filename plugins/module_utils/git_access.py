# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How git reaches its server: with a deploy key and pinned host keys, or with a password; and what its failures mean.

A key lies in a file below /run that the build user alone may read, and only while git runs. A password reaches git
through its environment, and git gives it to the one server that it is for.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import BUILD_USER, KEYS_DIRECTORY
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import account_of
from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import (
    SshKeyError,
    host_key_fingerprints,
    key_fingerprint,
    known_hosts,
    private_key,
    ssh_server,
)

# The keys of a source that nobody may see.
SECRET_KEYS = ("deploy_key", "password")
CONNECT_SECONDS = 15
# ssh finds the user's own configuration by the account, not by HOME; -F replaces it (ssh(1)), and a host without the
# system's one has "none".
SSH_CONFIG = "/etc/ssh/ssh_config"
# A server that is busy says so once in a while; silence of a minute is a broken connection. A connection that a socket
# shares may be anybody's.
_SSH_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_SECONDS}",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    "ControlMaster=no",
    "ControlPath=none",
)
_HELPER = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n"'
    ' "$FLASKWORKS_GIT_USER" "$FLASKWORKS_GIT_PASSWORD"; }; f'
)
# What servers ignore beside a token.
_ANY_USER = "git"
_PORTS = {"http": 80, "https": 443, "git": 9418}


@contextlib.contextmanager
def git_access(source: Mapping[str, Any], build_env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield git's environment: ``build_env``, and all that the server of ``source`` asks for.

    Raises ReleaseError for a key that can't be used.
    """
    url, variables = without_password(source["url"], build_env)
    if source.get("password"):
        variables = password_variables(url, source.get("user") or _ANY_USER, source["password"], build_env)
    server = ssh_server(url)
    if server is None or not (source.get("deploy_key") or source.get("host_key")):
        yield {**build_env, **variables}
        return
    key = _checked("deploy_key", lambda: private_key(source["deploy_key"])) if source.get("deploy_key") else ""
    hosts = _checked("host_key", lambda: known_hosts(source["host_key"], server)) if source.get("host_key") else ""
    if key and not hosts:
        raise ReleaseError("source", "source.deploy_key needs source.host_key: only a server that is known gets it")
    with _key_files(key, hosts) as folder:
        yield {**build_env, **variables, "GIT_SSH_COMMAND": _ssh_command(folder, bool(key)), "GIT_SSH_VARIANT": "ssh"}


def without_password(url: str, build_env: Mapping[str, str] | None = None) -> tuple[str, dict[str, str]]:
    """Return the URL without its password, and the variables that hand user and password to git's credential helper."""
    if "://" not in url:
        return url, {}
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.password is None:
        return url, {}
    user, password = urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password)
    plain = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return plain, password_variables(plain, user, password, build_env or {})


def password_variables(url: str, user: str, password: str, build_env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which git's credential helper answers for the server of ``url``, and for no other one.

    What ``build_env`` configures in this way stays.
    """
    parts = urllib.parse.urlsplit(url)
    count = int(build_env.get("GIT_CONFIG_COUNT") or 0)
    return {
        "FLASKWORKS_GIT_USER": user,
        "FLASKWORKS_GIT_PASSWORD": password,
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"credential.{parts.scheme}://{parts.netloc}.helper",
        f"GIT_CONFIG_VALUE_{count}": _HELPER,
    }


def source_secrets(source: Mapping[str, Any]) -> list[str]:
    """Return what no log may show of a source."""
    query = urllib.parse.urlsplit(str(source.get("url", ""))).query if source.get("type") == "archive" else ""
    return [str(source[name]) for name in SECRET_KEYS if source.get(name)] + [query] * bool(query)


def sweep_keys() -> None:
    """Remove what a process that was killed left in the directory of keys."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(KEYS_DIRECTORY):
            if not os.path.exists(f"/proc/{name.partition('.')[0]}"):
                shutil.rmtree(f"{KEYS_DIRECTORY}/{name}", ignore_errors=True)


def _checked(name: str, call: Callable[[], str]) -> str:
    try:
        return call()
    except SshKeyError as error:
        raise ReleaseError("source", f"source.{name} {error}") from error


def private_folder() -> str:
    """Make a folder for keys, which is root's until it is given to somebody, and return its path.

    Its name tells whose it is, so that what a process that was killed left is swept.
    """
    os.makedirs(KEYS_DIRECTORY, exist_ok=True)
    # Nobody but root lists it, and the build user gets through it whatever umask root has on this host.
    os.chmod(KEYS_DIRECTORY, 0o711)
    folder = f"{KEYS_DIRECTORY}/{os.getpid()}.{secrets.token_hex(8)}"
    os.mkdir(folder, 0o700)
    return folder


@contextlib.contextmanager
def _key_files(key: str, hosts: str) -> Iterator[str]:
    account = account_of(BUILD_USER)
    folder = private_folder()
    try:
        for name, text in (("key", key), ("known_hosts", hosts)):
            if text:
                descriptor = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
                with open(descriptor, "w", encoding="ascii") as stream:
                    os.fchown(descriptor, account.pw_uid, account.pw_gid)
                    stream.write(text)
        os.chown(folder, account.pw_uid, account.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def plain_ssh_command() -> str:
    """Return the ssh of a source without key and without pinned hosts: it trusts the host's own list, and no file of
    the build user, which any build could have written.
    """
    return _ssh("UserKnownHostsFile=/dev/null", "IdentityFile=none")


def _ssh(*options: str) -> str:
    config = SSH_CONFIG if os.path.exists(SSH_CONFIG) else "none"
    return " ".join(["ssh", "-F", config, *(f"-o {option}" for option in (*_SSH_OPTIONS, *options))])


def _ssh_command(folder: str, with_key: bool) -> str:
    pinned = ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={folder}/known_hosts", "GlobalKnownHostsFile=/dev/null"]
    pinned += ["UpdateHostKeys=no", "VerifyHostKeyDNS=no"]
    own = (
        [f"IdentityFile={folder}/key", "IdentitiesOnly=yes", "IdentityAgent=none"]
        if with_key
        else ["IdentityFile=none"]
    )
    return _ssh(*pinned, *own)


def no_connection(url: str, env: Mapping[str, str]) -> str:
    """Return in words that the server of a URL takes no connection, or an empty text: git itself waits for minutes.

    Says nothing of URLs that go through a proxy, or that are no http, https or git.
    """
    parts = urllib.parse.urlsplit(url) if "://" in url else None
    if parts is None or parts.scheme not in _PORTS or not parts.hostname or _through_proxy(parts.scheme, env):
        return ""
    port = parts.port or _PORTS[parts.scheme]
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except TimeoutError:
        return f"{parts.hostname} took no connection on port {port} within {CONNECT_SECONDS} s"
    except OSError as error:
        return f"{parts.hostname}, port {port}: {error.strerror or error}"
    return ""


def _through_proxy(scheme: str, env: Mapping[str, str]) -> bool:
    wanted = {f"{scheme}_proxy", "all_proxy"}
    return any(value and name.lower() in wanted for name, value in env.items())


def meaning(said: str, source: Mapping[str, Any]) -> str:
    """Return what git's and ssh's words mean for the person who deploys, or an empty text."""
    if re.search(r"Host key verification failed|host key is known for|IDENTIFICATION HAS CHANGED", said):
        return _host_key_meaning(said, source)
    if re.search(r"Permission denied \([a-z,-]*publickey", said):
        if not source.get("deploy_key"):
            return "the server wants a key: give source.deploy_key and source.host_key"
        known = key_fingerprint(source["deploy_key"])
        return "the server does not accept source.deploy_key" + (f", whose public half is {known}" if known else "")
    if "could not read Username" in said:
        return (
            "the server wants credentials: give source.user and source.password; some servers say so, too, of a"
            " repository that does not exist"
        )
    if "Authentication failed" in said or "error: 401" in said or "error: 403" in said:
        return "the server does not accept source.user and source.password" if source.get("password") else ""
    return ""


def _host_key_meaning(said: str, source: Mapping[str, Any]) -> str:
    shown = re.search(r"fingerprint for the (\S+) key sent by the remote host is\s+([A-Z0-9]+:\S+?)\.?\s", said + "\n")
    server = ssh_server(source["url"])
    pinned = ""
    if source.get("host_key") and server:
        with contextlib.suppress(SshKeyError):
            pinned = ", ".join(host_key_fingerprints(known_hosts(source["host_key"], server)))
    if not pinned and not shown:
        return (
            "its host key is not known on this host: pin it as source.host_key (ssh-keyscan shows it; compare it with"
            " what the server's operator publishes)"
        )
    words = [
        f"the server showed the host key {shown[2]} ({shown[1]})"
        if shown
        else "the server has no host key of that kind",
        f"source.host_key pins {pinned}" if pinned else "the host's own known_hosts has another one",
    ]
    return (
        f"{' but '.join(words)}. Either the server got a new key: ask its operator for it, not the network, and pin"
        " that one; or somebody stands in between. Nothing was sent"
    )
