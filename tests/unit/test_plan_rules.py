"""Every rule of the plan refuses what it is about, in the words that users are promised, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils.entries import ENTRY_RULES
from ansible_collections.flaskworks.deploy.plugins.module_utils.logrotate_files import PACKAGED
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_edge import CHECKS as EDGE
from ansible_collections.flaskworks.deploy.plugins.module_utils.plain import to_plain
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_names import NAME_LENGTH, RESERVED
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import RULES
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_web import domain_fault
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError, Problem
from ansible_collections.flaskworks.deploy.plugins.module_utils.undefined import Undefined
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

ROOT = Path(__file__).resolve().parents[2]
CASES: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/e2e/bad_input/cases.yml").read_text())["cases"]
SPEC = entry_points("flask_apps")
GOOD = {"source": {"path": "."}, "wsgi": "app:app", "domains": ["blog.example.org"]}


def with_undefined(value: Any) -> Any:
    """What the filter makes of an inventory in which one variable is nowhere."""
    return to_plain(value, lambda leaf: Undefined("'nowhere' is undefined") if leaf == "{{ nowhere }}" else leaf)


def problems(apps: Any, defaults: Any = None, require: Any = ()) -> list[Problem]:
    """What is wrong with an inventory."""
    try:
        make_plan(SPEC, with_undefined(apps), with_undefined(defaults), require=require)
    except InventoryError as error:
        return error.problems
    return []


def blog(**keys: Any) -> list[tuple[str, str]]:
    """The rules that an otherwise right application breaks, and where."""
    found = problems({"blog": {**GOOD, **keys}})
    return [(problem.rule, problem.path.removeprefix("flask_apps.blog").lstrip(".")) for problem in found]


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case['rule']}" for number, case in enumerate(CASES)])
def test_a_case_breaks_its_rule_and_no_other(case: dict[str, Any]) -> None:
    found = problems(case["apps"], case.get("defaults"), case.get("require", ()))
    assert [problem.rule for problem in found] == [case["rule"]]
    assert case["says"] in str(found[0])


@pytest.mark.parametrize(
    ("target", "wsgi", "held"),
    [
        ("src:blog/", "blog:app", True),
        ("src:blog/", "blog.wsgi:create_app()", True),
        ("src:src/", "blog:app", True),
        ("src:src/blog/", "blog:app", True),
        ("package:blog/", "blog:app", True),
        ("src:blog/static/", "blog:app", False),
        ("src:static/", "blog:app", False),
        ("src:static/blog/", "blog:app", False),
        ("package:admin/static/", "blog:app", False),
        ("shared:blog/", "blog:app", False),
    ],
)
def test_code_is_no_static_file(target: str, wsgi: str, held: bool) -> None:
    assert blog(static={"/static/": target}, wsgi=wsgi, shared=["blog"] if target.startswith("shared:") else []) == (
        [("static-code", "static./static/")] if held else []
    )


def test_what_is_shared_within_a_static_directory_has_a_path_of_its_own() -> None:
    source = {"/static/": "src:static/"}
    wrong = [("static-shared", "static./static/")]
    for name in ("static/uploads", "static/a/b"):
        assert blog(static=source, shared=[name]) == wrong
    assert blog(static=source | {"/static/uploads/": "src:other/"}, shared=["static/uploads"]) == wrong
    assert blog(static=source | {"/static/uploads/": "shared:static/uploads/"}, shared=["static/uploads"]) == []
    assert blog(static=source, shared=["static-data", "media"]) == []


def test_the_development_server_is_for_inventories_that_say_so() -> None:
    made = make_plan(SPEC, {"blog": {**GOOD, "server": "flask"}}, allow_dev_server=True)["releases"]["blog"]
    assert made["server"]["type"] == "flask"
    assert made["python"]["packages"] == ["werkzeug"]
    (found,) = problems({"blog": {**GOOD, "server": "flask"}})
    assert "say allow_dev_server: true, a variable of the inventory" in str(found)


def test_every_rule_has_a_case() -> None:
    # The name of an application has a rule of its own, stricter than that of an entry.
    rules = (set(RULES) | set(ENTRY_RULES)) - {"entry-name"}
    assert {case["rule"] for case in CASES} == rules


def test_every_rule_is_kept_by_some_code() -> None:
    used = set()
    for path in (ROOT / "plugins/module_utils").glob("plan*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name)):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                place = {"add": 0, "texts": 1}.get(name)
                if place is None or len(node.args) < 3:
                    continue
                rule = node.args[place]
                if isinstance(rule, ast.Constant):
                    used.add(rule.value)
    assert used | set(EDGE) == set(RULES)
    assert not used & set(EDGE)


def test_all_problems_of_all_applications_come_at_once() -> None:
    apps = {
        "blog": {**GOOD, "domains": ["x y"], "keep": 0, "servr": 1, "secrets": {"KEY": 5}},
        "news": GOOD,
        "Shop": GOOD,
    }
    assert [problem.rule for problem in problems(apps, {"kep": 1})] == [
        "unknown-key",
        "app-name",
        "domain",
        "keep",
        "wrong-type",
        "unknown-key",
        "app-name-reserved",
    ]


def test_no_secret_is_repeated_in_a_message() -> None:
    canary = 918273645
    keys = {"secrets": {"A": canary, "B-C": str(canary), "D": f"{{{{ {canary} }}}}"}, "env": {"E": canary}}
    url = {"source": {"git": f"https://ann:{canary}@git.example.org/blog.git"}}
    listed = {"secrets": [canary]}
    for wrong in (keys, url, listed):
        found = problems({"blog": {**GOOD, **wrong}})
        assert found
        assert str(canary) not in str(InventoryError(found))


@pytest.mark.parametrize("name", sorted({name for names in RESERVED.values() for name in names.split()}))
def test_a_reserved_name_is_refused(name: str) -> None:
    assert {problem.rule for problem in problems({name: GOOD})} <= {"app-name-reserved", "app-name"}
    assert problems({name: GOOD})


def test_no_name_takes_the_place_of_a_package() -> None:
    assert {name for name in PACKAGED if not problems({name: GOOD})} == set()


def test_the_longest_name_leaves_room_for_the_socket() -> None:
    plan = make_plan(SPEC, {"a" * NAME_LENGTH: GOOD})
    (release,) = plan["releases"].values()
    listen = release["units"][f"{'a' * NAME_LENGTH}@.socket"]["Socket"]["ListenStream"]
    release_id = "20260101-000000-0123abcd"
    # unix(7): 108 bytes with the closing NUL.
    assert len(listen.replace("%i", release_id).encode()) <= 107
    assert len(f"{release['base']}/releases/{release_id}/gunicorn.sock".encode()) <= 107


@pytest.mark.parametrize(
    "wsgi",
    [
        "app:app",
        "blog:create_app()",
        "a.b.c:application",
        "blog:app(roots=['/srv/x'], password_file=\"p\")",
        "blog:make({'a': [1, -2.5, None]})",
    ],
)
def test_callables_that_gunicorn_reads_are_accepted(wsgi: str) -> None:
    assert blog(wsgi=wsgi) == []


@pytest.mark.parametrize(
    "wsgi",
    [
        "app",
        "app:",
        "a/b:app",
        "app.py",
        "1a:app",
        "a:b.c",
        "a:b().c",
        "a:f(x)",
        "a:f(*[1])",
        "a:f(**{})",
        "a:b c",
        ":app",
        "a:1",
    ],
)
def test_callables_that_gunicorn_does_not_read_are_refused(wsgi: str) -> None:
    assert {rule for rule, _path in blog(wsgi=wsgi)} == {"wsgi"}


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.org/blog.git",
        "http://git.example.org:3000/a/blog",
        "ssh://git@git.example.org:2222/blog.git",
        "git@git.example.org:ann/blog.git",
        "git.example.org:blog.git",
        "file:///srv/repos/blog.git",
        "/srv/repos/blog.git",
    ],
)
def test_git_urls(url: str) -> None:
    assert blog(source={"git": url, "version": "v1.0"}) == []


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://token@git.example.org/blog.git", "git-credentials"),
        ("https://a:b@git.example.org/blog.git", "git-credentials"),
        ("ssh://git:b@git.example.org/blog.git", "git-credentials"),
        ("ext::sh -c x", "git-url"),
        ("fd::17", "git-url"),
        ("-oProxyCommand=x", "git-url"),
        ("https://", "git-url"),
        ("https://git.example.org", "git-url"),
        ("ftp://git.example.org/blog", "git-url"),
        ("https://git.example.org/a b", "git-url"),
        ("https://[::1/blog", "git-url"),
        ("blog", "git-url"),
        ("", "git-url"),
    ],
)
def test_git_urls_that_are_refused(url: str, rule: str) -> None:
    assert blog(source={"git": url}) == [(rule, "source.git")]


@pytest.mark.parametrize(
    "domain", ["example.org", "a.b-c.example.org", "*.example.org", "localhost", "192.0.2.1", "EXAMPLE.org"]
)
def test_domains(domain: str) -> None:
    assert blog(domains=[domain]) == []


@pytest.mark.parametrize(
    "domain",
    [
        *(
            "http://a.org",
            "a.org:80",
            "a.org/x",
            "a.org.",
            "_",
            "*",
            "",
            "a b",
            "-a.org",
            "a-.org",
            "a..org",
            "*a.org",
            "a.*.org",
        ),
        *(
            "a.org;",
            "$host",
            "~^x$",
            ".a.org",
            "x" * 64 + ".org",
            ".".join(["x" * 60] * 5),
            "2001:db8::1",
            "bücher.de",
            "a\n.org",
        ),
    ],
)
def test_domains_that_are_refused(domain: str) -> None:
    assert blog(domains=[domain]) == [("domain", "domains[0]")]


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("bücher.example.org", "write its encoded form, 'xn--bcher-kva.example.org'"),
        ("Bücher.Example.org", "write its encoded form, 'xn--bcher-kva.Example.org'"),
        # xn--fa-hia.de and xn--4xa for IDNA 2008; fass.de is somebody else's.
        ("faß.de", "write its encoded form as its registry has it, which begins with 'xn--'"),
        ("ς.gr", "write its encoded form as its registry has it, which begins with 'xn--'"),
        (f"{'ü' * 70}.de", "can't be encoded as a domain"),
    ],
)
def test_no_other_domain_is_proposed(domain: str, words: str) -> None:
    assert domain_fault(domain).endswith(words)


def test_the_same_domain_on_two_ports_is_two_sites() -> None:
    assert not problems({"a": GOOD, "b": {**GOOD, "nginx": {"listen": [81]}}})


def test_a_site_without_domains_needs_all_its_ports_for_itself() -> None:
    other = {**GOOD, "nginx": {"listen": [81]}}
    alone = {**GOOD, "domains": []}
    assert not problems({"a": alone, "b": other})
    found = problems({"a": {**alone, "nginx": {"listen": [80, 81]}}, "b": other})
    assert [(problem.rule, problem.path) for problem in found] == [("domain-missing", "flask_apps.a.domains")]


@pytest.mark.parametrize(
    "url", ["/static", "static/", "//", "/", "/a//b/", "/a b/", "/a/../b/", "/./", "/a;/", "/a$/", "/a\n/"]
)
def test_static_paths_that_are_refused(url: str) -> None:
    assert blog(static={url: "src:static/"}) == [("static-url", f"static.{url}")]


@pytest.mark.parametrize(
    "target",
    [
        "static/",
        "src:",
        "src:/",
        "src:./",
        "src:/etc/",
        "src:../x/",
        "src:a/../../x/",
        "src:~/x/",
        "src:.git/",
        "src:a//b/",
        "home:x/",
        "",
    ],
)
def test_static_targets_that_are_refused(target: str) -> None:
    assert blog(static={"/static/": target}) == [("static-target", "static./static/")]


@pytest.mark.parametrize(
    "path", ["/etc", "../x", "a/../../b", ".", "./", "", "a//b", "a/", "~x", ".git/x", "a\\b", "a\nb"]
)
def test_shared_directories_that_are_refused(path: str) -> None:
    assert ("shared", "shared[0]") in blog(shared=[path])


def test_a_shared_directory_listed_twice_is_refused() -> None:
    assert blog(shared=["media", "media"]) == [("shared", "shared[1]")]
    assert blog(shared=["media", "media2"]) == []


@pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
def test_debug_that_is_off_is_accepted(value: str) -> None:
    assert blog(env={"FLASK_DEBUG": value}) == []


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "2"])
def test_debug_is_refused_as_a_secret_too(value: str) -> None:
    assert blog(secrets={"FLASK_DEBUG": value}) == [("env-debug", "secrets.FLASK_DEBUG")]


@pytest.mark.parametrize("value", ["changeme", "ChangeMe ", "<your key>", "xxxx", "***", "{{ vault_key }}", "secret"])
def test_placeholders_are_no_secrets(value: str) -> None:
    assert blog(secrets={"KEY": value}) == [("secret", "secrets.KEY")]


@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_an_empty_secret_is_refused(value: str) -> None:
    assert blog(secrets={"KEY": value}) == [("secret", "secrets.KEY")]


@pytest.mark.parametrize("memory", ["16M", "1.5G", "25%", "512M", "100%", "1T"])
def test_amounts_of_memory(memory: str) -> None:
    assert blog(limits={"memory": memory}) == []


@pytest.mark.parametrize("memory", ["512", "15M", "512 M", "512MB", "-1G", "0%", "101%", "lots", "infinity"])
def test_amounts_of_memory_that_are_refused(memory: str) -> None:
    assert blog(limits={"memory": memory}) == [("limit", "limits.memory")]


def test_a_limit_that_has_no_key_is_a_directive() -> None:
    assert blog(systemd={"Service": {"MemoryHigh": "1G", "IOWeight": 50}}) == []


@pytest.mark.parametrize(
    ("stop", "wrong"), [(31, False), ("30s", True), ("1min", False), ("500ms", True), ("infinity", False), (30, True)]
)
def test_systemd_waits_longer_than_gunicorn(stop: Any, wrong: bool) -> None:
    found = blog(systemd={"Service": {"TimeoutStopSec": stop}})
    assert found == ([("timeouts", "systemd.Service.TimeoutStopSec")] if wrong else [])


@pytest.mark.parametrize("worker", ["sync", "gevent", "gevent_wsgi", "gevent_pywsgi", "tornado", "asgi"])
def test_threads_are_for_gthread_only(worker: str) -> None:
    assert blog(server={"worker_class": worker}) == []
    assert blog(server={"worker_class": worker, "threads": 1}) == []
    assert blog(server={"worker_class": worker, "threads": 2}) == [("threads", "server.threads")]


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "two", [], None.__class__])
def test_numbers_of_workers_that_are_refused(workers: Any) -> None:
    assert blog(server={"workers": workers}) == [("workers", "server.workers")]


def test_null_is_not_given() -> None:
    assert blog(nginx=None, keep=None, static=None) == []
    assert blog(wsgi=None) == [("missing-key", "wsgi")]


def test_a_wrong_type_is_not_followed_by_its_consequences() -> None:
    assert blog(shared="media", static={"/media/": "shared:media/"}) == [("wrong-type", "shared")]
