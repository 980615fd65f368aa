"""The part of `make bench-serve` that runs on the test host, as root: `python3 serve_host.py prepare|measure JOB`.

JOB is JSON, see Job. `prepare` starts each site's server a second time, on a TCP port of its own and with nothing in
front of it, checks that both ways lead where they should, and warms them up. `measure` writes one line of JSON for each
cell. Needs wrk, and load.py, slow_clients.py and wrk.lua beside it; beyond that nothing but the standard library.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load import Record, percentile, read_records

HERE = Path(__file__).resolve().parent
SYSTEM, RUNTIME = Path("/etc/systemd/system"), Path("/run/systemd/system")
PAGES = {"cpu": "/cpu", "io": "/io", "static": "/static/site.css"}
# The site puts this on all that Python answers.
MARK = "X-Served-By"
WARM_UP_SECONDS = 1
# After the slow clients came, for what attaching them costs: nginx fetches their pages.
ATTACHED_SECONDS = 2.0
# Of a server to be as it was, once the slow clients are gone.
RECOVERY_SECONDS = 90.0
# wrk leaves slower answers out of its percentiles.
WRK_TIMEOUT = "30s"


class HostError(Exception):
    """A measurement that would not be worth its number; the message says why."""


@dataclass(frozen=True)
class Job:
    """What is measured: the ports of each server by way, and for how long.

    `connections` is what wrk keeps open for each kind of page; `rate` the requests a second of normal clients beside
    the `slow_clients`, and `patience` the seconds after which a normal client gives up.
    """

    ports: dict[str, dict[str, int]]
    seconds: int
    connections: dict[str, int]
    rate: float
    slow_clients: int
    patience: float
    kind: str = ""


def parse_wrk(text: str) -> dict[str, Any]:
    """Requests a second, p50 and p99 in milliseconds, and the errors by kind, from what wrk.lua wrote."""
    found = re.search(r"^wrk (\{.*\})$", text, re.MULTILINE)
    if not found:
        raise HostError(f"wrk said nothing that is understood:\n{text}")
    values = json.loads(found[1])
    errors = {kind: count for kind, count in values["errors"].items() if count}
    return {
        "requests": values["requests"],
        "requests_s": round(values["requests"] / (values["us"] / 1e6), 1),
        "p50_ms": round(values["p50_us"] / 1000, 2),
        "p99_ms": round(values["p99_us"] / 1000, 2),
        "errors": errors,
    }


def visitors_figures(records: Sequence[Record], patience: float) -> dict[str, Any]:
    """What became of normal clients. Who got no answer counts as one who waited as long as anybody does."""
    if not records:
        raise HostError("no request was made")
    seconds = [max(record.seconds, patience) if record.lost else record.seconds for record in records]
    return {
        "requests": len(records),
        "lost": dict(Counter(record.lost for record in records if record.lost)),
        "p50_ms": round(percentile(seconds, 0.5) * 1000, 2),
        "p99_ms": round(percentile(seconds, 0.99) * 1000, 2),
        "lag_p99_ms": round(percentile([record.lag for record in records], 0.99) * 1000, 2),
    }


def alone_units(app: str, release: str, port: int, service: str) -> dict[str, str]:
    """Text of the units that run a release's server on a TCP port: its own service, with another socket."""
    own = f"{app}@%i.socket"
    if own not in service:
        raise HostError(f"the service of {app} names no {own}")
    name = f"alone-{app}"
    # The backlog is that of the release's own socket. Small packets go at once, as gunicorn has it on TCP: the answers
    # of gevent, which come in two, would each wait 40 ms for the client's acknowledgement.
    socket = (
        f"[Unit]\nDescription={app} alone\n\n"
        f"[Socket]\nListenStream=127.0.0.1:{port}\nBacklog=2048\nNoDelay=yes\nService={name}@{release}.service\n"
    )
    return {f"{name}.socket": socket, f"{name}@{release}.service": service.replace(own, f"{name}.socket")}


def descendants(parents: Mapping[int, int], root: int) -> set[int]:
    """A process and all that came from it; `parents` is pid -> parent's pid."""
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def run(*argv: str, limit: float = 60.0) -> str:
    """Output of a program. Raises HostError with its own words when it fails."""
    done = subprocess.run(
        argv, check=False, text=True, timeout=limit, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise HostError(f"{' '.join(argv)} failed ({done.returncode}):\n{done.stdout[-3000:]}")
    return done.stdout


def get(port: int, path: str, timeout: float = 5.0) -> tuple[int, str, bytes]:
    """Status, mark and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": "localhost", "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.getheader(MARK, ""), answer.read()
    finally:
        connection.close()


def wait_well(port: int) -> None:
    """Return when a port answers quickly, three times in a row. Raises HostError when it does not come to that."""
    deadline, good = time.monotonic() + RECOVERY_SECONDS, 0
    while good < 3:
        try:
            good = good + 1 if get(port, "/", timeout=0.5)[0] == 200 else 0
        except (OSError, http.client.HTTPException):
            good = 0
            time.sleep(0.1)
        if time.monotonic() > deadline:
            raise HostError(f"port {port} does not answer within {RECOVERY_SECONDS:.0f} s")


def processes(unit: str) -> set[int]:
    """The processes of a service."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name before the last bracket may hold anything (proc(5)).
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return descendants(parents, int(run("systemctl", "show", "--property=MainPID", "--value", unit)))


def memory_mib(pids: Iterable[int]) -> int:
    """What they take together, in MiB; a page that n share counts 1/n for each (Pss of proc(5))."""
    kib = 0
    for pid in pids:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        kib += int(found[1]) if found else 0
    return round(kib / 1024)


def processor_seconds(stats: Iterable[str]) -> float:
    """Processor time that processes took so far, from their /proc/PID/stat: utime and stime of proc(5)."""
    ticks = sum(int(word) for stat in stats for word in stat.rpartition(")")[2].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def units_of(app: str, way: str) -> list[str]:
    """The services that have a part in an answer."""
    own = f"{app}@{release_of(app)}.service"
    return [f"alone-{own}"] if way == "alone" else ["nginx.service", own]


def release_of(app: str) -> str:
    """The id of the live release."""
    return os.readlink(f"/srv/{app}/current").rpartition("/")[2]


def start_alone(app: str, port: int) -> str:
    """Start a site's server on a TCP port; returns the name of its service."""
    release = release_of(app)
    units = alone_units(app, release, port, (SYSTEM / f"{app}@{release}.service").read_text())
    RUNTIME.mkdir(exist_ok=True)
    for name, text in units.items():
        (RUNTIME / name).write_text(text)
    run("systemctl", "daemon-reload")
    # First the socket: the service takes it over.
    for name in units:
        run("systemctl", "start", name, limit=120)
    return f"alone-{app}@{release}.service"


def check_ways(app: str, ports: Mapping[str, int]) -> None:
    """Raises HostError unless pages come from Python both ways, and the style sheet from Python only without nginx."""
    for page in ("/", *PAGES.values()):
        found = {way: get(port, page) for way, port in ports.items()}
        by_python = {way: bool(mark) for way, (dummy, mark, dummy2) in found.items()}
        wanted = {"alone": True, "nginx": page != PAGES["static"]}
        if {status for status, dummy, dummy2 in found.values()} != {200} or by_python != wanted:
            shown = {way: (status, mark) for way, (status, mark, dummy) in found.items()}
            raise HostError(f"{app} answers {page} with {shown}")
        if found["alone"][2] != found["nginx"][2]:
            raise HostError(f"{app} answers {page} differently behind nginx")


def prepare(job: Job) -> Iterator[dict[str, Any]]:
    """Start, check and warm up; what each server takes, and the versions of what is measured."""
    for app, ports in job.ports.items():
        unit = start_alone(app, ports["alone"])
        for port in ports.values():
            wait_well(port)
        check_ways(app, ports)
        for kind in PAGES:
            for port in ports.values():
                run_wrk(port, kind, job, WARM_UP_SECONDS)
        pids = processes(unit)
        python = f"/srv/{app}/current/venv/bin/python"
        yield {"server": app, "processes": len(pids), "memory_mib": memory_mib(pids), "packages": packages(python)}


def packages(python: str) -> dict[str, str]:
    """Versions of what serves in a virtual environment."""
    names = "flask", "werkzeug", "gunicorn", "gevent"
    code = (
        "import importlib.metadata as m, json, sys\n"
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions() if d.name.lower() in sys.argv[1:]}))"
    )
    found: dict[str, str] = json.loads(run(python, "-c", code, *names))
    return dict(sorted(found.items()))


def run_wrk(port: int, kind: str, job: Job, seconds: int) -> dict[str, Any]:
    """One load as heavy as the server bears, by wrk."""
    words = ["--threads", "1", "--connections", str(job.connections[kind]), "--duration", f"{seconds}s"]
    script = ["--timeout", WRK_TIMEOUT, "--script", str(HERE / "wrk.lua")]
    return parse_wrk(run("wrk", *words, *script, f"http://127.0.0.1:{port}{PAGES[kind]}", limit=seconds + 60))


def costed_wrk(app: str, way: str, job: Job) -> dict[str, Any]:
    """The same, and the processor time of one request in microseconds: the server's, and nginx's if it has a part."""
    stats = [Path(f"/proc/{pid}/stat") for unit in units_of(app, way) for pid in processes(unit)]
    before = processor_seconds(stat.read_text() for stat in stats)
    found = run_wrk(job.ports[app][way], job.kind, job, job.seconds)
    spent = processor_seconds(stat.read_text() for stat in stats) - before
    return {**found, "cpu_us": round(spent * 1e6 / max(1, found["requests"]), 1)}


def run_visitors(port: int, job: Job) -> dict[str, Any]:
    """One steady load of normal clients, a connection each, by load.py."""
    records = HERE / "records.jsonl"
    words = ["--host", "localhost", "--port", str(port), "--rate", str(job.rate), "--seconds", str(job.seconds)]
    words += ["--slow-every", "0", "--timeout", str(job.patience), "--records", str(records)]
    run(sys.executable, str(HERE / "load.py"), *words, limit=job.seconds + job.patience + 30)
    return visitors_figures(read_records(records.read_text()), job.patience)


def beside_slow_clients(port: int, job: Job) -> dict[str, Any]:
    """What normal clients meet without slow ones, then beside them; and how many of these stayed."""
    without = run_visitors(port, job)
    argv = [sys.executable, str(HERE / "slow_clients.py"), "--port", str(port), "--count", str(job.slow_clients)]
    with subprocess.Popen(argv, text=True, stdout=subprocess.PIPE) as slow:
        try:
            first = slow.stdout.readline() if slow.stdout else ""
            if json.loads(first or "{}").get("attached") != job.slow_clients:
                raise HostError(f"not all slow clients were let in at port {port}: {first}")
            time.sleep(ATTACHED_SECONDS)
            found = run_visitors(port, job)
            slow.send_signal(signal.SIGTERM)
            stayed = json.loads(slow.communicate(timeout=30)[0])
        finally:
            slow.kill()
    wait_well(port)
    return {"without": without, "with": found, "slow_clients": stayed}


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """One cell after the other: of one kind, alone and behind nginx, for each server."""
    for way in ("alone", "nginx"):
        for app, ports in job.ports.items():
            found = beside_slow_clients(ports[way], job) if job.kind == "slow" else costed_wrk(app, way, job)
            yield {"server": app, "way": way, "kind": job.kind, **found}


def main(argv: Sequence[str]) -> int:
    step, job = argv[0], Job(**json.loads(argv[1]))
    try:
        for line in (prepare if step == "prepare" else measure)(job):
            print(json.dumps(line), flush=True)
    except (HostError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
