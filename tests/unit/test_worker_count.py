"""How many workers: what gunicorn works out is what the status says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_config import render_config
from ansible_collections.flaskworks.deploy.plugins.module_utils.gunicorn_settings import WORKER_CLASSES
from ansible_collections.flaskworks.deploy.plugins.module_utils.worker_count import Machine, this_machine, worker_count
from hypothesis import given
from hypothesis import strategies as st

GIB = 2**30
PAGE = 4096

percents = st.integers(1, 800).map(lambda number: f"{number}%") | st.sampled_from(["12.5%", "150.5%"])
amounts = st.builds("{}{}".format, st.integers(1, 4000), st.sampled_from(["M", "G"]))


@pytest.mark.parametrize(
    ("workers", "worker_class", "machine", "limits", "number", "reason"),
    [
        (3, "sync", Machine(2, 8 * GIB), {}, 3, "as the inventory says"),
        (
            *("auto", "gthread", Machine(2, 8 * GIB), {}, 5),
            "auto: 2 x 2 processors + 1; memory is enough for 64; at most 12",
        ),
        (
            *("auto", "gevent", Machine(1, 8 * GIB), {}, 1),
            "auto: one for each of 1 processor; memory is enough for 64; at most 12",
        ),
        (
            *("auto", "sync", Machine(64, 512 * GIB), {}, 12),
            "auto: 2 x 64 processors + 1; memory is enough for 4096; at most 12",
        ),
        (
            *("auto", "sync", Machine(8, 8 * GIB), {"cpu": "150%", "memory": "512M"}, 4),
            "auto: 2 x 2 processors (limits.cpu: 150%) + 1; memory (limits.memory: 512M) is enough for 4; at most 12",
        ),
        (
            *("auto", "sync", Machine(8, 4 * GIB), {"memory": "25%"}, 8),
            "auto: 2 x 8 processors + 1; memory (limits.memory: 25%) is enough for 8; at most 12",
        ),
        (
            *("auto", "sync", Machine(8, 8 * GIB), {"memory": "64M"}, 1),
            "auto: 2 x 8 processors + 1; memory (limits.memory: 64M) is enough for 0; at most 12",
        ),
        ("cpu", "sync", Machine(64, GIB), {}, 64, "cpu: one for each of 64 processors"),
        ("cpu", "sync", Machine(4, GIB), {"cpu": "50%"}, 1, "cpu: one for each of 1 processor (limits.cpu: 50%)"),
    ],
)
def test_the_rule(
    workers: Any, worker_class: str, machine: Machine, limits: dict[str, str], number: int, reason: str
) -> None:
    assert worker_count(workers, worker_class, machine, **limits) == (number, reason)


@given(
    workers=st.sampled_from(["auto", "cpu"]),
    worker_class=st.sampled_from(WORKER_CLASSES),
    processors=st.integers(1, 300),
    pages=st.integers(1, 2**30),
    cpu=st.just("") | percents,
    memory=st.just("") | amounts | percents.filter(lambda text: float(text[:-1]) <= 100),
)
def test_gunicorn_starts_as_many_as_the_status_says(
    workers: str, worker_class: str, processors: int, pages: int, cpu: str, memory: str
) -> None:
    settings = {"wsgi_app": "site:app", "workers": workers, "worker_class": worker_class}
    text = render_config(settings, access_log="none", limits={"cpu": cpu, "memory": memory})
    sizes = {"SC_PHYS_PAGES": pages, "SC_PAGE_SIZE": PAGE}
    host = SimpleNamespace(sched_getaffinity=lambda dummy: range(processors), sysconf=sizes.get)
    made: dict[str, Any] = {"os": host}
    exec(text.replace("import os\n", ""), made)
    assert made["workers"] == worker_count(workers, worker_class, Machine(processors, pages * PAGE), cpu, memory)[0]
    assert made["workers"] >= 1


def test_this_machine_is_one() -> None:
    machine = this_machine()
    assert machine.processors >= 1
    assert machine.memory > 64 * 2**20
    assert this_machine(2**22 + 1).processors == machine.processors  # a process that does not exist
