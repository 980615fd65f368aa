"""Entries of gunicorn_configs as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils import gunicorn_files

SPEC = Path(__file__).parents[2] / "roles" / "gunicorn_configs" / "meta" / "argument_specs.yml"
OPTIONS = yaml.safe_load(SPEC.read_text())["argument_specs"]["entry"]["options"]


def entry(**keys: Any) -> dict[str, Any]:
    """A complete entry, with the role's own defaults."""
    return {**{name: option.get("default") for name, option in OPTIONS.items()}, "wsgi": "blog:app", **keys}


def content(**keys: Any) -> str:
    files = gunicorn_files.config_files({"blog": entry(**keys)})
    return str(files["/etc/gunicorn/blog.py"]["content"])


def test_the_defaults_make_a_whole_file() -> None:
    assert gunicorn_files.check_configs({"blog": entry()}) == []
    assert gunicorn_files.config_files({"blog": entry()})["/etc/gunicorn"] == {"directory": True}
    text = content()
    for line in ('wsgi_app = "blog:app"', 'worker_class = "gthread"', "threads = 4", 'bind = ["127.0.0.1:8000"]'):
        assert f"\n{line}\n" in text
    assert "threads" not in content(worker_class="gevent")


def test_a_path_elsewhere_needs_no_directory() -> None:
    files = gunicorn_files.config_files({"blog": entry(path="/srv/x/g.py", owner="a", group="b", mode="0640")})
    assert list(files) == ["/srv/x/g.py"]
    assert {key: files["/srv/x/g.py"][key] for key in ("owner", "group", "mode")} == {
        "owner": "a",
        "group": "b",
        "mode": "0640",
    }


@pytest.mark.parametrize(
    ("keys", "path", "text"),
    [
        ({"settings": {"workrs": 2}}, "gunicorn_configs.blog.settings.workrs", "did you mean workers?"),
        ({"settings": {"bind": ":1"}}, "gunicorn_configs.blog.settings.bind", "write bind beside settings"),
        ({"settings": {"wsgi_app": "a:b"}}, "gunicorn_configs.blog.settings.wsgi_app", "write wsgi beside settings"),
        ({"wsgi": "no good"}, "gunicorn_configs.blog.wsgi", "must be module:callable"),
        ({"workers": "many"}, "gunicorn_configs.blog.workers", '"auto" or "cpu"'),
        ({"worker_class": "gevent", "threads": 2}, "gunicorn_configs.blog.threads", "no effect on gevent"),
        ({"path": "etc/x.py"}, "gunicorn_configs.blog.path", "must be absolute"),
        ({"path": "/etc/gunicorn/other.py"}, "gunicorn_configs.other.path", "is the path of 'blog' too"),
    ],
)
def test_problems_name_the_key(keys: dict[str, Any], path: str, text: str) -> None:
    problems = gunicorn_files.check_configs({"blog": entry(**keys), "other": entry()})
    assert any(problem.path == path and text in problem.text for problem in problems), problems
