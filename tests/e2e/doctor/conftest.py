"""A host as it is before anything is deployed, and as it should be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.doctor.host import RECORDS, DoctorHost
from e2e.machine import booted, debians, folder_of


@pytest.fixture(scope="session", params=debians())
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoctorHost]:
    """A host on which nothing is installed yet."""
    name = f"doctor{request.param}"
    with booted(DoctorHost, name, request.param, folder_of(name, tmp_path_factory), publish=[80]) as machine:
        machine.claim()
        machine.serve_names()
        yield machine


@pytest.fixture(scope="session")
def healthy(bare: DoctorHost) -> DoctorHost:
    """The site is live, and the host is as it should be."""
    done = bare.play("site.yml", *bare.said)
    assert done.status == 0, done.text[-3000:]
    bare.root(
        "apt-get -q -y install unattended-upgrades >/dev/null"
        " && systemctl -q unmask apt-daily.timer apt-daily-upgrade.timer"
        " && mkdir -p /var/log/journal"
        f' && echo "blog.test $(hostname -I | cut -d" " -f1)" >{RECORDS}'
    )
    return bare
