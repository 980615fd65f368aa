"""What dpkg says of installed packages."""

from __future__ import annotations

from ansible_collections.flaskworks.deploy.plugins.modules.debian_info import installed


def test_only_packages_that_are_installed_count() -> None:
    listing = "ii  git\nrc  nginx\nun  squid\nii  libc6\niU  half\n"
    assert installed(listing) == {"git", "libc6"}
