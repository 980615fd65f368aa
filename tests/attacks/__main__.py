"""Run the table against sites: `python3 -m attacks FILE [--only GROUP]`; FILE says what to attack. Prints one JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attacks.table import TABLE, as_json, run
from attacks.wire import Site

GROUPS = (
    *("paths", "smuggling", "forging", "requests", "answers", "slow", "firewall", "waf", "guarded"),
    *("http2", "http2_floods"),
)
ALONE = ("slow clients", "HTTP/2, floods")


def load() -> None:
    """Fill the table."""
    for name in GROUPS:
        importlib.import_module(f"attacks.{name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", default="", help="rows whose group or name holds this")
    given = parser.parse_args()
    sites = {name: Site(**site) for name, site in json.loads(given.file.read_text()).items()}
    load()
    wanted = [row for row in TABLE if given.only in f"{row.group}: {row.name}"]
    # Most wait for an answer that does not come. What measures comes afterwards, alone.
    alone = [row for row in wanted if row.group in ALONE]
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda row: run(row, sites), [row for row in wanted if row not in alone]))
    results += [run(row, sites) for row in alone]
    print(json.dumps({"attacks": as_json(results), "python": platform.python_version()}))


if __name__ == "__main__":
    main()
