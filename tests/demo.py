"""`demo.py up|down`: a Debian host from nothing, two sites on it, and the proof that they answer."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
INVENTORY = ROOT / "inventories" / "demo"
RUNTIME = INVENTORY / "host.runtime.yml"
HOST = "demo"
# Port on the host: what the demo calls the site behind it, and a text that only this site answers with.
SITES = {"80": ("guestbook", "Leave a few words"), "8081": ("hello", "Hello from a port of my own")}


class DemoError(RuntimeError):
    """A step of the demo that did not work out, in words for the person who runs it."""


def hosts(*words: str) -> None:
    """Runs the test host tool. Raises DemoError when it fails; it has printed why."""
    command = [sys.executable, str(ROOT / "tests" / "hosts" / "hosts.py"), *words]
    if subprocess.run(command, check=False).returncode != 0:
        raise DemoError("the host could not be made: see above")


def published_ports() -> dict[str, int]:
    """The ports on 127.0.0.1 behind which the host's own ports are reached."""
    found = re.search(r"^\s*published_ports:\s*(\{.*\})\s*$", RUNTIME.read_text(), re.MULTILINE)
    if not found:
        raise DemoError(f"{RUNTIME} names no published ports")
    return {str(port): int(outside) for port, outside in json.loads(found[1]).items()}


def deploy() -> str:
    """Runs site.yml, showing its progress; returns the recap's counts. Raises DemoError when it fails."""
    command = [str(BIN / "ansible-playbook"), "site.yml", "-i", str(INVENTORY)]
    print(f"$ ansible-playbook site.yml -i {INVENTORY.relative_to(ROOT)}", flush=True)
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PYTHONUNBUFFERED": "1"}
    if sys.stdout.isatty():
        environment.setdefault("ANSIBLE_FORCE_COLOR", "1")
    recap = ""
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout or ():
            print(line, end="", flush=True)
            plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
            counts = re.search(r": (ok=\d+\s+changed=\d+)", plain)
            if counts:
                recap = " ".join(counts[1].split())
    if run.returncode != 0:
        raise DemoError(f"ansible-playbook ended with {run.returncode}: the last task above says why")
    return recap


def check(port: int, text: str) -> str:
    """Asks a site for its first page; returns the URL. Raises DemoError with what came instead."""
    url = f"http://127.0.0.1:{port}/"
    # The site is on this machine: a proxy of the environment would not find it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            body = answer.read().decode()
    except OSError as error:
        raise DemoError(f"{url} does not answer: {error}") from error
    if text not in body:
        raise DemoError(f"{url} answers, but not with the page of the site: {body[:200]!r}")
    return url


def up(debian: str) -> None:
    started = time.monotonic()
    publish = [f"--publish={port}" for port in SITES]
    hosts("up", "--name", HOST, "--debian", debian, *publish, "--inventory", str(RUNTIME))
    host_seconds = time.monotonic() - started
    recap = deploy()
    total = time.monotonic() - started
    ports = published_ports()
    urls = {name: check(ports[port], text) for port, (name, text) in SITES.items()}
    print(f"A Debian {debian} host runs after {host_seconds:.0f} s, its sites after {total:.0f} s ({recap}).\n")
    for name, url in urls.items():
        print(f"  {name:10} {url}  answers 200")
    print("\nRun it again and nothing changes: make demo. Take it away: make demo-destroy.")


def down() -> None:
    hosts("down", "--name", HOST)
    RUNTIME.unlink(missing_ok=True)
    print("The demo's host is gone. Its secret stays in .cache/demo/.")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/demo.py", description=__doc__)
    parser.add_argument("step", choices=["up", "down"])
    parser.add_argument("--debian", choices=["12", "13"], default=os.environ.get("DEBIAN", "13"))
    arguments = parser.parse_args()
    try:
        if arguments.step == "up":
            up(arguments.debian)
        else:
            down()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
