"""Promise: one value chooses the server; the site, its logs and its visitors notice nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.machine import booted, debians, folder_of
from e2e.servers.site import Site, write_requirements
from e2e.story import DOMAIN
from e2e.visitors import Load
from unit.served import FIELDS

ASGI = {"wsgi": "asgi_pages:app"}
# name -> what the inventory says, what the application sees of it.
SERVERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sync": ({"worker_class": "sync", "workers": 6}, {"program": "gunicorn", "patched": False, "workers": True}),
    "gevent workers": (
        {"worker_class": "gevent", "workers": "cpu"},
        {"program": "gunicorn", "patched": True, "workers": True},
    ),
    "gevent_wsgi": ({"worker_class": "gevent_wsgi"}, {"program": "gunicorn", "patched": True}),
    "gevent_pywsgi": ({"worker_class": "gevent_pywsgi"}, {"program": "gunicorn", "patched": True}),
    "gevent alone": ({"type": "gevent"}, {"program": "serve.py", "patched": True, "workers": False}),
    "flask": ({"type": "flask"}, {"program": "serve.py", "patched": False, "workers": False}),
    "tornado": ({"worker_class": "tornado"}, {"program": "gunicorn", "patched": False}),
    "asgi": ({"worker_class": "asgi"}, {}),
}


@pytest.fixture(scope="module", params=debians())
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name = f"servers{request.param}"
    with booted(Site, name, request.param, folder_of(name, tmp_path_factory), publish=[80]) as made:
        made.prepare()
        yield made


def load(site: Site, slow_every: int = 20) -> Load:
    style = "/static/style.css"
    return Load(site.root, DOMAIN, rate=50, slow_every=slow_every, static_path=style, static_share=0.2)


def test_the_default_is_gunicorn_with_threads(site: Site) -> None:
    run = site.choose({})
    assert run.status == 0, run.text
    facts = site.process_facts()
    assert (facts["program"], facts["patched"]) == ("gunicorn", False)
    web = site.status()["web"]
    assert web["workers"] == web["workers_configured"] > 1
    assert web["workers_reason"].startswith("auto: 2 x ")
    assert f"server: gunicorn, {web['workers']} workers (auto: 2 x " in site.root("flaskworks story status")


def test_the_development_server_needs_a_word_of_the_inventory(site: Site) -> None:
    live = site.live()
    run = site.choose("flask")
    assert run.status != 0
    assert "say allow_dev_server: true" in run.flat
    assert (site.live(), site.visit("/")) == (live, "fine")


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_takes_over_and_loses_nobody(site: Site, name: str) -> None:
    said, seen = SERVERS[name]
    changes = {"allow_dev_server": name == "flask", **(ASGI if name == "asgi" else {})}
    # Tornado's loop stands still while a WSGI callable sleeps.
    with load(site, 0 if name in ("tornado", "asgi") else 20) as visitors:
        run = site.choose(said, **changes)
    assert run.status == 0, run.text
    assert visitors.summary["lost"] == 0, visitors.summary
    assert len(visitors.records) > 100
    assert site.units() == set(), "something of the old server is left"
    if seen:
        facts = site.process_facts()
        assert {key: facts[key] for key in seen} == seen
    web = site.status()["web"]
    assert web["workers"] == web["workers_configured"]
    assert site.status()["state"] == "live"
    check_logs(site, name.replace(" ", "-"))


def check_logs(site: Site, mark: str) -> None:
    """A request is one line with all fields, and has the id that nginx gave it; a static file never gets there."""
    assert site.visit(f"/missing?-{mark}") in ("404", "fine")
    site.root(f"curl -s -H 'Host: {DOMAIN}' -A agent-{mark} http://127.0.0.1/page-{mark}")
    site.root(f"curl -s -H 'Host: {DOMAIN}' -A static-{mark} http://127.0.0.1/static/style.css")
    (record,) = site.records(f"page-{mark}")
    assert list(record) == FIELDS
    assert (record["status_code"], record["request_method"], record["host"]) == (200, "GET", DOMAIN)
    assert (record["remote_addr"], record["user_agent"]) == ("127.0.0.1", f"agent-{mark}")
    assert record["request_path"] == f"/page-{mark}"
    assert record["response_length"] >= 4
    assert 0 <= record["request_time"] < 5
    assert record["request_id"] in site.root(f"grep -h page-{mark} /var/log/nginx/story.access.log")
    assert site.root("grep -c static/style.css /var/log/story/access.log || true").strip() == "0"
    assert site.root(f"grep -c static-{mark} /var/log/nginx/story.access.log").strip() == "1"


def test_websockets_and_streams_pass_through_nginx(site: Site) -> None:
    assert site.websocket() == "101 echo hello"
    first = site.root(f"curl -sN -H 'Host: {DOMAIN}' -m 2 http://127.0.0.1/stream || true")
    assert 2 <= first.count("line") < 40, "the stream was kept back"


def test_the_same_again_is_nothing(site: Site) -> None:
    assert site.play("site.yml").recap()["changed"] == 0


@pytest.mark.parametrize("server", [{"type": "gevent"}, {"workers": 2}], ids=["gevent", "gunicorn"])
def test_signals_mean_the_same_to_every_server(site: Site, server: dict[str, Any]) -> None:
    run = site.choose(server)
    assert run.status == 0, run.text
    assert site.play("site.yml").recap()["changed"] == 0
    unit, first = f"story@{site.live()}.service", site.main_pid()
    ask = f"curl -s -m 20 -H 'Host: {DOMAIN}' http://127.0.0.1"
    site.root(f"kill -9 {first}")
    wait(lambda: site.main_pid() not in (0, first) and site.visit("/") == "fine", "its return after kill -9")
    assert site.root(f"systemctl show --property=NRestarts --value {unit}").strip() == "1"
    second = site.main_pid()
    # A request that is under way is answered; the end is no failure, so nobody starts it but the next visitor.
    answer = site.root(f"({ask}/slow & sleep 0.5; kill -15 {second}; wait)")
    assert answer.strip() == "fine"
    wait(lambda: site.main_pid() == 0, "its end after kill -15")
    shown = site.root(f"systemctl show --property=ActiveState,Result,NRestarts,ExecMainStatus {unit}").split()
    assert set(shown) == {"ActiveState=inactive", "Result=success", "NRestarts=1", "ExecMainStatus=0"}
    assert site.visit("/") == "fine"
    site.root("mv /var/log/story/access.log /var/log/story/access.log.moved")
    site.root(f"systemctl kill --signal=USR1 --kill-whom=main {unit}")
    wait(lambda: site.visit("/after") == "fine" and site.records("/after") != [], "the reopened log")
    assert site.main_pid() != 0


def test_a_factory_with_quoted_arguments(site: Site) -> None:
    run = site.choose("gevent", wsgi="pages:make('one', quoted=\"it's\")")
    assert run.status == 0, run.text
    assert site.process_facts()["made"] == ["one"]


@pytest.mark.parametrize("version", ["20.1.0", "21.2.0"])
def test_an_old_gunicorn_that_the_site_pins_works(site: Site, version: str) -> None:
    write_requirements(site.code, f"gunicorn=={version}")
    run = site.choose({"worker_class": "gevent", "workers": 1}, python={})
    assert run.status == 0, run.text
    assert site.process_facts()["software"] == f"gunicorn/{version}"
    check_logs(site, f"old-{version}")


@pytest.mark.parametrize(
    ("pins", "server", "installer", "words"),
    [
        (["gunicorn==20.1.0"], {"worker_class": "asgi"}, "uv", ("gunicorn==20.1.0 in requirements.txt", "asgi")),
        (["gevent==1.5.0"], {"worker_class": "gevent"}, "uv", ("gevent==1.5.0 in requirements.txt", "gevent")),
        (
            *(["gunicorn==27.0.1", "gevent==23.9.1"], {"worker_class": "gevent"}, "uv"),
            ("gevent==23.9.1 in requirements.txt", "gunicorn==27.0.1 in requirements.txt"),
        ),
        (
            # pip says something else about it on each Debian.
            *(["gunicorn==27.0.1", "gevent==23.9.1"], {"worker_class": "gevent"}, "pip"),
            ("gevent==23.9.1 in requirements.txt", "gunicorn==27.0.1 in requirements.txt"),
        ),
    ],
    ids=["asgi of old gunicorn", "gevent that can't be built", "gevent too old", "gevent too old, pip"],
)
def test_pins_that_make_it_impossible_are_named(
    site: Site, pins: list[str], server: dict[str, Any], installer: str, words: tuple[str, ...]
) -> None:
    live = site.live()
    write_requirements(site.code, *pins)
    try:
        run = site.choose(server, python={"installer": installer}, **(ASGI if server["worker_class"] == "asgi" else {}))
    finally:
        write_requirements(site.code)
    assert run.status != 0
    assert all(word in run.flat for word in words), run.text
    assert (site.live(), site.visit("/")) == (live, "fine")


def test_back_to_a_release_with_another_server(site: Site) -> None:
    with load(site) as visitors:
        run = site.play("rollback", "-e", "app=story")
    assert run.status == 0, run.text
    assert visitors.summary["lost"] == 0, visitors.summary
    assert site.visit("/") == "fine"


def wait(condition: Any, what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still waiting for {what}"
        time.sleep(0.2)
