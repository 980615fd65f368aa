"""The arithmetic of the benchmarks, and that they refuse a measurement that is worth nothing."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

BENCH = Path(__file__).resolve().parents[2] / "bench"


def load(name: str) -> ModuleType:
    """A module of bench/, which is a folder of scripts and no package."""
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


measure = load("measure")
reference = load("reference")
noop = load("noop")

RECAP = (
    "PLAY RECAP ****\nvps : ok=9  changed={changed}  unreachable=0  failed={failed}  skipped=2  rescued=0  ignored=0\n"
)


def test_an_unchanged_run_is_accepted() -> None:
    measure.check_unchanged(RECAP.format(changed=0, failed=0))


@pytest.mark.parametrize(
    "output",
    [
        RECAP.format(changed=1, failed=0),
        RECAP.format(changed=0, failed=1),
        RECAP.format(changed=0, failed=0) + "other : ok=1 changed=2 unreachable=0 failed=0\n",
        "vps : ok=0    changed=0    unreachable=0    failed=0\n",
        "PLAY RECAP ****\n",
    ],
    ids=["changed", "failed", "second host changed", "did nothing", "no host"],
)
def test_a_run_that_proves_nothing_is_refused(output: str) -> None:
    with pytest.raises(measure.BenchError):
        measure.check_unchanged(output)


def test_figures_are_ratios_of_medians_and_plain_counts() -> None:
    seconds = {
        "setup": [1.0, 1.0, 9.0],
        "ours_1": [2.0, 2.5, 60.0],
        "builtin_1": [10.0, 10.0, 0.1],
        "ours_10": [4.0],
        "builtin_10": [50.0],
    }
    assert measure.figures({"ours_1": 8, "ours_10": 9, "builtin_1": 40}, seconds) == {
        "roundtrips_1": 8,
        "roundtrips_10": 9,
        "ratio_setup": 2.5,
        "ratio_builtin_1": 4.0,
        "ratio_builtin_10": 12.5,
    }


def test_figures_leave_out_what_was_not_measured() -> None:
    assert measure.figures({"ours_1": 8}, {"ours_1": [2.0]}) == {"roundtrips_1": 8}


def test_each_goal_says_whether_it_is_met() -> None:
    found = {"roundtrips_1": 10, "roundtrips_10": 13, "ratio_setup": 3.01, "ratio_builtin_1": 3.0}
    lines = measure.verdicts(found)
    assert [("NOT MET" in line, "not measured" in line) for line in lines] == [
        (False, False),
        (True, False),
        (True, False),
        (False, False),
        (False, True),
    ]


def test_applications_are_distinct() -> None:
    apps = measure.applications(10)
    assert len(apps) == 10
    assert len({app["domains"][0] for app in apps.values()}) == 10
    assert len({app["secrets"]["SECRET_KEY"] for app in apps.values()}) == 10


def test_the_machine_is_described_without_its_name() -> None:
    import socket

    described = measure.machine("2.19.0")
    assert described["cores"] >= 1
    assert described["kernel"]
    assert described["debian"]
    assert socket.gethostname() not in json.dumps(described)


def test_jobs_take_turns() -> None:
    order: list[str] = []

    def job(name: str) -> float:
        order.append(name)
        return 1.0

    seconds = noop.interleave(2, {"a": lambda: job("a"), "b": lambda: job("b")})
    assert order == ["a", "b", "a", "b"]
    assert seconds == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


def test_the_callers_ansible_settings_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_PIPELINING", "false")
    environment = noop.ansible_environment(Path("/x"))
    assert "ANSIBLE_PIPELINING" not in environment
    assert environment["ANSIBLE_COLLECTIONS_PATH"].endswith(":/x")


def test_a_failing_command_is_told_with_its_output() -> None:
    with pytest.raises(noop.BenchError, match="no luck"):
        noop.run([sys.executable, "-c", "print('no luck'); raise SystemExit(3)"], {}, 60)


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(noop.BenchError, match="longer than"):
        noop.run([sys.executable, "-c", "import time; time.sleep(60)"], {}, 0.2)


def test_only_the_needed_collection_is_unpacked(tmp_path: Path) -> None:
    wheel = tmp_path / "ansible-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ansible_collections/community/general/plugins/modules/ufw.py", "x")
        archive.writestr("ansible_collections/other/thing/README.md", "x")
    reference.unpack(wheel, tmp_path / "out")
    assert [str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()] == [
        "ansible_collections/community/general/plugins/modules/ufw.py"
    ]


def test_a_wheel_without_the_collection_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "ansible-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ansible_collections/other/thing/README.md", "x")
    with pytest.raises(reference.BenchError):
        reference.unpack(wheel, tmp_path / "out")


def test_the_reference_loops_over_the_same_applications() -> None:
    (play,) = yaml.safe_load((BENCH / "builtin" / "site.yml").read_text())
    assert play["vars"]["apps"] == "{{ flask_apps | dict2items }}"
    looped = [task for task in play["tasks"] if "loop" in task]
    assert {task["loop"] for task in looped} == {"{{ apps }}"}
    used = {template.name for template in (BENCH / "builtin" / "templates").iterdir()}
    assert used == {
        task["ansible.builtin.template"]["src"] for task in play["tasks"] if "ansible.builtin.template" in task
    }
