"""Runs what proves the project, two jobs at a time: `python tests/run.py [--jobs N] [--keep] JOB...`; `--list` says
which scenarios there are.

A job is `lint`, `sanity`, `unit`, the name of a scenario, or `scenarios` for all of them. A scenario is a folder of
molecule/, or one of tests/e2e/ alone, whose tests boot their own hosts. A job's output goes to
.cache/logs/JOB.log; the end of it is shown when the job fails. A job that ran no test has failed. The last line sums
up: tests passed, tests failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / ".cache" / "logs"
TARGETS = ("lint", "sanity", "unit")
TAIL_LINES = 60


@dataclass(frozen=True)
class Outcome:
    """How a job ended. `passed` and `failed` count tests."""

    job: str
    passed: int
    failed: int
    seconds: float
    remark: str = ""


def scenarios() -> list[str]:
    """Names of all scenarios."""
    stories = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}
    return sorted(stories | {path.parent.name for path in (ROOT / "tests" / "e2e").glob("*/test_*.py")})


def has_playbooks(scenario: str) -> bool:
    """Whether molecule brings its hosts up."""
    return (ROOT / "molecule" / scenario / "molecule.yml").exists()


def count_tests(report: Path) -> tuple[int, int, int]:
    """Sums of passed, failed and skipped over the test sessions that wrote to a report."""
    lines = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    return (
        sum(line["passed"] for line in lines),
        sum(line["failed"] for line in lines),
        sum(line["skipped"] for line in lines),
    )


def judge(job: str, code: int, counts: tuple[int, int, int], seconds: float) -> Outcome:
    """The outcome of a job from its exit code and the tests it counted.

    `lint` and `sanity` count as one test each: they have no report.
    """
    passed, failed, skipped = counts
    if job in ("lint", "sanity"):
        return Outcome(job, int(code == 0), int(code != 0), seconds, f"exit code {code}" if code else "")
    if code:
        return Outcome(job, passed, max(failed, 1), seconds, f"exit code {code}")
    if failed:
        return Outcome(job, passed, failed, seconds, "exit code 0 in spite of failed tests")
    if not passed:
        return Outcome(job, 0, 1, seconds, "ran no test")
    return Outcome(job, passed, 0, seconds, f"{skipped} skipped" if skipped else "")


def command_of(job: str, keep: bool) -> list[str]:
    if job in TARGETS:
        return ["make", "--no-print-directory", job]
    if not has_playbooks(job):
        return ["pytest", "--durations=10", f"tests/e2e/{job}"]
    return ["molecule", "test", "-s", job, f"--destroy={'never' if keep else 'always'}"]


def environment(job: str, keep: bool) -> dict[str, str]:
    """The environment of a job: this interpreter's tools first, and molecule without borders, colours or old state.

    TEST_KEEP is for the scenarios that boot their own hosts (tests/e2e/machine.py).
    """
    tools = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "FLASKWORKS_REPORT": str(LOGS / f"{job}.jsonl"),
        "TEST_KEEP": "1" if keep else "",
        "ANSIBLE_HOME": str(ROOT / ".ansible"),
        "MOLECULE_COMMAND_BORDERS": "false",
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }


def clean(job: str, env: dict[str, str]) -> None:
    """Remove what an interrupted run of the scenario left: its hosts and molecule's memory of them."""
    name = job.replace("_", "-")
    prefix = f"test-{name}-debian" if has_playbooks(job) else name
    argv = [sys.executable, str(ROOT / "tests/hosts/hosts.py"), "clean", "--prefix", prefix]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if has_playbooks(job):
        reset = ["molecule", "reset", "-s", job]
        subprocess.run(reset, check=False, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)


def run_job(job: str, keep: bool) -> Outcome:
    env = environment(job, keep)
    report = Path(env["FLASKWORKS_REPORT"])
    report.unlink(missing_ok=True)
    started = time.monotonic()
    print(f"... {job}", flush=True)
    if job not in TARGETS and not keep:
        clean(job, env)
    with (LOGS / f"{job}.log").open("wb") as log:
        code = subprocess.run(
            command_of(job, keep), check=False, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ).returncode
    return judge(job, code, count_tests(report), time.monotonic() - started)


def show(outcome: Outcome) -> None:
    word = "FAIL" if outcome.failed else "ok  "
    remark = f" ({outcome.remark})" if outcome.remark else ""
    print(f"{word} {outcome.job}: {outcome.passed} passed in {outcome.seconds:.0f} s{remark}", flush=True)
    if outcome.failed:
        log = LOGS / f"{outcome.job}.log"
        lines = log.read_text(errors="replace").splitlines()
        print("\n".join([f"----- end of {log.relative_to(ROOT)}", *lines[-TAIL_LINES:], "-----"]), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="JOB")
    parser.add_argument("--list", action="store_true", help="print the names of the scenarios")
    parser.add_argument("--jobs", dest="workers", type=int, default=2, metavar="N", help="jobs at a time (default 2)")
    parser.add_argument(
        "--keep",
        action="store_true",
        default=bool(os.environ.get("TEST_KEEP")),
        help="leave the hosts of the scenarios up, and use those again that an earlier run left",
    )
    parser.add_argument(
        "--step", metavar="STEP", help="only this step of molecule, of one scenario: converge, verify..."
    )
    args = parser.parse_args()
    known = scenarios()
    if args.list:
        print("\n".join(known))
        return 0
    if not args.jobs:
        parser.error("no job given")
    jobs = list(dict.fromkeys(name for job in args.jobs for name in (known if job == "scenarios" else [job])))
    unknown = [job for job in jobs if job not in (*TARGETS, *known)]
    if unknown:
        parser.error(f"no such job: {', '.join(unknown)}; there are {', '.join((*TARGETS, *known))}")
    if args.step and (without := [job for job in jobs if not has_playbooks(job)]):
        parser.error(f"{', '.join(without)} has no steps: molecule has none of its playbooks")
    if args.step and len(jobs) > 1:
        parser.error("--step is for one scenario")
    LOGS.mkdir(parents=True, exist_ok=True)
    if args.step:
        os.chdir(ROOT)
        os.execvpe("molecule", ["molecule", args.step, "-s", jobs[0]], environment(jobs[0], args.keep))
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(max_workers=args.workers) as pool:
        for future in as_completed([pool.submit(run_job, job, args.keep) for job in jobs]):
            outcomes.append(future.result())
            show(outcomes[-1])
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"{sum(outcome.passed for outcome in outcomes)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
