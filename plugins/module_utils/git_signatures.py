# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a tag or a commit was signed by somebody of the inventory, before any of its files is used.

git asks ssh-keygen or gpg. Both know nothing but the keys of ``source.verify``: those lie in a keyring that is made for
this question, below /run, and taken away afterwards. A signature of a tag is about the tag's name as well.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import private_folder
from ansible_collections.flaskworks.deploy.plugins.module_utils.git_run import run_git
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import ReleaseError, last_lines
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import BUILD_USER, NO_HOME
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_sandbox import account_of, run_as
from ansible_collections.flaskworks.deploy.plugins.module_utils.signing_keys import signing_keys
from ansible_collections.flaskworks.deploy.plugins.module_utils.ssh_keys import SshKeyError


def require_signature(mirror: str, source: Mapping[str, Any], commit: str, env: Mapping[str, str]) -> None:
    """Return when the tag that ``source.version`` names, or the commit itself, has a good signature by one of the keys.

    The mirror holds the commit, and the tag as the server has it. Raises ReleaseError with what is wrong.
    """
    with _keyring(source["verify"]) as (options, own):
        base, env = [*options, "--git-dir", mirror], {**env, **own}
        version, said = str(source.get("version") or "HEAD"), []
        tag = run_git([*base, "cat-file", "tag", f"refs/tags/{version}"], env)
        if tag.returncode == 0:
            fault = not_about(tag.stdout, version, commit)
            checked = run_git([*base, "verify-tag", "--raw", f"refs/tags/{version}"], env)
            if checked.returncode == 0 and not fault:
                return
            said.append(f"the tag {version} {fault or meaning(checked.stderr, tag.stdout)}")
            if is_renamed(tag.stdout, version):
                # Whoever did that wants another commit built than the name says: a signature of that one tells nothing.
                raise ReleaseError("source", f"nothing was built: {said[0]}", last_lines(checked.stderr, 6))
        text = run_git([*base, "cat-file", "commit", commit], env).stdout
        checked = run_git([*base, "verify-commit", "--raw", commit], env)
        if checked.returncode == 0:
            return
        said.append(f"the commit {commit[:12]} {meaning(checked.stderr, text)}")
    raise ReleaseError(
        "source",
        f"nothing was built: {', and '.join(said)}. source.verify wants a good signature by one of its keys on one of"
        " them",
        last_lines(checked.stderr, 6),
    )


def is_renamed(text: str, version: str) -> bool:
    """Tell whether a tag object has another name than its ref."""
    return _name_of(text) != version


def _name_of(text: str) -> str:
    name = re.search(r"^tag (.*)$", text.partition("\n\n")[0], re.MULTILINE)
    return name[1] if name else "?"


def not_about(text: str, version: str, commit: str) -> str:
    """Return in words that a tag object is another one than its ref says; a signed one could be given another name."""
    target = re.search(r"^object ([0-9a-f]{40})$", text.partition("\n\n")[0], re.MULTILINE)
    if is_renamed(text, version):
        return f"is the tag {_name_of(text)} under another name"
    if target is None or target[1] != commit:
        return f"does not lead to the commit {commit[:12]}"
    return ""


def meaning(said: str, text: str) -> str:
    """Return what git's words about a signature mean; ``text`` is the object that should have one."""
    if "-----BEGIN" not in text:
        return "has no signature"
    if "NO_PUBKEY" in said:
        key = re.search(r"NO_PUBKEY ([0-9A-F]+)", said)
        return f"is signed by a key that is not among them ({key[1] if key else 'unknown'})"
    if "No principal matched" in said or "no matching" in said.lower():
        key = re.search(r"\b(SHA256:[A-Za-z0-9+/]+)", said)
        return f"is signed by a key that is not among them ({key[1] if key else 'of SSH'})"
    for word, words in (
        ("BADSIG", "has a signature that does not fit: it was changed afterwards"),
        ("REVKEYSIG", "is signed by a key that was revoked"),
        ("EXPKEYSIG", "is signed by a key that has expired"),
        ("EXPSIG", "has a signature that has expired"),
        ("incorrect signature", "has a signature that does not fit: it was changed afterwards"),
    ):
        if word in said:
            return words
    if "cannot run" in said or "not found" in said or "No such file" in said:
        return "can't be checked: the program for its kind of signature is missing, install openssh-client and gpg"
    return "has no good signature"


@contextlib.contextmanager
def _keyring(keys: list[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield git's options and variables for these keys and no other. Raises ReleaseError for unusable ones."""
    try:
        signers, packets = signing_keys(keys)
    except SshKeyError as error:
        raise ReleaseError("source", f"source.verify {error}") from error
    account = account_of(BUILD_USER)
    folder = private_folder()
    try:
        os.mkdir(f"{folder}/home", 0o700)
        for name, data in (("signers", signers.encode()), ("keys", b"".join(packets)), ("home/gpg.conf", _GPG)):
            with open(f"{folder}/{name}", "xb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), 0o644)
        for path in (f"{folder}/home", folder):
            os.chown(path, account.pw_uid, account.pw_gid)
        variables = {"GNUPGHOME": f"{folder}/home"}
        if packets:
            _import(folder, variables)
        options = {
            "gpg.ssh.allowedSignersFile": f"{folder}/signers",
            "gpg.ssh.revocationFile": "/dev/null",
            "gpg.ssh.program": "ssh-keygen",
            "gpg.program": "gpg",
            "gpg.openpgp.program": "gpg",
            # The inventory has no certificates, and those that the host trusts are nobody's of the inventory.
            "gpg.x509.program": "false",
            "gpg.minTrustLevel": "undefined",
        }
        yield [word for name, value in options.items() for word in ("-c", f"{name}={value}")], variables
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# gpg.conf: no agent, no network. Whose keys these are the inventory says.
_GPG = b"batch\nno-autostart\nno-auto-key-locate\nno-auto-key-retrieve\ntrust-model always\n"


def _import(folder: str, variables: Mapping[str, str]) -> None:
    done = run_as(BUILD_USER, ["gpg", "--import", f"{folder}/keys"], env={"HOME": NO_HOME, **variables})
    if done.returncode == 127:
        raise ReleaseError("source", "source.verify has an OpenPGP key, and gpg is not installed on this host")
    if done.returncode != 0:
        raise ReleaseError("source", "gpg does not take the keys of source.verify", last_lines(done.stderr, 6))
