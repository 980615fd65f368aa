"""What the benchmarks compute: the sample inventory, the reading of Ansible's output, medians, ratios and goals."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BenchError(Exception):
    """A measurement that would not be worth its number; the message says why."""


@dataclass(frozen=True)
class Goal:
    """A figure, and the limit that it shall keep: `<=` for a cost, `>=` for a gain."""

    figure: str
    relation: str
    limit: float
    meaning: str

    def met(self, value: float) -> bool:
        return value <= self.limit if self.relation == "<=" else value >= self.limit


GOALS = (
    Goal("roundtrips_1", "<=", 10, "executions on the host, no-change site.yml, 1 app"),
    Goal("roundtrips_10", "<=", 12, "executions on the host, no-change site.yml, 10 apps"),
    Goal("ratio_setup", "<=", 3.0, "no-change site.yml with 1 app / `ansible -m setup`"),
    Goal("ratio_builtin_1", ">=", 3.0, "reference playbook / site.yml, no change, 1 app"),
    Goal("ratio_builtin_10", ">=", 8.0, "reference playbook / site.yml, no change, 10 apps"),
)

UNWANTED = ("changed", "unreachable", "failed", "rescued", "ignored")
RECAP = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+.*)$", re.MULTILINE)


def applications(count: int) -> dict[str, dict[str, Any]]:
    """`flask_apps` with so many tiny sites, which both playbooks deploy: each has its own user, domain and secret."""
    return {name: application(name) for name in (f"bench{number:02d}" for number in range(1, count + 1))}


def application(name: str) -> dict[str, Any]:
    return {
        "source": {"git": "git://127.0.0.1/hello", "version": "main"},
        "wsgi": "hello:app",
        "domains": [f"{name}.example.org"],
        "python": {"installer": "pip"},
        "server": {"type": "gunicorn", "worker_class": "gthread", "workers": 1, "threads": 2},
        "shared": ["media"],
        "static": {"/media/": "shared:media/"},
        "env": {"GREETING": f"Hello from {name}"},
        "secrets": {"SECRET_KEY": f"not-a-secret-of-{name}"},
        "health": {"path": "/health"},
    }


def check_unchanged(output: str) -> None:
    """Raises BenchError unless the play recap shows at least one host and none of UNWANTED."""
    recap = [(match["host"], counts(match["counts"])) for match in RECAP.finditer(output)]
    if not recap:
        raise BenchError("there is no play recap in the output")
    for host, found in recap:
        wrong = {key: found[key] for key in UNWANTED if found.get(key)}
        if wrong:
            raise BenchError(f"a run that should change nothing on {host} reports {wrong}")
        if not found.get("ok"):
            raise BenchError(f"the run did nothing on {host}")


def counts(text: str) -> dict[str, int]:
    """`ok=3 changed=0 ...` as a dict."""
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", text)}


def figures(executions: Mapping[str, int], seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The five figures of GOALS from counts and raw wall times, as far as they were measured.

    `executions` has keys like `ours_1`; `seconds` has `setup` and keys like `ours_1` and `builtin_10`.
    """
    own = {key.removeprefix("ours_"): value for key, value in executions.items() if key.startswith("ours_")}
    found: dict[str, float] = {f"roundtrips_{count}": value for count, value in own.items()}
    if seconds.get("setup") and seconds.get("ours_1"):
        found["ratio_setup"] = ratio(seconds["ours_1"], seconds["setup"])
    for key, values in seconds.items():
        ours = seconds.get(f"ours_{key.removeprefix('builtin_')}")
        if key.startswith("builtin_") and values and ours:
            found[f"ratio_{key}"] = ratio(values, ours)
    return found


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The ratio of the medians."""
    return round(statistics.median(numerator) / statistics.median(denominator), 2)


def verdicts(found: Mapping[str, float], goals: Sequence[Goal] = GOALS) -> list[str]:
    """One line for each goal."""
    lines = []
    for goal in goals:
        if goal.figure in found:
            value = found[goal.figure]
            word = "met" if goal.met(value) else "NOT MET"
            goal_text = f"goal {goal.relation} {goal.limit:g}"
            lines.append(f"{goal.figure:<17}{value:>7g}   {goal_text:<10} {word:<8} {goal.meaning}")
        else:
            lines.append(f"{goal.figure:<17}{'-':>7}   {'not measured':<19} {goal.meaning}")
    return lines


def machine(ansible_version: str) -> dict[str, Any]:
    """What a reader needs to judge the times. Nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "cpu": first_match(r"^model name\s*: (.+)$", Path("/proc/cpuinfo")),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "debian": first_match(r'^PRETTY_NAME="?([^"\n]+)', Path("/etc/os-release")),
        "python": platform.python_version(),
        "ansible_core": ansible_version,
        "load_before": round(os.getloadavg()[0], 2),
    }


def first_match(pattern: str, path: Path) -> str:
    """The first group of the first match in a file, or an empty string."""
    match = re.search(pattern, path.read_text(errors="replace"), re.MULTILINE)
    return match[1].strip() if match else ""


def conclude(
    name: str,
    measured: Callable[[], dict[str, Any]],
    told: Callable[[dict[str, Any]], Sequence[str]],
    store: Callable[[dict[str, Any]], Path] | None,
) -> int:
    """Measure, print what is to be told of the result, and store it unless `store` is None. Returns the exit status."""
    try:
        result = measured()
    except (BenchError, AssertionError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    print("\n".join(told(result)))
    if store:
        print(f"stored in {store(result).name}")
    return 0


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a result, without what describes them."""
    return {key: value for key, value in result.items() if isinstance(value, int | float)}


def now() -> str:
    """The date of a result."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def report_again(result: Path, command: str, write: Callable[[Mapping[str, Any]], Sequence[Path]]) -> int:
    """Write the documents of a stored result again. Returns the exit status."""
    if not result.exists():
        print(f"there is no result yet: make {command}", file=sys.stderr)
        return 1
    print("wrote " + " and ".join(path.name for path in write(json.loads(result.read_text()))))
    return 0
