"""Servers side by side, alone and behind nginx: `make bench-serve`. See docs/benchmarks.md.

Boots a test host, deploys one small site five times with site.yml, each with another server, and measures on the host
itself (serve_host.py): a page that computes, one that waits, a style sheet, and what normal clients meet beside slow
ones.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from cutover_report import keep
from measure import BenchError, conclude, now, numbers, verdicts
from measure import machine as describe_machine
from noop import CONVERGE_SECONDS, OURS, Host, ansible_version, build_environment, say
from serve_figures import GOALS, PAGES, WAYS, busy_cores, figures, row_figures
from serve_host import Job
from serve_report import RESULT, write_report

# Name of the site -> what it is called, and its `server`. All else is the same, and as it comes.
SERVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "development": ("development server", {"type": "flask"}),
    "gevent-alone": ("gevent", {"type": "gevent"}),
    "gunicorn-sync": ("gunicorn sync", {"type": "gunicorn", "worker_class": "sync"}),
    "gunicorn-gthread": ("gunicorn gthread", {"type": "gunicorn", "worker_class": "gthread"}),
    "gunicorn-gevent": ("gunicorn gevent", {"type": "gunicorn", "worker_class": "gevent"}),
}
PROCESSORS = Path("/proc/stat")
PROGRAMS = "/var/lib/bench/programs"
# Ports of the first site: behind nginx, and of its server alone.
NGINX_PORT, ALONE_PORT = 8101, 8201
# What wrk keeps open. Pages that wait need many: 64 that wait 100 ms make 640 requests a second at most.
CONNECTIONS = {"cpu": 16, "io": 64, "static": 64}
RATE, SLOW_CLIENTS, PATIENCE = 200, 300, 5.0


def applications() -> dict[str, Any]:
    """The same site for each server, on a port of its own."""
    return {
        name: {
            "source": {"git": "git://127.0.0.1/served", "version": "main"},
            "wsgi": "served:app",
            "python": {"installer": "pip"},
            "server": server,
            "static": {"/static/": "src:static/"},
            "nginx": {"listen": [NGINX_PORT + number]},
        }
        for number, (name, (dummy, server)) in enumerate(SERVERS.items())
    }


class ServeHost(Host):
    """The test host with a site for each server."""

    sample = "served"

    def prepare(self) -> None:
        """Bring the sites live by site.yml, and lay down what measures."""
        # The firewall follows every connection; there are more of them here than it keeps in mind.
        known = {"flask_apps": applications(), "flask_apps_firewall": False, "allow_dev_server": True}
        (self.inventory / "apps.yml").write_text(json.dumps({"flask_hosts": {"vars": known}}, indent=2))
        self.root(f"mkdir -p {PROGRAMS}")
        say(f"first run of {OURS}: {self.play(OURS, CONVERGE_SECONDS)[0]:.1f} s")
        self.play("bench/serve.yml", CONVERGE_SECONDS, "--extra-vars", json.dumps({"bench_programs": PROGRAMS}))

    def program(self, step: str, job: Job) -> list[dict[str, Any]]:
        """What a step of serve_host.py wrote."""
        words = ["python3", f"{PROGRAMS}/serve_host.py", step, json.dumps(asdict(job))]
        return [json.loads(line) for line in self.root(shlex.join(words)).splitlines()]


def shown(cell: dict[str, Any]) -> str:
    """A cell in few words."""
    where = f"{cell['server']} {cell['way']}"
    if cell["kind"] == "slow":
        return f"{where} {cell['without']['p99_ms']:g} -> {cell['with']['p99_ms']:g} ms"
    return f"{where} {cell['requests_s']:g}/s"


def others_busy() -> float:
    """How many cores are kept busy while nothing is measured."""
    before = PROCESSORS.read_text()
    time.sleep(2)
    return busy_cores(before, PROCESSORS.read_text())


def benchmark(args: argparse.Namespace, host: ServeHost) -> tuple[list[dict[str, Any]], list[float]]:
    """The rows of all servers, and how many cores were busy with other things before each round.

    In each round every server has its turn with a page before the next page comes.
    """
    say(f"booting Debian {args.debian}")
    host.up()
    host.prepare()
    ports = {name: {"alone": ALONE_PORT + number, "nginx": NGINX_PORT + number} for number, name in enumerate(SERVERS)}
    job = Job(ports, args.seconds, CONNECTIONS, RATE, SLOW_CLIENTS, PATIENCE)
    described = host.program("prepare", job)
    cells: list[dict[str, Any]] = []
    busy = []
    for number in range(1, args.rounds + 1):
        busy.append(others_busy())
        for kind in (*PAGES, "slow"):
            found = host.program("measure", replace(job, kind=kind))
            cells += found
            say(f"round {number} of {args.rounds}, {kind}: " + ", ".join(shown(cell) for cell in found))
    if len(cells) != args.rounds * (len(PAGES) + 1) * len(WAYS) * len(SERVERS):
        raise BenchError(f"only {len(cells)} cells were measured")
    named = [{"title": SERVERS[found["server"]][0], **SERVERS[found["server"]][1], **found} for found in described]
    return [row_figures(server, cells) for server in named], busy


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debian", choices=("12", "13"), default="13", help="of the test host (default: 13)")
    parser.add_argument("--seconds", type=int, default=2, metavar="S", help="of one measurement (default: 2)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of all measurements (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one round of one second, nothing stored")
    parser.add_argument("--keep", action="store_true", help="leave the test host running")
    args = parser.parse_args(argv)
    if args.quick:
        args.seconds, args.rounds = 1, 1
    return args


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """Everything that the result file holds."""
    environment = build_environment()
    machine = describe_machine(ansible_version(environment))
    machine["host"] = f"Debian {args.debian} container with systemd; wrk runs on it as well, over the loopback"
    host = ServeHost("bench-serve", OURS, args.debian, environment)
    try:
        rows, busy = benchmark(args, host)
        versions = host.root("dpkg-query -W -f '${Package} ${Version}\\n' nginx wrk python3").splitlines()
    finally:
        if not args.keep:
            host.down()
    machine["busy_cores_before_rounds"] = busy
    machine["packages"] = dict(line.split() for line in versions)
    conditions = {
        "seconds": args.seconds,
        "rounds": args.rounds,
        "connections": CONNECTIONS,
        "rate": RATE,
        "slow_clients": SLOW_CLIENTS,
        "patience_s": PATIENCE,
    }
    return {**figures(rows), "date": now(), "machine": machine, "conditions": conditions, "rows": rows}


def told(result: dict[str, Any]) -> list[str]:
    return [*verdicts(numbers(result), GOALS), f"noise between rounds: {result['noise']:.1%}"]


def main(argv: list[str]) -> int:
    args = parse(argv)
    return conclude(
        "serve.py", lambda: measured(args), told, None if args.quick else partial(keep, RESULT, write_report)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
