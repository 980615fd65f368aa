"""The table: each attack is a function that tries it and says what was seen and whether the site held."""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from attacks.wire import Site

HELD, BROKEN, ERROR = "held", "broken", "error"


@dataclass(frozen=True)
class Seen:
    """What was seen, in words, and whether that is what a safe site does."""

    words: str
    good: bool


@dataclass(frozen=True)
class Field:
    """What is attacked: the sites by name, and a mark that tells this attack's requests from all others."""

    sites: Mapping[str, Site]
    mark: str = ""

    def __getitem__(self, name: str) -> Site:
        return self.sites[name]


Try = Callable[[Field], Seen]


@dataclass(frozen=True)
class Attack:
    """One row: its group, what is sent, what a safe site does, and the function that tries it."""

    group: str
    name: str
    expected: str
    try_it: Try


@dataclass(frozen=True)
class Result:
    """One row with its outcome."""

    group: str
    name: str
    expected: str
    seen: str
    verdict: str
    seconds: float


TABLE: list[Attack] = []


def attack(group: str, name: str, expected: str) -> Callable[[Try], Try]:
    """Put a function into the table."""

    def keep(function: Try) -> Try:
        add(group, name, expected, function)
        return function

    return keep


def add(group: str, name: str, expected: str, function: Try) -> None:
    """Put a row into the table. Raises ValueError when one of that name is there: the report would lose it."""
    if any((row.group, row.name) == (group, name) for row in TABLE):
        raise ValueError(f"{group}: {name} is there twice")
    TABLE.append(Attack(group, name, expected, function))


def run(row: Attack, sites: Mapping[str, Site]) -> Result:
    """Try one attack."""
    started = time.monotonic()
    try:
        seen = row.try_it(Field(sites, f"m{uuid.uuid4().hex[:10]}"))
        words, verdict = seen.words, HELD if seen.good else BROKEN
    except Exception:
        words, verdict = traceback.format_exc(limit=-2).strip(), ERROR
    return Result(row.group, row.name, row.expected, words, verdict, round(time.monotonic() - started, 2))


def as_json(results: list[Result]) -> list[dict[str, object]]:
    return [asdict(result) for result in results]
