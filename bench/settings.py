"""What the settings of the shipped ansible.cfg are worth: `.venv/bin/python bench/settings.py`. See docs/benchmarks.md.

Measures site.yml with one application, when there is nothing to do, as shipped and with one setting at a time put back
to what Ansible does by itself. All kinds of run take turns.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from measure import BenchError, check_unchanged, machine
from noop import NOOP_SECONDS, OURS, ROOT, Host, ansible_version, build_environment, interleave

RESULT = ROOT / "bench" / "results" / "settings.json"
# The words and the environment that undo one setting.
VARIANTS: dict[str, tuple[list[str], dict[str, str]]] = {
    "as shipped": ([], {}),
    "without pipelining": ([], {"ANSIBLE_PIPELINING": "false"}),
    "interpreter searched for": (["--extra-vars", "ansible_python_interpreter=auto"], {}),
    "no shared connection": ([], {"ANSIBLE_SSH_ARGS": "-o ControlMaster=no -o ControlPath=none"}),
    "facts injected as variables": ([], {"ANSIBLE_INJECT_FACT_VARS": "true"}),
}
FACTS = ("!all,!min,distribution", "all")


def timed(host: Host, name: str) -> float:
    """Wall time in seconds of a run that changes nothing with one setting undone."""
    words, environment = VARIANTS[name]
    seconds, output = host.play(host.playbook, NOOP_SECONDS, *words, **environment)
    check_unchanged(output)
    return seconds


def measure(debian: str, rounds: int) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The machine, and the wall times in seconds of every kind of run."""
    environment = build_environment()
    described = machine(ansible_version(environment))
    host = Host("bench-settings", OURS, debian, environment)
    try:
        host.up()
        host.converge(1)
        jobs: dict[str, Callable[[], float]] = {name: partial(timed, host, name) for name in VARIANTS}
        jobs |= {f"facts {subset}": partial(host.setup, subset) for subset in FACTS}
        return described, interleave(rounds, jobs)
    finally:
        host.down()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debian", choices=("12", "13"), default="13", help="of the test host (default: 13)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs of each kind (default: 5)")
    args = parser.parse_args(argv)
    try:
        described, seconds = measure(args.debian, args.rounds)
    except BenchError as error:
        print(f"settings.py: {error}", file=sys.stderr)
        return 1
    for name, values in seconds.items():
        print(f"{name:<32}{statistics.median(values):6.2f} s")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"date": now, "machine": described, "seconds": seconds}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
