"""How many workers: what gunicorn works out is what the status says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
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
        (
            *("auto", "sync", Machine(8, 8 * GIB, 1, 300 * 2**20), {"cpu": "150%", "memory": "512M"}, 2),
            "auto: 2 x 1 processor (limit of its control group) + 1;"
            " memory (limit of its control group) is enough for 2; at most 12",
        ),
        (
            *("auto", "sync", Machine(8, 4 * GIB + PAGE, 2, GIB), {"cpu": "150%", "memory": "25%"}, 5),
            "auto: 2 x 2 processors (limits.cpu: 150%) + 1; memory (limits.memory: 25%) is enough for 8; at most 12",
        ),
        ("cpu", "sync", Machine(64, GIB, 3), {}, 3, "cpu: one for each of 3 processors (limit of its control group)"),
        ("cpu", "sync", Machine(64, GIB), {}, 64, "cpu: one for each of 64 processors"),
        ("cpu", "sync", Machine(4, GIB), {"cpu": "50%"}, 1, "cpu: one for each of 1 processor (limits.cpu: 50%)"),
    ],
)
def test_the_rule(
    workers: Any, worker_class: str, machine: Machine, limits: dict[str, str], number: int, reason: str
) -> None:
    assert worker_count(workers, worker_class, machine, **limits) == (number, reason)


def write_groups(root: Path, groups: Sequence[tuple[str, str]], pid: int | str, mark: str = "0::") -> None:
    """Write nested control groups, the outermost first, each with its cpu.max and memory.max; empty for no file."""
    directory = root / "sys/fs/cgroup"
    for number, words in enumerate(groups):
        directory = directory / f"group{number}" if number else directory
        directory.mkdir(parents=True)
        for name, text in zip(("cpu.max", "memory.max"), words, strict=True):
            if text:
                (directory / name).write_text(f"{text}\n")
    (root / f"proc/{pid}").mkdir(parents=True)
    path = "/" + "/".join(f"group{number}" for number in range(1, len(groups)))
    (root / f"proc/{pid}/cgroup").write_text(f"4:memory:/elsewhere\n{mark}{path}\n")


def counted(text: str, root: Path, processors: int, pages: int) -> int:
    """Return the workers of a gunicorn.conf.py on a host with files below root."""
    sizes = {"SC_PHYS_PAGES": pages, "SC_PAGE_SIZE": PAGE}
    host = SimpleNamespace(sched_getaffinity=lambda dummy: range(processors), sysconf=sizes.get)
    made: dict[str, Any] = {"os": host, "open": lambda path: (root / path.lstrip("/")).open()}
    exec(text.replace("import os\n", ""), made)
    return int(made["workers"])


quotas = st.sampled_from(["", "max 100000", "50000 100000", "150000 100000", "1000000 50000"])
memories = st.sampled_from(["", "max"]) | st.integers(2**20, 2**40).map(str)


@given(
    workers=st.sampled_from(["auto", "cpu"]),
    worker_class=st.sampled_from(WORKER_CLASSES),
    processors=st.integers(1, 300),
    pages=st.integers(1, 2**30),
    cpu=st.just("") | percents,
    memory=st.just("") | amounts | percents.filter(lambda text: float(text[:-1]) <= 100),
    groups=st.lists(st.tuples(quotas, memories), max_size=3),
)
def test_gunicorn_starts_as_many_as_the_status_says(
    workers: str, worker_class: str, processors: int, pages: int, cpu: str, memory: str, groups: list[tuple[str, str]]
) -> None:
    settings = {"wsgi_app": "site:app", "workers": workers, "worker_class": worker_class}
    text = render_config(settings, access_log="none", limits={"cpu": cpu, "memory": memory})
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        write_groups(root, groups, "self")
        (root / "proc/7").symlink_to("self")
        found = this_machine(7, directory)
        number = counted(text, root, processors, pages)
    machine = replace(found, processors=processors, memory=pages * PAGE)
    assert number == worker_count(workers, worker_class, machine, cpu, memory)[0]
    assert number >= 1


@pytest.mark.parametrize(
    ("groups", "processors", "memory"),
    [
        ([], None, None),
        ([("", ""), ("max 100000", "max")], None, None),
        ([("", ""), ("", ""), ("50000 100000", "209715200")], 1, 200 * 2**20),
        ([("", ""), ("150000 100000", "1048576"), ("400000 100000", "2097152")], 2, 2**20),
        # In a container the root is a group with limits, too.
        ([("300000 100000", "4096")], 3, 4096),
    ],
)
def test_the_least_limit_of_the_control_groups_counts(
    groups: list[tuple[str, str]], processors: int | None, memory: int | None, tmp_path: Path
) -> None:
    write_groups(tmp_path, groups, 7)
    found = this_machine(7, str(tmp_path))
    assert (found.group_processors, found.group_memory) == (processors, memory)


@pytest.mark.parametrize("mark", ["0::", "1:name=systemd:"])
def test_gunicorn_follows_the_control_groups_it_sees(mark: str, tmp_path: Path) -> None:
    text = render_config({"wsgi_app": "site:app", "workers": "auto"}, access_log="none")
    assert counted(text, tmp_path / "nothing", 4, 2**22) == 9
    write_groups(tmp_path, [("", ""), ("50000 100000", "300000000")], "self", mark)
    assert counted(text, tmp_path, 4, 2**22) == (2 if mark == "0::" else 9)


def test_this_machine_is_one() -> None:
    machine = this_machine()
    assert machine.processors >= 1
    assert machine.memory > 64 * 2**20
    assert this_machine(2**22 + 1).processors == machine.processors  # a process that does not exist
