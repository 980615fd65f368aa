"""Where the code comes from: what the plan makes of each kind of source, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_kinds import exact_package
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import InventoryError
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points

SPEC = entry_points("flask_apps")
SUM = "sha256:" + "0a" * 32
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
SSH = "git@git.example.org:blog.git"
HTTPS = "https://git.example.org/blog.git"


def plan(source: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return make_plan(SPEC, {"blog": {"wsgi": "blog:app", "domains": ["blog.example.org"], "source": source, **keys}})


def problems(source: dict[str, Any], **keys: Any) -> list[tuple[str, str]]:
    """The rules that are broken, and where."""
    try:
        plan(source, **keys)
    except InventoryError as error:
        return [(problem.rule, problem.path.removeprefix("flask_apps.blog.source.")) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("source", "made"),
    [
        (
            {"archive": "https://example.org/a.tar.gz", "checksum": SUM.upper().replace("SHA", "sha")},
            {"type": "archive", "url": "https://example.org/a.tar.gz", "checksum": SUM, "strip": True, "subdir": ""},
        ),
        (
            {"archive": "dist/a.zip", "strip": False, "subdir": "web"},
            {"type": "archive", "path": "dist/a.zip", "strip": False, "subdir": "web"},
        ),
        ({"pypi": "Blog [redis, a] == 2.1"}, {"type": "pypi", "version": "Blog==2.1", "subdir": ""}),
        (
            {"git": HTTPS, "password": "t"},
            {"type": "git", "url": HTTPS, "version": "HEAD", "subdir": "", "password": "t"},
        ),
        (
            {"git": SSH, "host_key": HOST_KEY},
            {"type": "git", "url": SSH, "version": "HEAD", "subdir": "", "host_key": HOST_KEY},
        ),
    ],
)
def test_what_the_module_is_given(source: dict[str, Any], made: dict[str, Any]) -> None:
    assert plan(source)["releases"]["blog"]["source"] == made


def test_a_deploy_key_is_handed_over_repaired(deploy_key: str) -> None:
    source = {"git": SSH, "deploy_key": deploy_key.replace("\n", "\r\n").rstrip(), "host_key": HOST_KEY}
    assert plan(source)["releases"]["blog"]["source"]["deploy_key"] == deploy_key
    assert "openssh-client" in plan(source)["packages"]


def test_a_package_is_the_first_requirement() -> None:
    def packages(source: dict[str, Any], **python: Any) -> Any:
        return plan(source, python=python)["releases"]["blog"]["python"]["packages"]

    assert packages({"pypi": "blog[redis,a]==2.1"}, packages=["redis"]) == ["blog[a,redis]==2.1", "redis", "gunicorn"]
    assert packages({"pypi": "blog==2.1", "checksum": SUM}) == [f"blog==2.1 --hash={SUM}", "gunicorn"]
    assert packages({"pypi": "gunicorn==27.0.1"}) == ["gunicorn==27.0.1"], "gunicorn is not repeated"
    assert "git" not in plan({"pypi": "blog==2.1"})["packages"]


@pytest.mark.parametrize(
    ("requirement", "parts"),
    [
        ("blog==2.1", ("blog", "", "2.1")),
        (" blog == 2.1 ", ("blog", "", "2.1")),
        ("blog[b , a]==1!2.1rc1+local.1", ("blog", "a,b", "1!2.1rc1+local.1")),
        ("blog[]===2.1", ("blog", "", "2.1")),
        ("blog", ("blog", "", "")),
        ("blog==2.*", ("blog", "", "")),
        ("blog>=2", ("blog", "", "")),
        ("blog==2.1,!=3", ("blog", "", "")),
        ("blog==2.1; python_version > '3'", ("blog", "", "")),
        ("blog==2.1 --hash=sha256:00", ("blog", "", "")),
        ("blog @ https://example.org/x.whl", ("blog", "", "")),
        ("-r x", ("", "", "")),
        ("", ("", "", "")),
    ],
)
def test_only_one_version_is_exact(requirement: str, parts: tuple[str, str, str]) -> None:
    assert exact_package(requirement) == parts
    assert ("pypi" in dict(problems({"pypi": requirement}))) is (not parts[2])


@pytest.mark.parametrize(
    ("source", "broken"),
    [
        ({"git": HTTPS, "pypi": "x==1"}, [("source", "flask_apps.blog.source")]),
        ({"path": ".", "deploy_key": "x", "host_key": "y"}, [("source", "deploy_key"), ("source", "host_key")]),
        ({"path": ".", "strip": True}, [("source", "strip")]),
        ({"path": ".", "checksum": SUM}, [("source", "checksum")]),
        ({"archive": "a.zip", "user": "ann"}, [("source", "user")]),
        ({"archive": "a.zip", "version": "v1"}, [("source", "version")]),
        ({"pypi": "x==1", "subdir": "web"}, [("source", "subdir")]),
        ({"pypi": "x==1", "checksum": "sha256:1"}, [("checksum", "checksum")]),
        ({"archive": "a.zip"}, []),
        ({"archive": "a.zip", "checksum": "0a" * 32}, [("checksum", "checksum")]),
        ({"archive": "file:///opt/a.zip", "checksum": SUM}, []),
        ({"archive": "https://example.org/", "checksum": SUM}, [("archive", "archive")]),
        ({"archive": "https://example.org/a b.zip", "checksum": SUM}, [("archive", "archive")]),
        ({"archive": "https://ann:pw@example.org/a.zip", "checksum": SUM}, [("archive", "archive")]),
        ({"archive": "https://[/a.zip", "checksum": SUM}, [("archive", "archive")]),
        ({"archive": "git@git.example.org:blog.git"}, [("archive", "archive")]),
        ({"archive": " "}, [("archive", "archive")]),
        ({"git": HTTPS, "host_key": HOST_KEY}, [("host-key", "host_key")]),
        ({"git": HTTPS, "user": "ann"}, [("git-credentials", "password")]),
        ({"git": HTTPS, "password": "a\nb"}, [("git-credentials", "password")]),
        ({"git": HTTPS.replace("https", "http"), "password": "x"}, [("git-credentials", "password")]),
        ({"git": "ssh://git@git.example.org:x/b.git"}, [("git-url", "git")]),
        ({"path": "git@git.example.org:blog.git"}, [("source", "path")]),
    ],
)
def test_what_does_not_fit_is_refused(source: dict[str, Any], broken: list[tuple[str, str]]) -> None:
    assert problems(source) == broken


def test_a_package_needs_no_other_files() -> None:
    assert problems({"pypi": "x==1"}, static={"/s/": "package:x/s/"}, python={"packages": ["redis"]}) == []
    found = problems({"pypi": "x==1"}, static={"/s/": "src:x/s/"}, python={"requirements": ["r.txt"]})
    assert [rule for rule, dummy in found] == ["pypi", "pypi"]


def test_no_key_and_no_password_is_repeated(deploy_key: str) -> None:
    secret = deploy_key.splitlines()[2]
    cut = "\n".join(deploy_key.splitlines()[:-2])
    for source in (
        {"git": HTTPS, "deploy_key": deploy_key},
        {"git": SSH, "deploy_key": cut},
        {"git": SSH, "host_key": deploy_key},
        {"git": SSH, "password": secret},
        {"git": HTTPS, "password": f"{secret}\n"},
        {"git": HTTPS, "password": [secret]},
        {"git": HTTPS, "password": {"x": secret}},
        {"path": ".", "password": secret, "deploy_key": deploy_key},
        {"path": f"https://ann:{secret}@git.example.org/x"},
        {"archive": f"https://ann:{secret}@example.org/x.zip", "checksum": SUM},
        {"pypi": f"https://ann:{secret}@example.org/x.whl"},
    ):
        with pytest.raises(InventoryError) as caught:
            plan(source)
        assert secret not in str(caught.value), source


def test_only_secrets_are_sealed(deploy_key: str) -> None:
    """A guard: whoever adds a secret key to the specification adds it to what the action keeps apart."""
    from ansible_collections.flaskworks.deploy.plugins.module_utils.git_access import SECRET_KEYS

    options = SPEC["entry"]["source"]["options"]
    assert {name for name, option in options.items() if option.get("no_log")} == set(SECRET_KEYS)
    source = {"git": SSH, "deploy_key": deploy_key, "host_key": HOST_KEY}
    assert json.loads(json.dumps(plan(source))) == plan(source)
