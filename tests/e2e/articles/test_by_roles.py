"""tests/articles/by_roles.yml: gunicorn on a port, by roles alone."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.articles.articles import ask, processes, read, site_of, state_of
from e2e.support import Site, output, play, wait_until


@pytest.fixture
def site(host: Any) -> Site:
    return site_of(host, "bare")


def test_each_setting_of_the_article_counts(site: Site) -> None:
    wanted = {
        "bind": ["127.0.0.1:8000"],
        "backlog": 512,
        "chdir": "/opt/bare/site",
        "timeout": 30,
        "preload_app": True,
        "proc_name": "bare-site",
        "pidfile": "/run/bare/gunicorn.pid",
        "loglevel": "info",
        "accesslog": "/var/log/bare/access.log",
        "errorlog": "/var/log/bare/error.log",
        "workers": 4,
        "worker_class": "sync",
    }
    found = site.get("/settings").json()
    assert {name: found[name] for name in wanted} == wanted


def test_its_port_is_that_of_the_host_alone_and_has_512_places(host: Any) -> None:
    lines = [line.split() for line in output(host, "ss -tlnH").splitlines()]
    assert [line[2:4] for line in lines if line[3].endswith(":8000")] == [["512", "127.0.0.1:8000"]]
    main = output(host, "systemctl show --property=MainPID --value bare")
    assert read(host, "/run/bare/gunicorn.pid") == main
    assert "master [bare-site]" in output(host, "ps -p %s -o args=", main)


def test_files_never_reach_python_and_nothing_beside_them_is_shown(host: Any, site: Site) -> None:
    answer = site.get("/static/style.css")
    assert (answer.status_code, "X-Served-By" in answer.headers) == (200, False)
    for path in ("/static../secret.txt", "/media-private/secret.txt", "/media../secret.txt"):
        assert ask(host, "82", site.name, path)[0] == 404


def test_killed_it_is_back_and_asked_to_end_it_ends(host: Any, site: Site) -> None:
    before = processes(host, "bare")
    output(host, "systemctl kill --signal=KILL --kill-whom=main bare")
    # Workers without their master answer on until systemd ends them.
    wait_until(lambda: not before & processes(host, "bare"), 20, "the old one is gone")
    wait_until(lambda: site.get("/health").status_code == 200, 20, "it answers again")
    output(host, "systemctl kill --signal=TERM --kill-whom=main bare")
    wait_until(lambda: state_of(host, "bare.service")[0] != "active", 20, "it ended")
    wait_until(lambda: state_of(host, "bare.service")[0] != "deactivating", 20, "it ended")
    assert state_of(host, "bare.service") == ("inactive", "dead", "success")
    assert site.get("/health").status_code == 502
    # It has no socket of systemd's, so visitors don't start it. A second run of the roles does.
    assert play(host, "tests/articles/by_roles.yml").changed != []
    wait_until(lambda: site.get("/health").status_code == 200, 20, "it answers again")


def test_a_second_run_changes_nothing(host: Any) -> None:
    assert play(host, "tests/articles/by_roles.yml").changed == []
