"""What a visitor notices of deploys and rollbacks: `make bench-cutover`. See docs/benchmarks.md.

Boots a test host with one site, and keeps a steady load on it (tests/load.py) while releases change: by this collection
and, after that, the same site by `systemctl restart` and by HUP, as tutorials do it. Some of the releases are broken.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from cutover_figures import (
    BAD,
    GOALS,
    STARTING,
    STOPPED,
    Action,
    broken_figures,
    journal_windows,
    load_figures,
    observed_windows,
    outside_probe_and_drain,
    phase_medians,
    trace,
)
from cutover_report import RESULT, keep, write_report
from e2e.visitors import Load
from measure import BenchError, conclude, now, numbers, ratio, verdicts
from measure import machine as describe_machine
from noop import CONVERGE_SECONDS, NOOP_SECONDS, OURS, Host, ansible_version, build_environment, say

DEPLOY, ROLLBACK = "flaskworks.deploy.deploy", "flaskworks.deploy.rollback"
SITE, PEER = "blog.example.org", "peer.example.org"
# The slow requests keep 30 threads busy. One worker may accept nearly all of them, in particular when it is new, so
# each has enough for all: with 24 a site stalls for 0.2 s now and then, whoever deploys it.
WORKERS, THREADS = 2, 48
RATE, POST_SHARE = 200, 0.2
# After these of our deploys a broken release is tried; the numbers are for 20 of them.
BROKEN_AFTER = {5: "bad-import-1", 10: "bad-probe-1", 15: "bad-import-2", 20: "bad-probe-2"}
BROKEN_STEPS = {"bad-import": ("check",), "bad-probe": ("probe",)}
# The peers: how long until the next deploy, and until somebody notices that the site is broken.
PEER_PAUSE, PEER_NOTICES = 6.0, 5.0
RESTART, HUP = "systemctl restart peer", "systemctl kill --signal=HUP --kill-whom=main peer"
CALM = 1.0


def applications(import_seconds: float) -> dict[str, Any]:
    """The measured site, and one that is imported at once."""
    plain = {
        "source": {"git": "git://127.0.0.1/numbered", "version": "v0"},
        "wsgi": "numbered:app",
        "python": {"installer": "pip"},
        "server": {"type": "gunicorn", "worker_class": "gthread", "workers": WORKERS, "threads": THREADS},
        "health": {"path": "/health", "timeout": 15},
    }
    slow = {**plain, "domains": [SITE], "env": {"IMPORT_SECONDS": str(import_seconds)}}
    return {"blog": slow, "quick": {**plain, "domains": ["quick.example.org"]}}


class CutoverHost(Host):
    """The test host with our site and the peer's."""

    sample = "numbered"

    def deploy(self, app: str, version: str) -> float:
        """Wall time in seconds of a deploy. Raises BenchError when it fails."""
        words = ["--extra-vars", json.dumps({"app": app, "version": version})]
        return self.play(DEPLOY, NOOP_SECONDS, *words)[0]

    def rollback(self, app: str, release: str = "") -> float:
        words = ["--extra-vars", json.dumps({"app": app} | ({"release": release} if release else {}))]
        return self.play(ROLLBACK, NOOP_SECONDS, *words)[0]

    def live(self, app: str) -> str:
        return self.root(f"readlink /srv/{app}/current").strip().rpartition("/")[2]

    def history(self, app: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.root(f"cat /srv/{app}/releases.jsonl").splitlines()]

    def prepare(self, versions: list[str], import_seconds: float) -> None:
        """Bring both sites live, ours by site.yml."""
        (self.inventory / "apps.yml").write_text(
            json.dumps({"flask_hosts": {"vars": {"flask_apps": applications(import_seconds)}}}, indent=2)
        )
        known = {"bench_versions": versions, "bench_import_seconds": import_seconds}
        known |= {"bench_workers": WORKERS, "bench_threads": THREADS}
        self.play("bench/cutover.yml", CONVERGE_SECONDS, "--extra-vars", json.dumps(known))
        say(f"first run of {OURS}: {self.play(OURS, CONVERGE_SECONDS)[0]:.1f} s")


class Story:
    """What is done while the load runs: each action with its times."""

    def __init__(self) -> None:
        self.actions: list[Action] = []

    def act(self, kind: str, version: str, job: Callable[..., object], *words: str) -> None:
        begin = time.monotonic()
        job(*words)
        self.actions.append(Action(kind, version, begin, time.monotonic()))
        say(f"{kind} {version}: {self.actions[-1].end - begin:.1f} s")
        time.sleep(CALM)


def steady(host: CutoverHost, site: str, name: str) -> Load:
    return Load(host.root, site, name, rate=RATE, post_share=POST_SHARE)


def refused(host: CutoverHost, version: str) -> None:
    """A deploy of a broken release, which has to fail, and at the right step."""
    try:
        host.deploy("blog", version)
    except BenchError as error:
        last = host.history("blog")[-1]
        steps = BROKEN_STEPS[version.rpartition("-")[0]]
        if last.get("outcome") != "failed" or last.get("step") not in steps:
            raise BenchError(f"{version} failed, but not at {' or '.join(steps)}: {last}\n{error}") from error
        return
    raise BenchError(f"{version} went live")


def measure_ours(host: CutoverHost, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures and trace of so many deploys and as many rollbacks, half of them to a named release."""
    story = Story()
    before = len(host.history("blog"))
    with steady(host, SITE, "ours") as load:
        time.sleep(CALM)
        named = ""
        for number in range(1, count + 1):
            version = f"v{number}"
            story.act("deploy", version, host.deploy, "blog", version)
            rolled_back = host.live("blog")
            # In turn to the release before, and forward again to the one that was rolled back from then.
            story.act("rollback", named or "previous", host.rollback, "blog", named)
            named = "" if named else rolled_back
            if broken := BROKEN_AFTER.get(number):
                story.act("broken", broken, partial(refused, host, broken))
    done = host.history("blog")[before:]
    counts = {kind: sum(action.kind == kind for action in story.actions) for kind in ("deploy", "rollback", "broken")}
    went_live = sum(entry.get("outcome") == "live" for entry in done)
    if went_live != counts["deploy"] + counts["rollback"]:
        raise BenchError(f"{counts} were done, but {went_live} releases went live")
    words = f"MESSAGE_ID={STARTING} MESSAGE_ID={STOPPED}"
    journal = host.root(f"journalctl --sync; journalctl --quiet --output=json --output-fields=UNIT,MESSAGE_ID {words}")
    windows = journal_windows(journal, "blog@", story.actions)
    found = load_figures(load.records, windows)
    found |= {"deploys": counts["deploy"], "rollbacks": counts["rollback"]}
    broken_ones = [action for action in story.actions if action.kind == "broken"]
    found["broken"] = broken_figures(load.records, broken_ones, len(broken_ones))
    found["reasons"] = load.summary["reasons"]
    found["phases_s"] = {
        kind: phase_medians(entry for entry in done if (entry.get("action") == "rolled_back") == (kind == "rollback"))
        for kind in ("deploy", "rollback")
    }
    return found, trace(load.records, windows)


def peer_deploy(host: CutoverHost, version: str, command: str = RESTART) -> None:
    """What a tutorial says: take the new code, restart or reload."""
    git = "git -C /opt/peer/src -c safe.directory=/opt/peer/src"
    host.root(f"{git} checkout --quiet --force {version} && {command}")


def measure_peer(host: CutoverHost, name: str, command: str, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures and trace of so many good deploys, and what two broken ones cost after that."""
    peer_deploy(host, "v0")
    time.sleep(PEER_PAUSE)
    good, bad = Story(), Story()
    with steady(host, PEER, name) as load:
        time.sleep(CALM)
        for number in range(1, count + 1):
            version = f"v{number}"
            good.act(name, version, partial(peer_deploy, host, version, command))
            time.sleep(PEER_PAUSE - CALM)
        for broken in ("bad-import-1", "bad-probe-1"):
            bad.act(name, broken, partial(peer_deploy, host, broken, command))
            time.sleep(PEER_NOTICES - CALM)
            bad.act(name, "v0", partial(peer_deploy, host, "v0"))
            time.sleep(PEER_PAUSE)
    first = bad.actions[0].begin
    records = [record for record in load.records if record.mono < first]
    windows = observed_windows(records, good.actions)
    found = load_figures(records, windows) | {"deploys": count}
    costs = [Action(name, "", first, load.records[-1].end)]
    found["broken"] = broken_figures(load.records, costs, sum(action.version.startswith(BAD) for action in bad.actions))
    return found, trace(records, windows)


def measure_deploy(host: CutoverHost, rounds: int) -> dict[str, list[float]]:
    """Wall times in seconds, in turn: gathering all facts, a code-only deploy, and that without probe and drain."""
    seconds: dict[str, list[float]] = {"setup": [], "deploy": [], "deploy_rest": []}
    for number in range(1, rounds + 1):
        seconds["setup"].append(round(host.setup(), 3))
        seconds["deploy"].append(round(host.deploy("quick", f"v{number}"), 3))
        rest = outside_probe_and_drain(seconds["deploy"][-1], host.history("quick")[-1])
        seconds["deploy_rest"].append(rest)
        say(
            f"round {number} of {rounds}: "
            + ", ".join(f"{name} {values[-1]:.2f} s" for name, values in seconds.items())
        )
    return seconds


def benchmark(args: argparse.Namespace, host: CutoverHost) -> dict[str, Any]:
    """All figures, with the traces."""
    most = max(args.count, args.peers, args.rounds)
    good = [f"v{number}" for number in range(most + 1)]
    say(f"booting Debian {args.debian}")
    host.up()
    host.prepare([*good, *BROKEN_AFTER.values()], args.import_seconds)
    ours, ours_trace = measure_ours(host, args.count)
    restart, restart_trace = measure_peer(host, "restart", RESTART, args.peers)
    hup, dummy = measure_peer(host, "hup", HUP, args.peers)
    seconds = measure_deploy(host, args.rounds)
    top = {name: ours[name] for name in ("lost", "reached_bad", "p99_ratio", "slowest_s")}
    top["deploy_ratio"] = ratio(seconds["deploy_rest"], seconds["setup"])
    traces = {"ours": ours_trace, "restart": restart_trace}
    conditions = {"rate": RATE, "import_s": args.import_seconds, "workers": WORKERS, "threads": THREADS}
    return {
        **top,
        "peers": {"restart": restart, "hup": hup},
        "ours": ours,
        "seconds": seconds,
        "conditions": conditions,
        "trace": traces,
    }


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debian", choices=("12", "13"), default="13", help="of the test host (default: 13)")
    parser.add_argument(
        "--count", type=int, default=20, metavar="N", help="deploys, and as many rollbacks (default: 20)"
    )
    parser.add_argument("--peers", type=int, default=10, metavar="N", help="deploys of each peer (default: 10)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timed deploys without load (default: 5)")
    parser.add_argument("--import-seconds", type=float, default=1.0, metavar="S", help="of the site (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a few of each, nothing stored")
    parser.add_argument("--keep", action="store_true", help="leave the test host running")
    args = parser.parse_args(argv)
    if args.quick:
        args.count, args.peers, args.rounds = 5, 2, 1
    return args


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """Everything that the result file holds."""
    environment = build_environment()
    machine = describe_machine(ansible_version(environment))
    machine["host"] = f"Debian {args.debian} container with systemd, over SSH on the loopback"
    host = CutoverHost("bench-cutover", OURS, args.debian, environment)
    try:
        result = benchmark(args, host)
    finally:
        if not args.keep:
            host.down()
    traces = result.pop("trace")
    return {**result, "date": now(), "machine": machine, "trace": traces}


def told(result: dict[str, Any]) -> list[str]:
    lines = verdicts(numbers(result), GOALS)
    shown = ("requests", "lost", "p99_s", "p99_ratio", "slowest_s", "cutover_s", "lag_p99_s", "broken")
    for name, side in {"ours": result["ours"], **result["peers"]}.items():
        lines.append(f"{name}: " + json.dumps({key: side[key] for key in shown}))
    return lines


def main(argv: list[str]) -> int:
    args = parse(argv)
    return conclude(
        "cutover.py", lambda: measured(args), told, None if args.quick else partial(keep, RESULT, write_report)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
