"""Tags and commits are built when somebody of the inventory signed them, and else not even looked into."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.sources.servers import SITE, Sources, said

URL = "file:///opt/signed"
# One commit for each word that the site says. Ann signs by SSH, Bob by OpenPGP; nobody knows the stranger.
SIGNED = """
set -e
apt-get install -qq -y --no-install-recommends gpg gpg-agent >/dev/null 2>&1
for who in ann stranger; do ssh-keygen -q -t ed25519 -N '' -C $who -f /opt/$who; done
install -d -m 0700 /opt/gnupg && export GNUPGHOME=/opt/gnupg
gpg --quiet --batch --passphrase '' --quick-gen-key 'Bob <bob@example.org>' ed25519 sign never 2>/dev/null
gpg --armor --export > /opt/bob.asc
export GIT_CONFIG_COUNT=3 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=Bob GIT_CONFIG_KEY_1=user.email
export GIT_CONFIG_VALUE_1=bob@example.org GIT_CONFIG_KEY_2=init.defaultBranch GIT_CONFIG_VALUE_2=main
ssh() { git -c gpg.format=ssh -c user.signingKey=/opt/"$@"; }
git init -q /opt/signed && cd /opt/signed && mkdir blog
say() { printf "$SITE" "$1" > blog/__init__.py && git add -A && git commit -qm "$1"; }
say ann && ssh ann tag -s -m fine v1
say nobody && git tag -a -m unsigned v2 && git tag light
say stranger && ssh stranger tag -s -m mine v3
say bob && git tag -s -m fine v4
say branch && ssh ann commit -q --amend --no-edit -S
git update-ref refs/tags/v9 $(git rev-parse refs/tags/v1)
git clone -q --bare /opt/signed /opt/forged.git && cd /opt/forged.git
git update-ref refs/tags/v4 $(git cat-file tag v4 | sed s/fine/evil/ | git hash-object -t tag -w --stdin)
gpgconf --kill all
"""


@pytest.fixture(scope="module")
def keys(sources: Sources) -> dict[str, str]:
    """The public keys of Ann and Bob."""
    sources.host.root(f"SITE='{SITE.format(word='%s')}'; export SITE\n{SIGNED}")
    return {"ann": sources.host.root("cat /opt/ann.pub"), "bob": sources.host.root("cat /opt/bob.asc")}


def source(version: str, *keys: str, url: str = URL) -> dict[str, Any]:
    return {"source": {"git": url, "version": version, "verify": list(keys)}}


def test_what_is_signed_by_a_key_of_the_inventory_goes_live(sources: Sources, keys: dict[str, str]) -> None:
    host = sources.host
    for version, word, *given in (("v1", "ann", "ann"), ("v4", "bob", "ann", "bob"), ("main", "branch", "ann")):
        wanted = source(version, *(keys[who] for who in given))
        run = sources.deploy(blog=wanted)
        assert run.status == 0, run.text
        assert host.ask() == f"200 {word}"
        assert not sources.deploy(blog=wanted).result["changed"]
    assert host.root("ls /run/flaskworks-keys; ls -d /nonexistent /root/.gnupg 2>/dev/null || true") == ""
    again = sources.deploy(blog=source("main", keys["ann"], keys["bob"]))
    assert again.app()["reason"] == ["signatures changed"], "what is live is known by the keys of today"


@pytest.mark.parametrize(
    ("version", "given", "words"),
    [
        ("v2", "ann", "the tag v2 has no signature, and the commit"),
        ("light", "ann", "nothing was built: the commit"),
        ("v3", "ann", "the tag v3 is signed by a key that is not among them (SHA256:"),
        ("v1", "bob", "the tag v1 is signed by a key that is not among them (SHA256:"),
        ("v4", "ann", "the tag v4 is signed by a key that is not among them ("),
        ("v9", "ann", "the tag v9 is the tag v1 under another name"),
    ],
)
def test_anything_else_is_not_built(
    sources: Sources, keys: dict[str, str], version: str, given: str, words: str
) -> None:
    before = sources.host.root("ls /srv/blog/releases; readlink /srv/blog/current")
    run = sources.deploy(blog=source(version, keys[given]))
    assert run.status != 0
    assert words in said(run.text), run.text[-2500:]
    assert "is still serving" in run.text
    assert sources.host.root("ls /srv/blog/releases; readlink /srv/blog/current") == before


def test_a_tag_that_was_changed_after_it_was_signed_is_not_built(sources: Sources, keys: dict[str, str]) -> None:
    run = sources.deploy(shop=source("v4", keys["bob"], url="file:///opt/forged.git"))
    assert run.status != 0
    assert "the tag v4 has a signature that does not fit: it was changed afterwards" in said(run.text)


def test_a_tag_that_is_signed_later_is_seen(sources: Sources, keys: dict[str, str]) -> None:
    """The mirror has the commit, and the tag of the same name that nobody had signed."""
    sources.host.root(
        "cd /opt/signed && git -c user.name=t -c user.email=t@example.org -c gpg.format=ssh"
        " -c user.signingKey=/opt/ann tag -f -s -m fine v2 v2^{}"
    )
    run = sources.deploy(blog=source("v2", keys["ann"]))
    assert run.status == 0, run.text
    assert sources.host.ask() == "200 nobody"
