"""Keys of those who sign, and what an inventory demands of where code and packages come from."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_signatures import meaning, not_about
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.module_utils.signing_keys import signing_keys
from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import SshKeyError
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

SPEC = entry_points("flask_apps")
SSH = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 42 + "E"
KEY = f"ssh-ed25519 {SSH}"
# A header of a public key packet, and something behind it.
PACKET = base64.b64encode(b"\x98\x33" + bytes(40)).decode()
ARMOR = f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{PACKET}\n=njUN\n-----END PGP PUBLIC KEY BLOCK-----\n"
SUM = "sha256:" + "0" * 64
COMMIT = "3f" * 20
GIT = {"git": "https://git.example.org/blog.git"}
OVER_SSH = {"git": "git@git.example.org:blog.git"}
TAG = f"object {COMMIT}\ntype commit\ntag v1\ntagger T <t@example.org> 1 +0000\n\nobject x\ntag v2\n"


def demanded(require: Any, source: dict[str, Any], **python: Any) -> list[str]:
    app = {"source": source, "wsgi": "app:app", "domains": ["blog.test"], "python": python}
    try:
        make_plan(SPEC, {"blog": app}, require=require)
    except InventoryError as error:
        return [problem.path.removeprefix("flask_apps.blog.") for problem in error.problems]
    return []


def test_keys_are_sorted_by_kind() -> None:
    named = f'ann@example.org,bob valid-after="20260101" {KEY} a comment'
    signers, packets = signing_keys([f"# ours\n{KEY} ann's laptop\n", named, f"{ARMOR}{ARMOR}"])
    assert signers.splitlines() == [
        f'signer namespaces="git" {KEY}',
        f'ann@example.org,bob valid-after="20260101" {KEY}',
    ]
    assert packets == [base64.b64decode(PACKET)] * 2
    windows = signing_keys([ARMOR.replace("\n", "\r\n").replace("-----\r\n\r\n", "-----\r\nComment: x\r\n\r\n", 1)])
    assert windows == ("", packets[:1])


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "is empty"),
        ("SHA256:0DkDNFpWGlOkoLnzZZPmpnWPYYVUCTkYRZbgEYCCMBo", "a fingerprint, but the key itself"),
        ("0x5A5E8E9B7C4D3F2A", "a fingerprint, but the key itself"),
        ("/etc/signers", "the name of a file"),
        ("nobody", "something that is no public key"),
        ("ssh-ed25519 AAAA", "a damaged key"),
        (f"{KEY[:-8]}", "damaged key|cut short"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nx", "a private key"),
        (ARMOR.replace("PUBLIC", "PRIVATE"), "a private key"),
        (ARMOR[:60], "cut short"),
        (ARMOR.replace(PACKET, base64.b64encode(b"nothing").decode()), "is damaged"),
    ],
)
def test_what_is_no_key_is_refused_in_words(key: str, words: str) -> None:
    with pytest.raises(SshKeyError, match=words):
        signing_keys([key])


@pytest.mark.parametrize(
    ("require", "source", "python", "missing"),
    [
        ("signatures", GIT, {}, ["source.verify"]),
        ("signatures", {**GIT, "verify": [KEY]}, {}, []),
        ("signatures", {"path": "."}, {}, []),
        ("checksums", {"archive": "site.tar.gz"}, {}, ["source.checksum"]),
        ("checksums", {"archive": "site.tar.gz", "checksum": SUM}, {}, []),
        ("checksums", {"pypi": "blog==1"}, {}, ["source.checksum"]),
        ("checksums", GIT, {}, []),
        ("host_keys", OVER_SSH, {}, ["source.host_key"]),
        ("host_keys", {**OVER_SSH, "host_key": KEY}, {}, []),
        ("host_keys", {"git": "http://git.example.org/blog.git"}, {}, ["source.git"]),
        ("host_keys", GIT, {}, []),
        ("host_keys", {"git": "/srv/git/blog.git"}, {}, []),
        ("hashes", GIT, {}, ["python.require_hashes"]),
        ("hashes", GIT, {"require_hashes": True}, []),
        (["signatures", "host_keys", "hashes"], OVER_SSH, {}, 3),
        ("signatures, hashes", GIT, {}, 2),
        ([], OVER_SSH, {}, []),
    ],
)
def test_what_is_demanded_is_asked_of_every_application(
    require: Any, source: dict[str, Any], python: dict[str, Any], missing: list[str] | int
) -> None:
    found = demanded(require, source, **python)
    assert (len(found) if isinstance(missing, int) else found) == missing


def test_an_unknown_demand_is_told() -> None:
    with pytest.raises(InventoryError, match="did you mean 'signatures'") as refused:
        make_plan(SPEC, {}, require=["signature"])
    assert refused.value.problems[0].path == "flask_apps_require[0]"
    with pytest.raises(InventoryError, match="is no list"):
        make_plan(SPEC, {}, require={"signatures": True})


def test_packages_that_check_signatures_are_installed() -> None:
    def packages(*keys: str) -> set[str]:
        source = {**GIT, "verify": list(keys)} if keys else GIT
        apps = {"blog": {"source": source, "wsgi": "app:app", "domains": ["blog.test"]}}
        return set(make_plan(SPEC, apps)["packages"])

    assert packages(KEY) - packages() == {"openssh-client"}
    assert packages(ARMOR) - packages() == {"gpg"}


def test_a_signature_of_a_tag_is_about_its_name_and_its_commit() -> None:
    assert not_about(TAG, "v1", COMMIT) == ""
    assert "is the tag v1 under another name" in not_about(TAG, "v2", COMMIT)
    assert "does not lead to the commit" in not_about(TAG, "v1", "00" * 20)
    assert "another name" in not_about(f"object {COMMIT}\n\ntag v1\n", "v1", COMMIT)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("[GNUPG:] ERRSIG AB 22 8 00 1 9\n[GNUPG:] NO_PUBKEY 0123456789ABCDEF\n", "not among them (0123456789ABCDEF)"),
        ('Good "git" signature with ED25519 key SHA256:abc+/1\nNo principal matched.\n', "(SHA256:abc+/1)"),
        ("[GNUPG:] BADSIG 0123 ann\n", "was changed afterwards"),
        ("[GNUPG:] REVKEYSIG 0123 ann\n", "was revoked"),
        ("[GNUPG:] EXPKEYSIG 0123 ann\n", "has expired"),
        ("error: cannot run gpg: No such file or directory\n", "install openssh-client and gpg"),
        ("", "has no good signature"),
    ],
)
def test_failures_are_told_in_words(said: str, words: str) -> None:
    assert words in meaning(said, "tree 1\ngpgsig -----BEGIN PGP SIGNATURE-----\n")
    assert meaning(said, "tree 1\n\nno such thing\n") == "has no signature"
