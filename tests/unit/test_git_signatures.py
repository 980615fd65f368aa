"""What git is asked of a signature, and what its answers are worth."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import git_access, git_signatures
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_signatures import require_signature
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError

COMMIT = "3f" * 20
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 42 + "E"
SIGNATURE = "-----BEGIN SSH SIGNATURE-----\n"
TAG = f"object {COMMIT}\ntype commit\ntag v1\ntagger T <t@example.org> 1 +0000\n\nfine\n{SIGNATURE}"


@pytest.fixture(autouse=True)
def _keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_access, "KEYS_DIRECTORY", str(tmp_path / "keys"))
    monkeypatch.setattr(git_signatures, "BUILD_USER", pwd.getpwuid(os.getuid()).pw_name)


class Git:
    """git whose signatures are good where a test says so; ``asked`` is what it was asked."""

    def __init__(self, tag: str, *good: str) -> None:
        self.tag, self.good = tag, good
        self.asked: list[list[str]] = []

    def __call__(self, words: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        self.asked.append(words)
        if "cat-file" in words:
            text = self.tag if "tag" in words else f"tree 1\ngpgsig {SIGNATURE}"
            return subprocess.CompletedProcess(words, 0 if text else 128, text, "")
        return subprocess.CompletedProcess(words, 0 if self.good and words[-3] in self.good else 1, "", "")


def required(git: Git, version: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(git_signatures, "run_git", git)
        require_signature("/mirror", {"version": version, "verify": [KEY]}, COMMIT, {})


def test_a_good_signature_of_the_tag_or_else_of_the_commit_is_enough() -> None:
    required(Git(TAG, "verify-tag"), "v1")
    required(Git(TAG, "verify-commit"), "v1")
    required(Git("", "verify-commit"), "main")
    with pytest.raises(ReleaseError, match=r"the tag v1 has no good signature, and the commit 3f3f"):
        required(Git(TAG), "v1")


def test_a_tag_under_another_name_is_refused_although_its_commit_is_signed() -> None:
    """Else a server could give the signed release of yesterday the name of today's."""
    with pytest.raises(ReleaseError, match=r"nothing was built: the tag v2 is the tag v1 under another name$"):
        required(Git(TAG, "verify-tag", "verify-commit"), "v2")


def test_git_asks_no_program_that_has_keys_of_its_own() -> None:
    git = Git("", "verify-commit")
    required(git, "main")
    said = dict(word.split("=", 1) for words in git.asked for word in words if word.startswith("gpg."))
    assert said["gpg.x509.program"] == "false"
    assert said["gpg.program"] == said["gpg.openpgp.program"] == "gpg"
