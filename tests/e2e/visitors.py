"""Steady load on a test host while something happens there, and what became of every request (tests/load.py).

    with Load(root, "blog.example.org", post_share=0.3) as load:
        deploy(...)
    assert load.summary["lost"] == 0, load.summary

`root` runs a shell command as root on the host and returns its output: `root` of a Machine (machine.py), or
`as_root(host)` for testinfra's host. The load runs as a transient unit of the host itself; it survives whatever happens
to the connection, and ends with the host.
"""

from __future__ import annotations

import base64
import shlex
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from load import Record, read_records, summarise

PROGRAM = Path(__file__).resolve().parents[1] / "load.py"
FOLDER = "/var/tmp/load"
# The load shall not wait for a processor while a deploy keeps them busy. Where sessions are scheduled as groups, nice
# says nothing between them; this does (sched(7), "The autogroup feature").
FIRST = "echo -20 2>/dev/null >/proc/self/autogroup || true"
START_SECONDS, STOP_SECONDS = 15.0, 60.0


def as_root(host: Any) -> Callable[[str], str]:
    """The means that Load needs, from testinfra's host."""
    return lambda command: str(host.check_output("sh -c %s", command))


def words(options: dict[str, Any]) -> list[str]:
    """Options of the program from Python's: post_share=0.3 becomes --post-share 0.3, a list several words."""
    found: list[str] = []
    for name, value in options.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        found += ["--" + name.replace("_", "-"), *(str(item) for item in values)]
    return found


class Load:
    """One load on a host. `options` are those of tests/load.py, `name` tells several at once apart."""

    def __init__(self, root: Callable[[str], str], site: str, name: str = "load", **options: Any) -> None:
        self.root = root
        self.unit = f"test-{name}.service"
        self.files = {part: f"{FOLDER}/{name}.{part}" for part in ("records", "stop", "log")}
        self.options = {"host": site, "records": self.files["records"], "stop_file": self.files["stop"], **options}
        self.records: list[Record] = []
        self.summary: dict[str, Any] = {}

    def start(self) -> None:
        """Copy the program, start it, and return when the first requests were answered or lost."""
        program = base64.b64encode(zlib.compress(PROGRAM.read_bytes())).decode()
        unpack = "import base64, sys, zlib; sys.stdout.buffer.write(zlib.decompress(base64.b64decode(sys.argv[1])))"
        files = " ".join(self.files.values())
        self.root(
            f"mkdir -p {FOLDER} && rm -f {files} && python3 -c '{unpack}' {program} >{FOLDER}/load.py"
            f" && systemd-run --quiet --collect --unit={self.unit} --nice=-20 --property=CPUWeight=10000"
            f" --property=StandardOutput=file:{self.files['log']} --property=StandardError=file:{self.files['log']}"
            f" sh -c {shlex.quote(f'{FIRST}; exec python3 {FOLDER}/load.py {shlex.join(words(self.options))}')}"
        )
        self._wait(f"test -s {self.files['records']}", START_SECONDS, "no request was made")

    def running(self) -> bool:
        return self.root(f"systemctl is-active {self.unit} || true").strip() == "active"

    def fetch(self) -> list[Record]:
        """What became of the requests so far."""
        return read_records(self.root(f"cat {self.files['records']}"))

    def stop(self) -> list[Record]:
        """End the load, wait for the last answers, and return (and keep) what became of every request."""
        self.root(f"touch {self.files['stop']}")
        self._wait(f"! systemctl is-active --quiet {self.unit}", STOP_SECONDS, "the load doesn't end")
        self.records = self.fetch()
        self.summary = summarise(self.records)
        return self.records

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self, condition: str, seconds: float, otherwise: str) -> None:
        deadline = time.monotonic() + seconds
        while self.root(f"if {condition}; then echo yes; fi").strip() != "yes":
            if time.monotonic() > deadline:
                log = self.root(f"tail -n 20 {self.files['log']} || true")
                raise AssertionError(f"{self.unit}: {otherwise} within {seconds:.0f} s\n{log}")
            time.sleep(0.2)
