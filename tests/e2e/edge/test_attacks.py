"""Promise: what an outside host tries on the sites of another one, whatever it sends, gets it nothing."""

from __future__ import annotations

from e2e.edge.conftest import Edge


def test_every_attack_is_held(edge: Edge) -> None:
    fallen = [f"{row['group']}: {row['name']}: {row['seen']}" for row in edge.results if row["verdict"] != "held"]
    assert fallen == []
    assert len(edge.results) > 300
