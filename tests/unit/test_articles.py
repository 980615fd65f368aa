"""The articles as inventories: each is a plan, says where its article errs, and what nobody should run is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from e2e.articles.articles import FOLDER, REFUSED, inventories, inventory_variables, variables_of

SPEC = entry_points("flask_apps")


def test_together_they_are_a_plan() -> None:
    variables = inventory_variables()
    options = {"allow_dev_server": variables["allow_dev_server"]}
    assert set(make_plan(SPEC, variables["flask_apps"], **options)["releases"]) == set(variables["flask_apps"])


@pytest.mark.parametrize("article", inventories())
def test_each_says_what_its_article_promises_and_where_it_errs(article: str) -> None:
    head = (FOLDER / f"{article}.yml").read_text().partition("flask_hosts:")[0]
    assert "# It promises:" in head
    assert "# Where it errs, and what happens here:" in head


def test_what_nobody_should_run_is_refused_all_at_once() -> None:
    variables: dict[str, Any] = variables_of("refused")
    assert {key.partition(".")[0] for key in REFUSED} == set(variables["flask_apps"])
    with pytest.raises(InventoryError) as raised:
        make_plan(SPEC, variables["flask_apps"], variables["flask_app_defaults"])
    told = {problem.path.removeprefix("flask_apps."): problem.text for problem in raised.value.problems}
    assert set(told) == set(REFUSED)
    assert {key: words for key, words in REFUSED.items() if words not in told[key]} == {}
