"""The directories of an application."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_application
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_data_that_a_removal_left_are_closed_until_they_are_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "blog"
    (base / "shared" / "uploads").mkdir(parents=True)
    for path in (base / "shared", base / "shared" / "uploads"):
        os.chown(path, 61234, 61234)
    base.chmod(0o700)
    seen: list[int] = []
    adopt = release_application.adopt_data

    def adopting(shared: str, account: pwd.struct_passwd) -> None:
        seen.append(base.stat().st_mode & 0o777)
        adopt(shared, account)

    monkeypatch.setattr(release_application, "adopt_data", adopting)
    release_application.ensure_base(Layout("blog", str(base)), {}, pwd.getpwnam("nobody"))
    assert seen == [0o700]
    assert base.stat().st_mode & 0o777 == 0o711
    assert (base / "shared" / "uploads").stat().st_uid == pwd.getpwnam("nobody").pw_uid
