"""The front page stays short, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text()
TABLE = re.findall(r"^\| .* \| (.*) \|$", TEXT.partition("## What it does")[2], re.MULTILINE)


def test_it_is_read_in_a_few_minutes() -> None:
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.parametrize("target", re.findall(r"]\(([^)#:]+)\)", TEXT))
def test_its_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("proof", [path for cell in TABLE for path in re.findall(r"`((?:e2e|unit)/[^`]*)`", cell)])
def test_each_feature_has_its_test(proof: str) -> None:
    place = ROOT / "tests" / proof
    files = [place] if place.is_file() else list(place.glob("test_*.py"))
    assert any("def test_" in file.read_text() for file in files)


def test_every_row_of_the_table_names_a_test() -> None:
    rows = [cell for cell in TABLE if "shown by" not in cell]
    assert len(rows) >= 15
    assert [cell for cell in rows if not re.search(r"`(e2e|unit)/", cell)] == []


def test_the_short_inventory_has_ten_lines_and_is_one() -> None:
    block = re.search(r"```yaml\n(flask_hosts:.*?)```", TEXT, re.DOTALL)
    assert block
    assert len(block[1].splitlines()) <= 10
    assert set(yaml.safe_load(block[1])["flask_hosts"]["vars"]["flask_apps"]["blog"]) >= {"source", "wsgi", "domains"}
