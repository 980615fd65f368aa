"""Keys as people paste them: repaired, or refused in words that never repeat them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import (
    SshKeyError,
    host_key_fingerprints,
    key_fingerprint,
    known_hosts,
    private_key,
    ssh_server,
)

ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
SERVER = ("git.example.org", 22)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Keys of every kind that ssh-keygen makes."""
    folder = tmp_path_factory.mktemp("keys")
    made = {
        "ed25519": ["-t", "ed25519", "-N", ""],
        "ecdsa": ["-t", "ecdsa", "-N", ""],
        "rsa": ["-t", "rsa", "-b", "2048", "-N", ""],
        "pem": ["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""],
        "pkcs8": ["-t", "ecdsa", "-m", "PKCS8", "-N", ""],
        "locked": ["-t", "ed25519", "-N", "long enough"],
        "locked-pem": ["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "long enough"],
        "locked-pkcs8": ["-t", "ecdsa", "-m", "PKCS8", "-N", "long enough"],
    }
    for name, options in made.items():
        subprocess.run(["ssh-keygen", "-q", *options, "-f", str(folder / name)], check=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


def accepted(text: str, folder: Path) -> str:
    """What ssh-keygen makes of a private key: its public half."""
    path = folder / "key"
    path.write_text(text)
    path.chmod(0o600)
    done = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", str(path)], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


@pytest.mark.parametrize("name", ["ed25519", "ecdsa", "rsa", "pem", "pkcs8"])
@pytest.mark.parametrize("damage", ["none", "crlf", "no end", "blanks", "one line", "escaped", "indented", "around"])
def test_what_copies_break_is_repaired(keys: dict[str, str], tmp_path: Path, name: str, damage: str) -> None:
    whole = keys[name]
    text = {
        "none": whole,
        "crlf": whole.replace("\n", "\r\n"),
        "no end": whole.rstrip("\n"),
        "blanks": whole.replace("\n", "  \n"),
        "one line": whole.replace("\n", " "),
        "escaped": whole.replace("\n", "\\n"),
        "indented": whole.replace("\n", "\n    "),
        "around": f"# the key\n\n{whole}\n\n",
    }[damage]
    repaired = private_key(text)
    assert repaired.endswith("-----\n")
    assert "\r" not in repaired
    assert accepted(repaired, tmp_path) == keys[f"{name}.pub"].split()[1]
    assert private_key(repaired) == repaired


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("s3cr3t", "is no private key"),
        ("ssh-ed25519 AAAA ann@laptop", "is the public half"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "puttygen"),
        ("$ANSIBLE_VAULT;1.1;AES256\n3033", "still encrypted"),
        ("~/.ssh/id_ed25519", "is the name of a file"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "is cut short: it goes from"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----", "damaged or cut short"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\n{{ x }}\n-----END OPENSSH PRIVATE KEY-----",
            "something else than base64",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", "damaged or cut short"),
        ("-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----", "damaged or cut short"),
        ("-----BEGIN PGP PRIVATE KEY-----\nAAAA\n-----END PGP PRIVATE KEY-----", "kind 'PGP', which ssh does not read"),
    ],
)
def test_what_is_no_private_key_is_refused(text: str, words: str) -> None:
    with pytest.raises(SshKeyError, match=words) as caught:
        private_key(text)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("name", ["locked", "locked-pem", "locked-pkcs8"])
def test_a_passphrase_is_refused(keys: dict[str, str], name: str) -> None:
    with pytest.raises(SshKeyError, match="protected by a passphrase"):
        private_key(keys[name])


def test_every_cut_is_noticed(keys: dict[str, str]) -> None:
    """Without a line in its midst a key has its first and last line still."""
    for name in ("ed25519", "rsa", "pem", "pkcs8"):
        lines = keys[name].splitlines()
        for number in range(1, len(lines) - 1):
            with pytest.raises(SshKeyError):
                private_key("\n".join(lines[:number] + lines[number + 1 :]))


def test_a_fingerprint_is_that_of_the_public_half(keys: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "public").write_text(keys["ed25519.pub"])
    listed = subprocess.run(
        ["ssh-keygen", "-lf", str(tmp_path / "public")], capture_output=True, text=True, check=True
    ).stdout
    assert key_fingerprint(keys["ed25519"]) == listed.split()[1]
    assert key_fingerprint(keys["pem"]) == key_fingerprint("x") == ""


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("git@git.example.org:blog.git", SERVER),
        ("Git.Example.org:blog.git", SERVER),
        ("ssh://git@git.example.org/blog.git", SERVER),
        ("ssh://git@git.example.org:2222/blog.git", ("git.example.org", 2222)),
        ("ssh://[::1]:2222/x", ("::1", 2222)),
        ("https://git.example.org/blog.git", None),
        ("file:///srv/x", None),
        ("/srv/a:b", None),
    ],
)
def test_the_server_of_a_url(url: str, server: tuple[str, int] | None) -> None:
    assert ssh_server(url) == server


def test_host_keys_become_known_hosts() -> None:
    other = f"theme.example.org,192.0.2.1 ssh-ed25519 {ED25519}\n"
    text = f"# git.example.org:22 SSH-2.0-OpenSSH\r\n\n  ssh-ed25519 {ED25519} root@git\n{other}"
    assert known_hosts(text, SERVER) == f"git.example.org ssh-ed25519 {ED25519}\n{other}"
    assert known_hosts(f"ssh-ed25519 {ED25519}", ("h", 2222)) == f"[h]:2222 ssh-ed25519 {ED25519}\n"
    assert known_hosts(f"[h]:2222 ssh-ed25519 {ED25519}", ("h", 2222)) == f"[h]:2222 ssh-ed25519 {ED25519}\n"
    (shown,) = host_key_fingerprints(known_hosts(f"ssh-ed25519 {ED25519}", SERVER))
    assert shown == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU (ssh-ed25519)"


def test_hashed_names_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"git.example.org ssh-ed25519 {ED25519}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    assert known_hosts(path.read_text(), SERVER) == path.read_text()
    with pytest.raises(SshKeyError, match="has no key of other"):
        known_hosts(path.read_text(), ("other", 22))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", "has a fingerprint in line 1"),
        ("256 SHA256:+DiY3wvvV6TuJJhbpZisF root@git (ED25519)", "has a fingerprint in line 1"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "is a private key"),
        ("ssh-ed25519", "has no host key in line 1"),
        ("ssh-foo AAAA", "has no host key in line 1"),
        (f"@cert-authority *.example.org ssh-ed25519 {ED25519}", "has no host key in line 1"),
        (f"*.example.org ssh-ed25519 {ED25519}", "has no host key in line 1"),
        (f"ssh-ed25519 {ED25519}\nssh-ed25519 {ED25519[:-4]}", "cut short in line 2"),
        (f"ssh-rsa {ED25519}", "damaged key in line 1"),
        ("ssh-ed25519 ----", "damaged key in line 1"),
        (f"other.example.org ssh-ed25519 {ED25519}", "has no key of git.example.org, only those of other hosts"),
    ],
)
def test_what_is_no_host_key_is_refused(text: str, words: str) -> None:
    with pytest.raises(SshKeyError, match=words):
        known_hosts(text, SERVER)
