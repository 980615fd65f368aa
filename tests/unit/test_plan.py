"""What an application becomes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.entries import check_entries
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.unit_files import render_unit
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

ROOT = Path(__file__).resolve().parents[2]
SPEC = entry_points("flask_apps")
SMALLEST = {
    "source": {"git": "https://git.example.org/blog.git", "version": "v1"},
    "wsgi": "blog:create_app()",
    "domains": ["blog.example.org"],
}


def plan(defaults: Any = None, **keys: Any) -> dict[str, Any]:
    """The plan of a host with one application."""
    return make_plan(SPEC, {"blog": {**SMALLEST, **keys}}, defaults)


def release(**keys: Any) -> dict[str, Any]:
    """What the module of releases takes for it."""
    found: dict[str, Any] = plan(**keys)["releases"]["blog"]
    return found


def service(**keys: Any) -> dict[str, Any]:
    """The [Service] of its unit."""
    found: dict[str, Any] = release(**keys)["units"]["blog@.service"]["Service"]
    return found


def test_the_smallest_application_is_complete() -> None:
    made = release()
    assert made["source"] == {"type": "git", "url": SMALLEST["source"]["git"], "version": "v1", "subdir": ""}  # type: ignore[index]
    assert made["python"]["packages"] == ["gunicorn"]
    assert made["server"]["settings"]["wsgi_app"] == "blog:create_app()"
    assert made["server"]["access_log"] == "json"
    assert made["health"] == {"path": "/", "status": [200], "timeout": 30, "host": "blog.example.org", "scheme": "http"}
    assert made["keep"] == 5
    for key in ("public", "env", "secrets", "files"):
        assert made[key] == {}


def test_nothing_to_deploy_is_a_plan() -> None:
    made = make_plan(SPEC, {})
    assert made["releases"] == made["nginx_sites"] == made["ufw_rules"] == {}


def test_the_output_is_plain_data_and_the_input_is_not_changed() -> None:
    apps = {
        "shop": {**SMALLEST, "domains": ["shop.example.org"]},
        "blog": {**SMALLEST, "server": {"settings": {"timeout": 5}}},
    }
    before = copy.deepcopy(apps)
    first, second = make_plan(SPEC, apps), make_plan(SPEC, dict(reversed(list(apps.items()))))
    assert apps == before
    assert json.dumps(first) == json.dumps(second)
    assert list(first["releases"]) == ["blog", "shop"]


def test_two_plans_share_no_object() -> None:
    first = plan()
    first["releases"]["blog"]["units"]["blog@.service"]["Service"]["SystemCallFilter"].append("x")
    first["nginx_sites"]["blog"]["listen"].append(99)
    first["releases"]["blog"]["health"]["status"].append(1)
    second = plan()
    assert second["releases"]["blog"]["units"]["blog@.service"]["Service"]["SystemCallFilter"][-1] != "x"
    assert second["nginx_sites"]["blog"]["listen"] == [80]
    assert second["releases"]["blog"]["health"]["status"] == [200]


def test_what_is_emitted_is_what_the_roles_take() -> None:
    everything = plan(
        static={"/static/": "src:blog/static/", "/media/": "shared:media/"},
        shared=["media", "instance"],
        nginx={
            "listen": [8080, 80, 80],
            "locations": {"/events": {"stream": True}, "/ws/": {"websocket": True, "read_timeout": 30}},
            "trusted_proxies": ["10.0.0.0/8"],
        },
        logs={"maxsize": "10M"},
    )
    for role in ("nginx_sites", "logrotate_policies", "ufw_rules"):
        checked, problems = check_entries(entry_points(role), everything[role], role)
        assert problems == []
        for name, emitted in everything[role].items():
            for key in set(emitted) - {"locations"}:
                assert checked[name][key] == emitted[key]
    assert everything["nginx_sites"]["blog"]["listen"] == [80, 8080]
    assert everything["ufw_rules"]["sites"]["ports"] == ["80", "8080"]


def test_units_are_units() -> None:
    made = release(
        limits={"memory": "512M", "cpu": "50%", "nofile": 1024, "nproc": 64, "tasks": 128},
        systemd={"Service": {"Nice": 5}},
    )
    texts = {name: render_unit(sections, name) for name, sections in made["units"].items()}
    lines = texts["blog@.service"].splitlines()
    for line in (
        "MemoryMax=512M",
        "CPUQuota=50%",
        "LimitNOFILE=1024",
        "LimitNPROC=64",
        "TasksMax=128",
        "Nice=5",
        "LimitCORE=0",
    ):
        assert line in lines
    assert "Sockets=blog@%i.socket" in lines
    assert "Requires=blog@%i.socket" in lines
    assert "ListenStream=/run/blog/%i.sock" in texts["blog@.socket"].splitlines()
    # The start limit counts in [Unit] only.
    assert lines.index("StartLimitBurst=5") < lines.index("[Service]")


def test_only_the_master_speaks_for_the_service() -> None:
    # NotifyAccess=all alone costs 0.2 points of systemd-analyze security.
    assert "NotifyAccess" not in service()


def test_uploads_are_readable_by_their_group_and_by_nobody_else() -> None:
    assert release()["server"]["settings"]["umask"] == "0027"
    assert release(server={"settings": {"umask": "0077"}})["server"]["settings"]["umask"] == "0077"


def test_no_limit_is_set_unless_asked_for() -> None:
    assert not {"LimitNOFILE", "MemoryMax", "CPUQuota", "TasksMax", "LimitNPROC"} & set(service())


def test_systemd_waits_longer_than_gunicorn_gives_its_workers() -> None:
    assert service()["TimeoutStopSec"] == 35
    assert service(server={"settings": {"graceful_timeout": 120}})["TimeoutStopSec"] == 125


def test_a_slow_start_is_not_cut_short_by_systemd() -> None:
    assert service(health={"timeout": 200})["TimeoutStartSec"] > 200


def test_directives_of_the_user_win_and_null_removes_one() -> None:
    made = service(systemd={"Service": {"RestartSec": 9, "PrivateDevices": None}})
    assert made["RestartSec"] == 9
    assert "PrivateDevices" not in made


def test_isolation_closes_the_network() -> None:
    assert "PrivateNetwork" not in service()
    assert service(systemd={"hardening": "isolated"})["PrivateNetwork"] is True


def test_the_socket_can_be_tuned() -> None:
    made = release(systemd={"Socket": {"Backlog": 64}})
    assert made["units"]["blog@.socket"]["Socket"]["Backlog"] == 64
    assert "Socket" not in made["units"]["blog@.service"]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("gunicorn", {"worker_class": "gthread", "workers": "auto", "threads": 4}),
        ({"worker_class": "sync", "workers": 2}, {"worker_class": "sync", "workers": 2}),
        ({"threads": 8}, {"worker_class": "gthread", "workers": "auto", "threads": 8}),
        ({"settings": {"timeout": 5}}, {"worker_class": "gthread", "workers": "auto", "threads": 4, "timeout": 5}),
    ],
)
def test_the_server(server: Any, expected: dict[str, Any]) -> None:
    settings = release(server=server)["server"]["settings"]
    assert {
        key: settings[key] for key in settings if key not in ("wsgi_app", "accesslog", "errorlog", "umask")
    } == expected


def test_what_a_worker_class_needs_is_installed_by_itself() -> None:
    assert release(server={"worker_class": "gevent"})["python"]["packages"] == ["gunicorn[gevent]"]
    pinned = release(server={"worker_class": "gevent"}, python={"packages": ["gunicorn==21.2"]})["python"]["packages"]
    assert pinned == ["gunicorn==21.2", "gunicorn[gevent]"]
    assert "gunicorn[setproctitle]" in release(server={"settings": {"proc_name": "x"}})["python"]["packages"]


@pytest.mark.parametrize("pinned", ["gunicorn==21.2", "Gunicorn>=20", "gunicorn[gevent]~=25.0", "gunicorn"])
def test_a_pinned_gunicorn_stays_the_only_one(pinned: str) -> None:
    assert release(python={"packages": [pinned, "redis"]})["python"]["packages"] == [pinned, "redis"]


def test_static_paths_never_share_a_name() -> None:
    made = plan(static={"/a/b/": "src:one/", "/a-b/": "src:two/", "/a.b/": "src:three/", "/a_b/": "package:four/"})
    public = made["releases"]["blog"]["public"]
    assert sorted(public.values()) == ["package:four/", "src:one/", "src:three/", "src:two/"]
    aliases = made["nginx_sites"]["blog"]["aliases"]
    assert {first.removeprefix("/srv/blog/current/public/").rstrip("/") for first, dummy in aliases.values()} == set(
        public
    )


def test_files_of_the_release_before_stay_reachable_and_shared_ones_are_there_anyway() -> None:
    static = {"/static/": "src:one/", "/lib/": "package:two/", "/media/": "shared:media/"}
    assert plan(static=static, shared=["media"])["nginx_sites"]["blog"]["aliases"] == {
        "/lib/": ["/srv/blog/current/public/lib/", "/srv/blog/previous/public/lib/"],
        "/media/": "/srv/blog/shared/media/",
        "/static/": ["/srv/blog/current/public/static/", "/srv/blog/previous/public/static/"],
    }


def test_a_site_reads_what_the_host_itself_decides() -> None:
    assert plan()["nginx_sites"]["blog"]["includes"] == ["/etc/nginx/flaskworks/blog/*.conf"]


def test_logs_are_rotated_by_their_owner_and_opened_anew() -> None:
    policy = plan(logs={"rotate": 3, "frequency": "weekly"})["logrotate_policies"]["blog"]
    assert policy["paths"] == ["/var/log/blog/*.log"]
    assert (policy["rotate"], policy["frequency"], policy["su"], policy["method"]) == (
        3,
        "weekly",
        "blog adm",
        "reopen",
    )
    systemd, others = policy["postrotate"]
    assert systemd == "systemctl kill --signal=USR1 --kill-whom=main 'blog@*.service'"
    assert "for launch in /srv/blog/releases/*/launch;" in others
    assert 'runuser -u blog -- "$launch" reopen' in others


@pytest.mark.parametrize(("access", "of_nginx"), [("json", "json"), ("classic", "combined"), ("none", "none")])
def test_both_logs_have_one_form(access: str, of_nginx: str) -> None:
    assert plan(logs={"access": access})["nginx_sites"]["blog"]["access_log"] == of_nginx


def test_logs_go_to_the_journal() -> None:
    made = plan(logs={"to": "journal"})
    entry = made["releases"]["blog"]
    assert [entry["server"]["settings"][name] for name in ("accesslog", "errorlog")] == ["-", "-"]
    service = entry["units"]["blog@.service"]["Service"]
    assert service["LogRateLimitIntervalSec"] == "1s", "0 means the journal's own limit"
    assert entry["log_dir"] == ""
    assert "/var/log" not in json.dumps(entry)
    assert made["logrotate_policies"] == {}
    assert made["nginx_sites"]["blog"]["access_log"] == "json"
    assert "LogRateLimitBurst" not in release()["units"]["blog@.service"]["Service"]


def test_no_access_log() -> None:
    made = release(logs={"access": "none"})["server"]
    assert made["access_log"] == "none"
    assert "accesslog" not in made["settings"]


@pytest.mark.parametrize(
    ("domains", "host"),
    [(["a.example.org", "b.example.org"], "a.example.org"), (["*.example.org"], "www.example.org"), ([], "localhost")],
)
def test_the_probe_names_a_host_that_the_site_knows(domains: list[str], host: str) -> None:
    assert release(domains=domains)["health"]["host"] == host
    assert release(domains=domains, health={"host": "x.example.org"})["health"]["host"] == "x.example.org"
    assert plan(domains=domains)["nginx_sites"]["blog"]["default_server"] is (not domains)


def test_packages() -> None:
    assert plan(python={"apt": ["libpq5"]})["packages"] == [
        *("ca-certificates", "git", "libpq5", "logrotate", "nginx", "python3-venv", "ufw")
    ]
    local = make_plan(SPEC, {"blog": {**SMALLEST, "source": {"path": "."}}}, firewall=False)
    assert not {"git", "ufw"} & set(local["packages"])
    assert "openssh-client" in plan(source={"git": "git@git.example.org:blog.git"})["packages"]


def test_accounts() -> None:
    assert plan()["accounts"] == {"blog": {"home": "/srv/blog", "groups": []}}


def test_defaults_are_merged_key_by_key() -> None:
    defaults = {
        "server": {"worker_class": "sync", "workers": 2},
        "env": {"A": "1", "B": "2"},
        "python": {"packages": ["redis"]},
        "systemd": {"Service": {"Nice": 5}},
        "keep": 9,
    }
    made = plan(defaults, env={"B": "3", "A": None}, server={"workers": 7}, python={"packages": ["flask"]}, keep=None)
    found = made["releases"]["blog"]
    assert found["env"] == {"B": "3"}
    assert found["server"]["settings"]["workers"] == 7
    assert found["server"]["settings"]["worker_class"] == "sync"
    assert found["python"]["packages"] == ["flask", "gunicorn"]
    assert found["keep"] == 5
    assert found["units"]["blog@.service"]["Service"]["Nice"] == 5


def test_the_short_form_of_a_server_merges_with_the_long_one() -> None:
    for defaults, server in ((({"server": "gunicorn"}), {"workers": 3}), ({"server": {"workers": 3}}, "gunicorn")):
        assert plan(defaults, server=server)["releases"]["blog"]["server"]["settings"]["workers"] == 3


def test_another_kind_of_server_replaces_the_one_of_the_defaults() -> None:
    workers: dict[str, Any] = {"server": {"workers": 3, "worker_class": "gthread", "settings": {"timeout": 9}}}
    for server in ("gevent", {"type": "gevent"}):
        assert plan(workers, server=server)["releases"]["blog"]["server"]["type"] == "gevent"
    gevent = {"server": {"type": "gevent", "settings": {"worker_connections": 7}}}
    made = plan(gevent, server="gunicorn")["releases"]["blog"]["server"]["settings"]
    assert "worker_connections" not in made
    more = plan(gevent, server={"type": "gevent", "settings": {"graceful_timeout": 8}})["releases"]["blog"]["server"]
    assert (more["settings"]["worker_connections"], more["settings"]["graceful_timeout"]) == (7, 8)


def test_a_variable_of_the_environment_may_be_called_server() -> None:
    made = plan({"env": {"A": "1"}}, env={"server": "x"})
    assert made["releases"]["blog"]["env"] == {"A": "1", "server": "x"}


def test_a_directive_of_the_role_is_removed_though_the_defaults_have_it_too() -> None:
    made = plan({"systemd": {"Service": {"ProtectHome": "read-only"}}}, systemd={"Service": {"ProtectHome": None}})
    assert "ProtectHome" not in made["releases"]["blog"]["units"]["blog@.service"]["Service"]


def test_files_carry_what_was_said_only() -> None:
    made = release(files={"b.py": {"content": ""}, "a.py": {"template": "a.j2"}})
    assert made["files"] == {"a.py": {"template": "a.j2"}, "b.py": {"content": ""}}
    assert list(made["files"]) == ["a.py", "b.py"]


def test_gevent_alone_is_one_program_without_workers() -> None:
    made = release(server={"type": "gevent", "settings": {"worker_connections": 50, "graceful_timeout": 7}})
    assert made["python"]["packages"] == ["gevent"]
    assert made["server"]["type"] == "gevent"
    assert set(made["server"]["settings"]) == {
        *("wsgi_app", "accesslog", "errorlog", "umask", "worker_connections", "graceful_timeout"),
    }
    service = made["units"]["blog@.service"]["Service"]
    assert service["ExecStart"] == "/srv/blog/releases/%i/venv/bin/python /srv/blog/releases/%i/serve.py"
    assert service["TimeoutStopSec"] == 12
    assert "ExecReload" not in service


def test_a_server_that_is_named_among_the_packages_is_not_named_again() -> None:
    made = release(server="gevent", python={"packages": ["Gevent==24.11.1"]})
    assert made["python"]["packages"] == ["Gevent==24.11.1"]


def test_workers_share_what_the_limits_leave() -> None:
    made = release(server={"workers": "cpu"}, limits={"cpu": "150%", "memory": "512M"})
    assert made["server"]["settings"]["workers"] == "cpu"
    assert made["server"]["limits"] == {"cpu": "150%", "memory": "512M"}
