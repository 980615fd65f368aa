"""Secrets that the host makes, how each is handed over, and what is done when one is missing or rotated."""

from __future__ import annotations

import base64
import errno
import html
import json
import os
import re
import shlex
import stat
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.flaskworks.deploy.plugins.module_utils import release_secrets as secrets
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_digest import input_parts
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_environment import environment_text
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import HIDDEN, scrub
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_layout import Layout
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.release_inputs import to_rotate
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

RELEASE = "20260101-000000-aaaaaaaa"
APP: dict[str, Any] = {"secrets": {"GIVEN": "from-a-vault"}, "generated": {"MADE": 50, "OTHER": 32}, "files": {}}


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(os, "chown", lambda *dummy: None)
    monkeypatch.setattr(os, "fchown", lambda *dummy: None)
    return Layout("blog", str(tmp_path))


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_what_is_made_is_kept_for_root_alone(layout: Layout) -> None:
    values, rotated = secrets.settled(layout, APP, [])
    assert (len(values["MADE"]), len(values["OTHER"]), rotated) == (50, 32, [])
    assert secrets.settled(layout, APP, []) == (values, [])
    assert mode(layout.secrets) == 0o700
    assert {mode(f"{layout.secrets}/{name}") for name in ("MADE", "OTHER")} == {0o600}
    longer = {**APP, "generated": {"MADE": 64}}
    assert secrets.settled(layout, longer, [])[0] == {"MADE": values["MADE"]}


def test_a_secret_that_can_not_be_read_is_not_made_anew(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    before = secrets.settled(layout, APP, [])[0]

    def broken(*dummy: Any, **dummy_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", broken)
        with pytest.raises(OSError, match="Input/output"):
            secrets.stored(layout, ["MADE"])
    assert secrets.settled(layout, APP, []) == (before, [])


def test_a_prediction_makes_nothing(layout: Layout) -> None:
    dummy, reasons = secrets.predicted(layout, APP, [])
    assert reasons == ["secret MADE is generated", "secret OTHER is generated"]
    assert os.listdir(layout.base) == []
    values = secrets.settled(layout, APP, [])[0]
    assert secrets.predicted(layout, APP, []) == (values, [])
    assert secrets.predicted(layout, APP, ["MADE"])[1] == ["secret MADE is rotated"]


def test_a_rotated_secret_is_kept_when_its_release_is_live(layout: Layout) -> None:
    before = secrets.settled(layout, APP, [])[0]
    values, rotated = secrets.settled(layout, APP, ["MADE"])
    assert rotated == ["MADE"]
    assert values["MADE"] != before["MADE"]
    assert values["OTHER"] == before["OTHER"]
    assert secrets.stored(layout, ["MADE"]) == {"MADE": before["MADE"]}

    release = layout.release(RELEASE)
    os.makedirs(release)
    app = {**secrets.completed(APP, values), "handed": {"MADE": "credential", "OTHER": "file"}}
    secrets.write_handed(app, release, 5)
    Path(release, "env").write_text(environment_text(secrets.environment_of(app, release)))
    record = {"id": RELEASE, "secrets": ["GIVEN", "MADE", "OTHER"], "handed": app["handed"]}
    assert secrets.values_of(layout, record) == app["secrets"]
    secrets.adopt(layout, record, ["MADE"])
    assert secrets.stored(layout, ["MADE", "OTHER"]) == {"MADE": values["MADE"], "OTHER": before["OTHER"]}


def test_each_way_of_handing_over(layout: Layout) -> None:
    release = layout.release(RELEASE)
    os.makedirs(release)
    app = {"secrets": {"A": "1-a", "B": "2-b", "C": "3-c"}, "handed": {"B": "file", "C": "credential"}}
    assert secrets.environment_of(app, release) == {"A": "1-a", "B_FILE": f"{release}/secrets/B"}
    secrets.write_handed(app, release, 5)
    assert Path(release, "secrets/B").read_text() == "2-b"
    assert Path(release, "credentials/C").read_text() == "3-c"
    assert (mode(f"{release}/secrets"), mode(f"{release}/secrets/B")) == (0o750, 0o640)
    assert (mode(f"{release}/credentials"), mode(f"{release}/credentials/C")) == (0o700, 0o600)


def test_markers_are_replaced_whatever_the_names() -> None:
    known = {"A": "first", "A__B": "second", "A_": "third"}
    text = "".join(f"<{secrets.marker_of(name)}>" for name in known)
    assert secrets.filled(text, known) == "<first><second><third>"
    assert secrets.filled(r"__secret_A__ \1", {"A": r"\1"}) == r"\1 \1"
    assert secrets.unknown_names("__secret_A__ __secret_A__B__ __secret_C__", known) == ["C"]
    assert secrets.filled("__secret_A__", {}) == "__secret_A__"


def test_how_a_secret_is_handed_over_is_part_of_a_release() -> None:
    app = {
        **{"user": "blog", "base": "/srv/blog", "source": {"type": "path"}, "python": {}},
        **{"secrets": {"A": "x"}, "files": {}},
    }
    plain, handed = (input_parts(entry, "v", "abi", "", {}, {}) for entry in (app, {**app, "handed": {"A": "file"}}))
    assert [name for name in plain if plain[name] != handed[name]] == ["names of secrets"]


def test_the_plan_hands_over() -> None:
    given = {"A": "a-given-one", "B": {"generate": 50}, "C": {"value": "c-value", "as": "credential"}}
    good = {"source": {"path": "."}, "wsgi": "a:b", "domains": ["a.example.org"]}
    defaults = {"secrets": {"B": "of-the-defaults", "D": {"generate": 20, "as": "file"}}}
    made = make_plan(entry_points("flask_apps"), {"blog": {**good, "secrets": given}}, defaults)["releases"]["blog"]
    assert made["secrets"] == {"A": "a-given-one", "C": "c-value"}
    assert made["generated"] == {"B": 50, "D": 20}
    assert made["handed"] == {"C": "credential", "D": "file"}
    loaded = {unit["Service"]["LoadCredential"][0] for unit in made["units"].values() if "Service" in unit}
    assert loaded == {"C:/srv/blog/releases/%i/credentials/C"}


def test_what_can_be_rotated() -> None:
    apps = {"blog": {"generated": {"KEY": 50, "SALT": 50}}, "shop": {"generated": {"KEY": 50}}, "old": {}}
    assert to_rotate(["SALT"], apps) == ["SALT"]
    assert to_rotate([], apps) == []
    assert to_rotate(["KEY", "SALT"], {"blog": apps["blog"]}) == ["KEY", "SALT"]
    with pytest.raises(AnsibleActionFail, match="any of blog, shop: add -e app=NAME"):
        to_rotate(["KEY"], apps)
    with pytest.raises(AnsibleActionFail, match="did you mean 'SALT'"):
        to_rotate(["SALTY"], apps)
    with pytest.raises(AnsibleActionFail, match="these are none: KEY"):
        to_rotate(["KEY"], {"old": {}})


SECRET = "a'b\"\\c$HOME %s\r\nsecond line&<ä>"


@pytest.mark.parametrize(
    "shown",
    [
        str,
        repr,
        ascii,
        json.dumps,
        html.escape,
        shlex.quote,
        urllib.parse.quote,
        urllib.parse.quote_plus,
        lambda text: repr({"KEY": text}),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: text.splitlines()[1],
    ],
)
def test_a_secret_is_hidden_however_a_program_writes_it(shown: Any) -> None:
    said = scrub(f"before {shown(SECRET)} after", [SECRET])
    assert said.startswith("before ")
    assert said.endswith(" after")
    assert not re.search(r"HOME|second|c\$", said), said


def test_what_tells_most_of_a_secret_is_hidden_too() -> None:
    told = "no role app, password p4ss/word, host db.example.org; token=0123456789abcdef!"
    said = scrub(told, ["postgresql://app:p4ss%2Fword@db.example.org/app", "x-0123456789abcdef-y"])
    assert said == f"no role app, password {HIDDEN}, host db.example.org; token={HIDDEN}!"
