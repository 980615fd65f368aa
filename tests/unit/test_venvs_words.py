"""What installers say, in their own words, and what is made of it; and where packages come from."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs_index as index
from ansible_collections.flaskworks.deploy.plugins.module_utils import venvs_words as words
from ansible_collections.flaskworks.deploy.plugins.module_utils.release_failure import scrub
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs_tools import last_words

ASKED = [("flask==3.1.0", "requirements.txt"), ("werkzeug<3", "python.packages"), ("gunicorn", "the server")]


@pytest.mark.parametrize(
    "said",
    [
        "  cause: Because flask==3.1.0 depends on werkzeug>=3.1 and you require flask==3.1.0, we can conclude that"
        " you\n         require werkzeug>=3.1.\n And because you require werkzeug<3, we can conclude that your"
        " requirements are unsatisfiable.",
        "ERROR: Cannot install flask==3.1.0 and werkzeug<3 because these package versions have conflicting"
        " dependencies.\n\nThe conflict is caused by:\n    The user requested werkzeug<3\n    flask 3.1.0 depends on"
        " werkzeug>=3.1",
    ],
)
def test_a_conflict_names_the_requirements_and_where_they_stand(said: str) -> None:
    meant = words.meaning(said, ASKED)
    assert meant.splitlines() == [
        "the requirements contradict each other: no set of versions suits all of them. Asked for:",
        "  flask==3.1.0  (requirements.txt)",
        "  werkzeug<3  (python.packages)",
    ]


@pytest.mark.parametrize(
    "said",
    [
        "  cause: Because flask was not found in the package registry and you require flask==3.1.0, we can conclude"
        " that your requirements are unsatisfiable.",
        "  cause: Because flask was not found in the provided package locations and you require flask==3.1.0, we can",
        "ERROR: Could not find a version that satisfies the requirement flask==3.1.0 (from versions: none)\n"
        "ERROR: No matching distribution found for flask==3.1.0",
    ],
)
def test_a_package_that_is_not_there_is_named(said: str) -> None:
    assert words.meaning(said, ASKED).startswith("flask can't be had: the index has no such package")
    offline = words.meaning(said, ASKED, offline=True)
    assert "the wheelhouse has no fitting wheel of it" in offline
    assert offline.endswith("  flask==3.1.0  (requirements.txt)")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("cause: Because all versions of uwsgi have no usable wheels and you require uwsgi, we can conclude", "uwsgi"),
        ("cause: Because blinker==1.4 has no usable wheels and you require blinker==1.4, we can conclude", "blinker"),
    ],
)
def test_a_package_without_a_wheel_is_named(said: str, name: str) -> None:
    assert words.meaning(said, []) == f"{name} has no wheel for this Python and platform"


def test_what_may_not_be_built_is_named() -> None:
    lock = (
        "error: Distribution `docopt==0.6.2 @ registry+https://x/simple` can't be installed because it is marked as"
        " `--no-build` but has no binary distribution"
    )
    assert words.drift_meaning(lock).startswith("docopt has no wheel for this Python and platform (with python.require")
    pip = "ERROR: No matching distribution found for docopt==0.6.2"
    assert "nothing is built from its source" in words.meaning(pip, [], only_wheels=True)


def test_hashes_pythons_and_what_is_not_known() -> None:
    assert "another one than its hash says" in words.meaning("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", [])
    assert "another one than its hash says" in words.meaning("Hash mismatch for `x==1`", [])
    python = "resolved to Python 3.11.7, which is incompatible with the project's Python requirement: `>=3.99` (from"
    assert "wants Python >=3.99, and the host's is Python 3.11.7" in words.drift_meaning(python)
    pip = (
        "ERROR: In --require-hashes mode, all requirements must have their versions pinned with ==. These do not:\n"
        "    MarkupSafe>=2.0 from https://x (from jinja2)"
    )
    assert words.meaning(pip, []).startswith("MarkupSafe>=2.0 is needed too, and it has no hash")
    assert words.meaning("segmentation fault", ASKED) == ""


def test_drift_says_what_to_run() -> None:
    said = "error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided."
    assert "run `uv lock` in the project" in words.drift_meaning(said)
    assert words.drift_meaning("connection refused") == ""


def test_an_entry_s_index_takes_the_place_of_the_environment_s() -> None:
    env = {"UV_INDEX_URL": "https://a/simple", "PIP_EXTRA_INDEX_URL": "https://b/simple", "HTTPS_PROXY": "p"}
    assert index.with_indexes(env, "https://c/simple", []) == {
        "HTTPS_PROXY": "p",
        "PIP_EXTRA_INDEX_URL": "https://b/simple",
        "PIP_INDEX_URL": "https://c/simple",
        "UV_DEFAULT_INDEX": "https://c/simple",
    }
    extra = index.with_indexes(env, "", ["https://d/simple", "https://e/simple"])
    assert extra["PIP_EXTRA_INDEX_URL"] == extra["UV_INDEX"] == "https://d/simple https://e/simple"
    assert extra["UV_INDEX_URL"] == "https://a/simple"


def test_a_wheelhouse_leaves_no_index() -> None:
    env = index.with_wheelhouse({"PIP_INDEX_URL": "x", "UV_INDEX": "y", "UV_FIND_LINKS": "z", "HTTPS_PROXY": "p"}, "/w")
    assert env == {
        **{"PIP_FIND_LINKS": "/w", "UV_FIND_LINKS": "/w", "HTTPS_PROXY": "p"},
        **{"PIP_NO_INDEX": "1", "UV_NO_INDEX": "1", "UV_OFFLINE": "1"},
    }
    assert index.is_offline(env)
    assert not index.has_places(index.without_places(env))
    named = ["--index-url https://x", "-i https://x", "-ihttps://x", "--find-links=/x", "-f /x", "--trusted-host x"]
    assert all(map(index.names_place, named))
    assert not index.names_place("--pre")
    assert not index.names_place("--only-binary=:all:")


def test_a_password_ends_at_the_last_at_sign() -> None:
    url = "https://deploy:p@ss@idx.example.org/simple"
    assert index.index_secrets([url]) == ["p@ss"]
    assert index.without_credentials(f"at {url} or {url}") == "at {0} or {0}".format("https://idx.example.org/simple")
    assert "ss@" not in scrub(f"at {url}", [])
    done = subprocess.CompletedProcess([], 1, "", f"no answer of {url}")
    assert "ss@" not in last_words(done)


def test_credentials_are_secret_and_no_part_of_what_an_environment_is_known_by() -> None:
    url = "https://ann:p%40ss@index.example.org/simple"
    assert sorted(index.index_secrets([url, "https://token123@x/simple", "https://y/simple"])) == [
        "p%40ss",
        "p@ss",
        "token123",
    ]
    assert index.index_secrets(["https://ghp_0123456789abcdefgh:x-oauth-basic@x/simple"])[0].startswith("ghp_")
    assert index.known_by({"PIP_INDEX_URL": url, "HTTPS_PROXY": "x"}) == {
        "PIP_INDEX_URL": "https://index.example.org/simple"
    }
