"""What `make bench-cutover` computes: cut-overs as windows of time, and the figures from the records of a load."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from load import FAST, Record, percentile
from measure import BenchError, Goal

GOALS = (
    Goal("lost", "<=", 0, "requests lost over all deploys and rollbacks"),
    Goal("reached_bad", "<=", 0, "requests that reached a release that is broken"),
    Goal("p99_ratio", "<=", 2.0, "p99 of fast requests, during cut-overs / outside them"),
    Goal("slowest_s", "<=", 1.0, "the slowest fast request during a cut-over, in seconds"),
    Goal("deploy_ratio", "<=", 3.0, "code-only deploy outside probe and drain / `ansible -m setup`"),
)
BAD = "bad-"
# From systemd's catalogue (sd-messages.h): a unit begins to start, a unit has stopped.
STARTING, STOPPED = "7d4958e842da4a758f6c1cdc7b36dcc5", "9d1aaa27d60140bd96365438aad20286"
# Of the excerpt that is drawn: its seconds, those before the first cut-over, and those of one step.
TRACE_SECONDS, TRACE_BEFORE, TRACE_STEP = 60.0, 3.0, 0.1


@dataclass(frozen=True)
class Action:
    """One thing that was done under load, and when its command began and ended on the monotonic clock."""

    kind: str
    version: str
    begin: float
    end: float


@dataclass(frozen=True)
class Window:
    """One cut-over: from the start of the new instance until the old one had stopped."""

    begin: float
    end: float

    def meets(self, record: Record) -> bool:
        return record.mono < self.end and record.end > self.begin


def journal_windows(journal: str, unit: str, actions: Sequence[Action]) -> list[Window]:
    """The cut-over of each action, as systemd noted it; an action that started nothing has none.

    `journal` is JSON lines with UNIT, MESSAGE_ID and __MONOTONIC_TIMESTAMP; `unit` is what the unit's names begin with.
    """
    entries = [json.loads(line) for line in journal.splitlines()]
    events = [
        (int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6, entry["MESSAGE_ID"])
        for entry in entries
        if str(entry.get("UNIT", "")).startswith(unit)
    ]
    windows = []
    for action in actions:
        during = [(moment, what) for moment, what in events if action.begin <= moment <= action.end]
        starts = [moment for moment, what in during if what == STARTING]
        stops = [moment for moment, what in during if what == STOPPED]
        if starts and stops and max(stops) > min(starts):
            windows.append(Window(min(starts), max(stops)))
        elif starts:
            raise BenchError(f"{action.kind} of {action.version}: an instance started and none stopped")
    return windows


def observed_windows(records: Sequence[Record], actions: Sequence[Action]) -> list[Window]:
    """The cut-over of each action as visitors saw it: until every request is over that was lost, was answered by
    another version, or began before the new version gave its first answer. None lasts into the next action.
    """
    ends = [*(action.begin for action in actions[1:]), float("inf")]
    windows = []
    for action, until in zip(actions, ends, strict=True):
        during = [record for record in records if action.begin <= record.mono < until]
        first = min((record.end for record in during if record.version == action.version), default=until)
        late = [
            record.end for record in during if record.lost or record.version != action.version or record.mono < first
        ]
        windows.append(Window(action.begin, min(max([action.end, *late]), until)))
    return windows


def load_figures(records: Sequence[Record], windows: Sequence[Window]) -> dict[str, Any]:
    """Counts over all requests, and latencies of the fast ones in and out of the windows, in seconds."""
    fast = [record for record in records if record.kind in FAST and not record.lost]
    inside: list[float] = []
    outside: list[float] = []
    for record in fast:
        (inside if any(window.meets(record) for window in windows) else outside).append(record.seconds)
    p99 = {"inside": percentile(inside, 0.99), "outside": percentile(outside, 0.99)}
    return {
        "requests": len(records),
        "lost": sum(bool(record.lost) for record in records),
        "reached_bad": reached_bad(records),
        "p99_ratio": round(p99["inside"] / p99["outside"], 2) if p99["outside"] else 0.0,
        "slowest_s": round(max(inside, default=0.0), 3),
        "slowest_outside_s": round(max(outside, default=0.0), 3),
        "p50_s": {"inside": round(percentile(inside, 0.5), 4), "outside": round(percentile(outside, 0.5), 4)},
        "p99_s": {name: round(value, 4) for name, value in p99.items()},
        "fast_requests": {"inside": len(inside), "outside": len(outside)},
        "cutover_s": round(statistics.median(window.end - window.begin for window in windows), 2) if windows else 0.0,
        "lag_p99_s": round(percentile((record.lag for record in records), 0.99), 4),
    }


def reached_bad(records: Iterable[Record]) -> int:
    """How many requests a broken release answered, with whatever status."""
    return sum(record.version.startswith(BAD) for record in records)


def broken_figures(records: Iterable[Record], actions: Sequence[Action], deploys: int) -> dict[str, int]:
    """What so many deploys of broken releases cost: the requests that began during these actions."""
    during = [record for record in records if any(action.begin <= record.mono <= action.end for action in actions)]
    lost = sum(bool(record.lost) for record in during)
    return {"deploys": deploys, "requests": len(during), "lost": lost, "reached_bad": reached_bad(during)}


def phase_medians(history: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The median seconds of each phase over what went live."""
    seconds: dict[str, list[float]] = {}
    for entry in history:
        for phase, value in entry.get("phases", {}).items() if entry.get("outcome") == "live" else ():
            seconds.setdefault(phase, []).append(value)
    return {phase: round(statistics.median(values), 3) for phase, values in seconds.items()}


def outside_probe_and_drain(wall: float, entry: Mapping[str, Any]) -> float:
    """The seconds of a deploy that do not depend on the site itself."""
    phases: Mapping[str, float] = entry["phases"]
    return round(wall - phases.get("probe", 0.0) - phases.get("drain", 0.0), 3)


def trace(records: Sequence[Record], windows: Sequence[Window]) -> dict[str, Any]:
    """An excerpt to draw: for each step of time the slowest fast request in milliseconds (null: there was none), how
    many of all requests were lost, and the windows, in seconds from its begin.
    """
    begin = min((window.begin for window in windows), default=records[0].mono) - TRACE_BEFORE
    steps = round(TRACE_SECONDS / TRACE_STEP)
    slowest: list[float | None] = [None] * steps
    lost = [0] * steps
    for record in records:
        step = int((record.mono - begin) // TRACE_STEP)
        if not 0 <= step < steps:
            continue
        if record.lost:
            lost[step] += 1
        elif record.kind in FAST:
            slowest[step] = max(slowest[step] or 0.0, round(record.seconds * 1000, 1))
    shown = [
        [round(max(window.begin - begin, 0.0), 2), round(min(window.end - begin, TRACE_SECONDS), 2)]
        for window in windows
        if window.begin < begin + TRACE_SECONDS and window.end > begin
    ]
    return {"step_s": TRACE_STEP, "slowest_ms": slowest, "lost": lost, "cutovers": shown}
