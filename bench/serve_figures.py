"""What `make bench-serve` computes: from the cells of all rounds to a row for each server, and the two ratios."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from measure import BenchError, Goal

GOALS = (
    Goal(
        "static_ratio", ">=", 10.0, "static files, requests/s: a gunicorn behind nginx / the same one alone, the median"
    ),
    Goal("slow_clients_ratio", "<=", 2.0, "p99 of normal clients behind nginx, beside slow ones / without, the worst"),
)
WAYS = ("alone", "nginx")
PAGES = ("cpu", "io", "static")
# Of the requests of a cell that may fail; more, and its speed is that of failing.
MOST_ERRORS = 0.01

Cell = Mapping[str, Any]


def row_figures(described: Mapping[str, Any], cells: Iterable[Cell]) -> dict[str, Any]:
    """A server's row, from its cells of all rounds: what it is, and its figures by way and kind."""
    own = [cell for cell in cells if cell["server"] == described["server"]]
    row: dict[str, Any] = dict(described)
    for way in WAYS:
        row[way] = {kind: page_figures(select(own, way, kind)) for kind in PAGES}
        row[way]["slow"] = slow_figures(select(own, way, "slow"))
    if gone := row["nginx"]["slow"]["hung_up_on"]:
        raise BenchError(f"{described['server']}: nginx hung up on {gone} slow clients, so nothing was shown")
    return row


def select(cells: Iterable[Cell], way: str, kind: str) -> list[Cell]:
    found = [cell for cell in cells if (cell["way"], cell["kind"]) == (way, kind)]
    if not found:
        raise BenchError(f"nothing was measured of {kind}, {way}")
    return found


def page_figures(cells: Sequence[Cell]) -> dict[str, Any]:
    """The medians of the rounds, and the requests a second of each. Raises BenchError when too many failed."""
    errors: Counter[str] = Counter()
    for cell in cells:
        errors.update(cell["errors"])
    fewest = min(cell["requests"] for cell in cells)
    if not fewest or errors["status"] > fewest * MOST_ERRORS:
        where = " ".join(str(cells[0][key]) for key in ("server", "way", "kind"))
        raise BenchError(f"{where}: {fewest} requests in a round, errors {dict(errors)}")
    return {
        "requests_s": median(cell["requests_s"] for cell in cells),
        "p50_ms": median(cell["p50_ms"] for cell in cells),
        "p99_ms": median(cell["p99_ms"] for cell in cells),
        "cpu_us": median(cell["cpu_us"] for cell in cells),
        "errors": dict(errors),
        "rounds_requests_s": [cell["requests_s"] for cell in cells],
    }


def slow_figures(cells: Sequence[Cell]) -> dict[str, Any]:
    """What normal clients met without slow ones and beside them: medians of the rounds, and those who got no answer."""
    found: dict[str, Any] = {}
    for side in ("without", "with"):
        lost: Counter[str] = Counter()
        for cell in cells:
            lost.update(cell[side]["lost"])
        found[side] = {
            "requests": sum(cell[side]["requests"] for cell in cells),
            "lost": dict(lost),
            "p50_ms": median(cell[side]["p50_ms"] for cell in cells),
            "p99_ms": median(cell[side]["p99_ms"] for cell in cells),
            "lag_p99_ms": max(cell[side]["lag_p99_ms"] for cell in cells),
            "rounds_p99_ms": [cell[side]["p99_ms"] for cell in cells],
        }
    found["ratio"] = round(found["with"]["p99_ms"] / found["without"]["p99_ms"], 2)
    # Slow ones whom the server hung up on, in the worst round.
    found["hung_up_on"] = max(sum(cell["slow_clients"]["over"].values()) for cell in cells)
    return found


def median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 2)


def figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The two figures of GOALS, the first for its lowest row and in processor time as well, and the noise."""
    pairs = [(row["nginx"]["static"], row["alone"]["static"]) for row in rows if row["type"] == "gunicorn"]
    gains = [nginx["requests_s"] / alone["requests_s"] for nginx, alone in pairs]
    return {
        "static_ratio": median(gains),
        "static_ratio_lowest": round(min(gains), 2),
        "static_cpu_ratio": median(alone["cpu_us"] / nginx["cpu_us"] for nginx, alone in pairs),
        "slow_clients_ratio": max(row["nginx"]["slow"]["ratio"] for row in rows),
        "noise": noise(rows),
    }


def busy_cores(before: str, after: str) -> float:
    """How many cores were at work between two readings of /proc/stat (proc(5))."""
    times = [[int(word) for word in text.splitlines()[0].split()[1:9]] for text in (before, after)]
    spent = [late - early for early, late in zip(*times, strict=True)]
    cores = sum(line.startswith("cpu") for line in after.splitlines()) - 1
    idle = spent[3] + spent[4]
    return float(round(cores * (1 - idle / sum(spent)), 2))


def noise(rows: Iterable[Mapping[str, Any]]) -> float:
    """By how much the fastest round of a cell of requests a second is above the slowest: the median over the cells."""
    cells = [row[way][kind]["rounds_requests_s"] for row in rows for way in WAYS for kind in PAGES]
    apart: list[float] = [max(values) / min(values) - 1 for values in cells]
    return round(statistics.median(apart), 3)
