"""Environments of releases: where packages come from, what is believed of them, and what a release remembers."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.venvs import command_env, ensure_uv, plain_runner
from e2e.environments.host import INDEX, NOWHERE, PASSWORD, IndexHost, hashed


def said(output: str) -> str:
    """What was printed, without line breaks and the frame of a box."""
    return " ".join(output.replace("\\n", " ").replace("│", " ").split())


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_the_password_of_an_index_is_nowhere(place: IndexHost, installer: str) -> None:
    host = place.host
    watch = "systemd-run --quiet --unit=watch sh -c 'while sleep 0.02; do cat /proc/[0-9]*/cmdline; done"
    host.root(f"{watch} > /run/watched 2>/dev/null'")
    site = place.site("priv", word="__import__('privatething').VERSION.encode()", requirements__txt="privatething<2\n")
    python = {"installer": installer, "extra_indexes": [INDEX]}
    run = place.deploy("-vvv", "--diff", priv={**site, "python": python})
    host.root("systemctl stop watch; journalctl --sync")
    assert run.status == 0, run.text
    assert host.ask(app="priv") == "200 1.0"
    assert place.record("priv") == place.packages("priv")
    assert PASSWORD not in run.text
    # By standard input: sudo writes the arguments into the journal that is searched.
    assert host.root("cat > /run/pattern; grep -caF -f /run/pattern /run/watched || true", PASSWORD) == "0\n"
    assert host.root("grep -ca venvs /run/watched") != "0\n", "the installers were seen"
    assert host.root("journalctl -q -o cat | grep -cF -f /run/pattern || true") == "0\n"
    places = "/etc /home /root /run/systemd /srv /tmp /usr/local /var"
    assert host.root(f"grep -rlF -f /run/pattern {places} 2>/dev/null || true") == ""
    host.root("rm /run/pattern /run/watched")
    other = {**python, "extra_indexes": [INDEX.replace("ann:", "bob:")]}
    assert not place.deploy(priv={**site, "python": other}).result["changed"], "credentials make no other release"
    wrong = place.deploy(
        priv={**place.site("priv", word="two", requirements__txt="privatething==2.0\n"), "python": other}
    )
    assert wrong.status != 0
    assert PASSWORD not in wrong.text


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_host_without_an_index_deploys_from_a_wheelhouse(place: IndexHost, installer: str) -> None:
    host, house = place.host, place.folder / "wheels" / installer
    if installer == "uv":
        host.root("rm -rf /opt/flaskworks /var/cache/flaskworks")  # uv has to come along too
    name = {"uv": "blog", "pip": "shop"}[installer]
    # Markers that are not the controller's, a file that is compiled, and an index that the host does not have.
    wanted = 'jinja2\nredis==5.0.4 ; python_version < "3.10"\n--extra-index-url http://127.0.0.1:9/simple\n'
    site = place.site(name, word="__import__('markupsafe')._speedups.__name__.encode()", requirements__txt="jinja2\n")
    definition = {**site, "python": {"installer": installer, "wheelhouse": str(house)}}
    apps = place.apps(**{name: definition})
    collected = place.playbook("wheelhouse", flask_apps=apps)
    assert collected.status == 0, collected.text
    names = {path.name.split("-")[0] for path in house.glob("*.whl")}
    assert names == {"jinja2", "markupsafe", "gunicorn", *(["uv"] if installer == "uv" else [])}
    again = place.playbook("wheelhouse", flask_apps=apps)
    assert "changed=0" in again.text, again.text
    place.site(name, word="__import__('markupsafe')._speedups.__name__.encode()", requirements__txt=wanted)
    run = place.deploy("--diff", env=NOWHERE, **{name: definition})
    assert run.status == 0, run.text
    assert host.ask(app=name) == "200 markupsafe._speedups"
    assert not place.deploy(env=NOWHERE, **{name: definition}).result["changed"]
    sent = host.root(f"stat -c '%U:%G %a' /srv/{name}/wheels; ls /srv/{name}/wheels").split()
    assert sent[:2] == ["root:flaskworks-build", "750"]
    place.site(name, word="__import__('markupsafe')._speedups.__name__.encode()", requirements__txt=wanted + "redis\n")
    lacking = place.deploy(env=NOWHERE, **{name: definition})
    assert lacking.status != 0
    text = said(lacking.text)
    assert "redis can't be had: the wheelhouse has no fitting wheel of it: build the wheelhouse again" in text
    assert "redis (requirements.txt)" in text
    assert host.ask(app=name) == "200 markupsafe._speedups"
    place.site(name, requirements__txt="jinja2\n")
    refused = place.playbook(
        "wheelhouse",
        flask_apps=place.apps(**{name: {**definition, "python": {**definition["python"], "packages": ["uwsgi"]}}}),
    )
    assert refused.status != 0
    assert "uwsgi has no wheel for this Python and platform" in said(refused.text)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_only_files_with_the_right_hashes_are_installed(place: IndexHost, installer: str) -> None:
    host, house = place.host, place.folder / "wheels" / installer
    name = {"uv": "blog", "pip": "shop"}[installer]
    lines = hashed(house)
    definition = {"python": {"installer": installer, "require_hashes": True}}
    good = place.deploy(**{name: {**definition, **place.site(name, word="good", requirements__txt=lines)}})
    assert good.status == 0, good.text
    lock = host.root(f"cat /srv/{name}/current/requirements.lock")
    assert lock.count("--hash=sha256:") == lines.count("--hash=sha256:")
    digest = lines.split("sha256:")[1].split()[0]
    changed = lines.replace(digest, digest[::-1])
    bad = place.deploy(**{name: {**definition, **place.site(name, word="bad", requirements__txt=changed)}})
    assert bad.status != 0
    assert "a file is another one than its hash says, and nothing of it was installed" in said(bad.text)
    assert host.ask(app=name) == "200 good"
    unhashed = place.deploy(**{name: {**definition, **place.site(name, word="bad", requirements__txt="markupsafe\n")}})
    assert unhashed.status != 0
    assert "markupsafe: requirements.txt says it without a hash" in said(unhashed.text)
    assert "gunicorn: the server says it without a hash" in said(unhashed.text)
    some = "".join(line for line in lines.splitlines(keepends=True) if not line.startswith("markupsafe"))
    incomplete = place.deploy(**{name: {**definition, **place.site(name, word="bad", requirements__txt=some)}})
    assert incomplete.status != 0
    assert "markupsafe" in incomplete.text
    assert "has no hash" in said(incomplete.text)
    assert host.ask(app=name) == "200 good"


PYPROJECT = """
[project]
name = "lock-site"
version = "0.3"
requires-python = ">=3.11"
dependencies = [{dependencies}]
"""
PACKAGED = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
py-modules = ["site_code"]
"""


def test_a_lock_is_followed_and_drift_is_an_error(place: IndexHost) -> None:
    host = place.host
    site = place.site("locked", word="one", pyproject__toml=PYPROJECT.format(dependencies='"itsdangerous<2.2"'))
    uv = ensure_uv(plain_runner(), env=dict(os.environ), root=os.path.expanduser("~/.cache/flaskworks"))
    lock = [uv, "lock", "--quiet", "--directory", str(place.folder / "locked")]
    # As a person does it, with PyPI alone.
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    subprocess.run(lock, check=True, env=command_env(plain))
    definition = {**site, "python": {"packages": ["redis"]}}
    run = place.deploy(locked=definition)
    assert run.status == 0, run.text
    assert {"itsdangerous", "gunicorn", "redis"} <= set(place.packages("locked"))
    assert place.packages("locked")["itsdangerous"] == "2.1.2"
    assert place.record("locked") == place.packages("locked")
    assert host.root("find /srv/locked/current/venv/ -name '*.pyc' | grep -c itsdangerous") != "0\n"
    # A mirror, or a wheelhouse, has the same files as the index that the lock names.
    house = {**definition["python"], "wheelhouse": str(place.folder / "wheels" / "locked")}
    offline = {"locked": {**site, "python": house, "env": {"OFFLINE": "1"}}}
    collected = place.playbook("wheelhouse", flask_apps=place.apps(**offline))
    assert collected.status == 0, collected.text
    host.root("rm -rf /srv/locked/venvs/*/.flaskworks-venv.json /var/cache/flaskworks")
    run = place.deploy(env=NOWHERE, **offline)
    assert run.status == 0, run.text
    assert place.record("locked") == place.packages("locked")
    place.site("locked", word="two", pyproject__toml=PYPROJECT.format(dependencies='"itsdangerous<2.2", "markupsafe"'))
    for keys, env in ((offline["locked"], NOWHERE), (definition, None)):
        drift = place.deploy(env=env, locked=keys)
        assert drift.status != 0
        assert "uv.lock does not fit pyproject.toml: run `uv lock` in the project" in said(drift.text)
    assert host.ask(app="locked") == "200 one"


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_project_that_is_a_package_is_in_the_record(place: IndexHost, installer: str) -> None:
    text = PYPROJECT.format(dependencies='"itsdangerous"') + PACKAGED
    site = place.site("packed", word=installer, pyproject__toml=text)
    run = place.deploy(packed={**site, "python": {"installer": installer}})
    assert run.status == 0, run.text
    assert place.record("packed") == place.packages("packed")
    assert place.packages("packed")["lock-site"] == "0.3"
    record = json.loads(place.host.root("cat /srv/packed/current/release.json"))
    assert record["packages"] == place.packages("packed")


def test_a_python_that_is_not_there_and_requirements_that_contradict(place: IndexHost) -> None:
    site = place.site("blog", word="none", requirements__txt="flask\n")
    run = place.deploy(blog={**site, "python": {"interpreter": "python3.99"}})
    there = {"12": "python3.11", "13": "python3.13"}[place.debian]
    assert run.status != 0
    assert "python3.99 is not on this host, and none is ever downloaded. The host has" in said(run.text)
    assert there in run.text
    refused = place.playbook("site", flask_apps=place.apps(blog={**site, "python": {"interpreter": "python3.12"}}))
    assert "which has no python3.12, and no other package source of the host has it either" in said(refused.text)
    assert f"It has python3, {there}, pypy3" in said(refused.text)
    for installer in ("uv", "pip"):
        python = {"installer": installer, "packages": ["flask==3.1.0", "werkzeug<3"]}
        conflict = place.deploy(blog={**site, "python": python})
        assert conflict.status != 0
        text = said(conflict.text)
        assert "the requirements contradict each other: no set of versions suits all of them. Asked for:" in text
        assert "werkzeug<3 (python.packages)" in text


def test_two_releases_are_compared(place: IndexHost) -> None:
    keys = {"env": {"MODE": "one"}, "secrets": {"KEY": f"{PASSWORD}-1"}}
    site = place.site("packed", word="old", requirements__txt="itsdangerous==2.1.2\n")
    (place.folder / "packed" / "pyproject.toml").unlink(missing_ok=True)
    first = place.deploy(packed={**site, **keys})
    assert first.status == 0, first.text
    place.site("packed", word="new", requirements__txt="itsdangerous==2.2.0\nmarkupsafe==3.0.2\n")
    keys = {"env": {"MODE": "two"}, "secrets": {"KEY": f"{PASSWORD}-2", "OTHER": PASSWORD}}
    second = place.deploy(packed={**site, **keys, "server": {"worker_class": "sync", "workers": 2}})
    assert second.status == 0, second.text
    shown = place.folder / "status.json"
    definition = place.apps(packed={**site, **keys})
    asked = {"app": "packed", "compare": "previous,live", "status_file": str(shown), "flask_apps_owner": "packed"}
    told = place.playbook("status", flask_apps=definition, **asked)
    assert told.status == 0, told.text
    (app,) = json.loads(shown.read_text())["hosts"][f"environments{place.debian}"]["apps"]
    found = app["diff"]
    assert found["packages"] == {
        "added": [{"name": "markupsafe", "version": "3.0.2"}],
        "removed": [],
        "changed": [{"name": "itsdangerous", "old": "2.1.2", "new": "2.2.0"}],
    }
    assert found["secrets"] == {"added": ["OTHER"], "removed": [], "changed": ["KEY"]}
    assert found["environment"]["changed"] == ["MODE"]
    assert found["code"]
    assert any(line == "+workers = 2" for lines in found["settings"].values() for line in lines)
    assert PASSWORD not in told.text + shown.read_text()
    assert ["itsdangerous", "2.1.2", "2.2.0"] in [line.split() for line in told.text.splitlines()]
    back = place.playbook("status", flask_apps=definition, **{**asked, "compare": "zzz"})
    assert "'zzz' is no kept release of packed; kept releases: 20" in back.text
