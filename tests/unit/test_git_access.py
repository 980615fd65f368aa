"""How git reaches its server, and what its failures are said to mean."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import git_access
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import (
    git_access as access,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import (
    meaning,
    no_connection,
    password_variables,
    source_secrets,
    sweep_keys,
)
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
HTTPS = {"url": "https://git.example.org:8443/blog.git", "user": "ann", "password": "p'$(x) %s"}
CHANGED = """@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
The fingerprint for the ED25519 key sent by the remote host is
SHA256:jjUkt1h6rXkRXlUu3Ls9ydGJrKzvBVMCvTIVzpOnZO8.
Host key for git.example.org has changed and you have requested strict checking.
Host key verification failed.
"""


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of keys, and this user as the one that builds."""
    monkeypatch.setattr(git_access, "KEYS_DIRECTORY", str(tmp_path / "keys"))
    monkeypatch.setattr(git_access, "BUILD_USER", pwd.getpwuid(os.getuid()).pw_name)
    return tmp_path / "keys"


@pytest.fixture
def closed() -> Iterator[None]:
    """The umask that root has on a hardened host."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("closed")
def test_the_build_user_gets_through_to_its_keys_whatever_umask_root_has(keys: Path) -> None:
    folder = Path(git_access.private_folder())
    assert folder.parent == keys
    assert [path.stat().st_mode & 0o777 for path in (keys, folder)] == [0o711, 0o700]


def test_a_key_lies_there_while_git_runs(keys: Path, deploy_key: str) -> None:
    source = {"url": "git@git.example.org:blog.git", "deploy_key": deploy_key, "host_key": HOST_KEY}
    with access(source, {"A": "b", "GIT_SSH_COMMAND": "ssh -o StrictHostKeyChecking=no"}) as environment:
        (folder,) = keys.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "key").read_text() == deploy_key
        assert (folder / "key").stat().st_mode & 0o777 == 0o400
        assert (folder / "known_hosts").read_text() == f"git.example.org {HOST_KEY}\n"
        command = environment["GIT_SSH_COMMAND"]
        assert "-o StrictHostKeyChecking=yes" in command
        assert f"-o UserKnownHostsFile={folder}/known_hosts -o GlobalKnownHostsFile=/dev/null" in command
        assert f"-o IdentityFile={folder}/key -o IdentitiesOnly=yes" in command
        assert "StrictHostKeyChecking=no" not in command
        assert environment["A"] == "b"
        assert not any(deploy_key.splitlines()[1] in value for value in environment.values())
    assert list(keys.iterdir()) == []


@pytest.mark.parametrize("configured", [True, False])
def test_ssh_reads_no_file_of_the_build_user(
    keys: Path, deploy_key: str, configured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "ssh_config"
    monkeypatch.setattr(git_access, "SSH_CONFIG", str(system))
    if configured:
        system.write_text("Host *\n  IdentityFile ~/.ssh/theirs\n  ControlPath ~/.ssh/%C\n  ProxyJump gate\n")
    source = {"url": "git@git.example.org:blog.git", "deploy_key": deploy_key, "host_key": HOST_KEY}
    with access(source, {}) as environment:
        commands = [git_access.plain_ssh_command(), environment["GIT_SSH_COMMAND"]]
        for command in commands:
            words = command.split()
            assert words[:3] == ["ssh", "-F", str(system) if configured else "none"]
            told = subprocess.run([*words, "-G", "git.example.org"], capture_output=True, text=True, check=True).stdout
            options = [line.partition(" ")[::2] for line in told.splitlines()]
            assert ("controlmaster", "false") in options
            assert not [value for name, value in options if name == "controlpath" and value != "none"]
            assert ("proxyjump" in dict(options)) is configured, "the system's configuration counts"
            assert ".ssh/known_hosts" not in dict(options)["userknownhostsfile"]
    assert "UserKnownHostsFile=/dev/null" in commands[0]


def test_a_key_is_gone_after_a_failure(keys: Path, deploy_key: str) -> None:
    source = {"url": "git@git.example.org:blog.git", "deploy_key": deploy_key, "host_key": HOST_KEY}
    with contextlib.suppress(ZeroDivisionError), access(source, {}):
        assert list(keys.iterdir())
        raise ZeroDivisionError
    assert list(keys.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"deploy_key": "x"}, "source.deploy_key is no private key"),
        ({"host_key": "x"}, "source.host_key has no host key in line 1"),
        ({"host_key": ""}, "source.deploy_key needs source.host_key"),
    ],
)
def test_a_wrong_key_is_refused_before_anything_is_written(
    keys: Path, deploy_key: str, change: dict[str, str], words: str
) -> None:
    source = {"url": "git@git.example.org:blog.git", "deploy_key": deploy_key, "host_key": HOST_KEY, **change}
    with pytest.raises(ReleaseError, match=words), access(source, {}):
        pass
    assert not keys.exists()


def test_what_a_killed_run_left_is_swept_and_what_runs_is_not(keys: Path) -> None:
    sweep_keys()
    (keys / "4194999.left").mkdir(parents=True)
    (keys / "4194999.left" / "key").write_text("x")
    (keys / f"{os.getpid()}.mine").mkdir()
    sweep_keys()
    assert [path.name for path in keys.iterdir()] == [f"{os.getpid()}.mine"]


def test_git_itself_reads_the_password_for_its_server_only(tmp_path: Path) -> None:
    variables = password_variables(HTTPS["url"], HTTPS["user"], HTTPS["password"], {"GIT_CONFIG_COUNT": "1"})
    mine = {"GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "me"}
    environment = {**os.environ, **mine, **variables, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": "/dev/null"}

    def asked(host: str, protocol: str = "https") -> str:
        return subprocess.run(
            ["git", "credential", "fill"],
            input=f"protocol={protocol}\nhost={host}\n\n",
            env={**environment, "GIT_ASKPASS": "/bin/false"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    assert f"username=ann\npassword={HTTPS['password']}\n" in asked("git.example.org:8443")
    for other in ("git.example.org", "evil.example.org:8443", "git.example.org:8443.evil.example.org"):
        assert "password" not in asked(other)
    assert "password" not in asked("git.example.org:8443", "http")
    name = subprocess.run(
        ["git", "config", "user.name"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert name.stdout == "me\n", "what build_env configures stays"


def test_a_token_needs_no_user(keys: Path) -> None:
    with access({"url": HTTPS["url"], "password": "t"}, {}) as environment:
        assert (environment["FLASKWORKS_GIT_USER"], environment["FLASKWORKS_GIT_PASSWORD"]) == ("git", "t")
    with access({"url": HTTPS["url"]}, {"A": "b"}) as environment:
        assert environment == {"A": "b"}
    assert source_secrets({"password": "t", "deploy_key": "k", "user": "ann", "url": "u"}) == ["k", "t"]
    assert source_secrets({"type": "archive", "url": "https://a.test/x.zip?token=t"}) == ["token=t"]


PINNED = {"url": "git@git.example.org:blog.git", "host_key": HOST_KEY}
DENIED = "git@git.example.org: Permission denied (publickey).\nfatal: Could not read from remote repository.\n"


@pytest.mark.parametrize(
    ("said", "source", "words"),
    [
        (CHANGED, PINNED, "showed the host key SHA256:jjUkt1h6rXkRXlUu3Ls9ydGJrKzvBVMCvTIVzpOnZO8 (ED25519) but"),
        (CHANGED, PINNED, "but source.host_key pins SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU (ssh-ed25519)."),
        (CHANGED, {"url": PINNED["url"]}, "but the host's own known_hosts has another one"),
        (
            "No RSA host key is known for h and you have requested",
            PINNED,
            "has no host key of that kind but",
        ),
        ("Host key verification failed.", {"url": PINNED["url"]}, "pin it as source.host_key"),
        (DENIED, PINNED, "the server wants a key"),
        (DENIED, {**PINNED, "deploy_key": "x"}, "the server does not accept source.deploy_key"),
        ("git@h: Permission denied (gssapi-with-mic,publickey).", PINNED, "wants a key"),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", HTTPS, "wants credentials"),
        ("fatal: Authentication failed for 'https://h/'", HTTPS, "does not accept source.user and source.password"),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 403", HTTPS, "does not accept"),
    ],
)
def test_the_words_of_git_and_ssh_are_explained(said: str, source: dict[str, str], words: str) -> None:
    assert words in meaning(said, source)


def test_what_is_clear_by_itself_is_not_explained() -> None:
    assert meaning("ssh: Could not resolve hostname nowhere: Name or service not known", PINNED) == ""
    assert meaning("fatal: repository 'https://h/x/' not found", HTTPS) == ""


def test_a_server_without_connections_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_access, "CONNECT_SECONDS", 1)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        url = f"https://127.0.0.1:{port}/x.git"
        assert "Connection refused" in no_connection(url, {})
        server.listen(0)
        assert no_connection(url, {}) == ""
        waiting = [socket.socket() for dummy in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        assert no_connection(url, {}) == f"127.0.0.1 took no connection on port {port} within 1 s"
        assert no_connection(url, {"HTTPS_PROXY": "http://proxy:3128"}) == "", "then the proxy makes the connection"
        assert no_connection(f"ssh://127.0.0.1:{port}/x", {}) == "", "ssh has a limit of its own"
        assert no_connection("/srv/x", {}) == no_connection("git@127.0.0.1:x", {}) == ""
        for client in waiting:
            client.close()
