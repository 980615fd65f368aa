"""What the guides show works: their inventories are plans, their links lead somewhere, and their options are there."""

from __future__ import annotations

import configparser
import fnmatch
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_web
from ansible_collections.flaskworks.deploy.plugins.module_utils.entries import check_entries
from ansible_collections.flaskworks.deploy.plugins.module_utils.nginx_check import check_sites
from ansible_collections.flaskworks.deploy.plugins.module_utils.plan import make_plan
from ansible_collections.flaskworks.deploy.plugins.plugin_utils.role_specs import entry_points
from unit.nginx_rendered import sites
from unit.test_specs import PLAYBOOKS, options_of

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
GUIDES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "roles").glob("*/README.md")),
    *sorted((ROOT / "inventories").glob("*/README.md")),
]
NAMES = [str(path.relative_to(ROOT)) for path in GUIDES]
TEXTS = {name: path.read_text() for name, path in zip(NAMES, GUIDES, strict=True)}

# Examples

SPEC = entry_points("flask_apps")
# What an example that shows some keys of an application leaves out.
SMALL = {
    "source": {"git": "https://git.example.org/blog.git", "version": "v2.1.0"},
    "wsgi": "blog:create_app()",
    "domains": ["blog.example.org"],
}
STAND_IN = "stand-in-for-a-template-4711"
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 42 + "E"


def blocks(text: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def filled(text: str) -> str:
    """An example with a value in the place of each template, and of what is cut short."""
    text = re.sub(r"{{.*?}}", STAND_IN, text)
    text = re.sub(r"\bAAAA[A-Za-z0-9+/]+(\.\.\.|…)", KEY, text)
    return text.replace("sha256:…", f"sha256:{'0' * 64}")


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A private key, for an inventory that has its own in a vault."""
    path = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.read_text()


def completed(value: Any, given: Mapping[str, str], key: str = "") -> Any:
    """An example with the values given, by their keys, in the places of templates for which not any text will do."""
    if isinstance(value, dict):
        return {name: completed(each, given, str(name)) for name, each in value.items()}
    if isinstance(value, list):
        return [completed(each, given, key) for each in value]
    return given.get(key, value) if value == STAND_IN else value


def parts(text: str) -> Iterator[str]:
    """The top-level keys of an example one by one: some examples show several ways to say one."""
    yield from re.split(r"^(?=\w)", text, flags=re.MULTILINE)


def inventories(value: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary that has the variables of a role, however deep."""
    if isinstance(value, dict):
        if set(value) & set(ROLES):
            yield value
        for each in value.values():
            yield from inventories(each)
    elif isinstance(value, list):
        for each in value:
            yield from inventories(each)


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every set of variables of a guide. A block with keys of an application alone is one of a small application."""
    for name, text in TEXTS.items():
        for number, block in enumerate(blocks(text)):
            value = yaml.safe_load(filled(block))
            if found := list(inventories(value)):
                yield from ((f"{name} {number}", each) for each in found)
            elif isinstance(value, dict) and set(value) <= set(SPEC["entry"]):
                for keys in filter(None, map(yaml.safe_load, parts(filled(block)))):
                    first, *_others = keys
                    yield f"{name} {number} {first}", {"flask_apps": {"blog": keys}}
            else:
                yield f"{name} {number}", {}


EXAMPLES = list(examples())
# These also show tasks, and how a scenario is written.
OTHERS = {"docs/releases.md", "docs/testing.md"}


def test_no_example_is_passed_over() -> None:
    assert {name.partition(" ")[0] for name, variables in EXAMPLES if not variables} <= OTHERS


@pytest.mark.parametrize(("name", "variables"), EXAMPLES, ids=[name for name, dummy in EXAMPLES])
def test_an_example_is_accepted(name: str, variables: dict[str, Any], private: str) -> None:
    given = completed(variables, {"deploy_key": private, "verify": f"ssh-ed25519 {KEY}"})
    for variable in set(given) - {"role", "flask_app_defaults", "flask_apps", "allow_dev_server"}:
        assert [role for role in ROLES if variable in entry_points(role)["main"]], variable
    for role in set(given) & set(ROLES):
        if role == "flask_apps":
            apps = {app: {**SMALL, **keys} for app, keys in given[role].items()}
            demands = given.get("flask_apps_require", [])
            made = make_plan(SPEC, apps, given.get("flask_app_defaults"), allow_dev_server=True, require=demands)
            assert check_sites(sites(made["nginx_sites"])) == []
        elif "entry" in entry_points(role):
            assert check_entries(entry_points(role), given[role], role)[1] == []


# Other examples


@pytest.mark.parametrize("name", NAMES)
def test_code_for_sites_is_python_and_has_the_doctors_proxy_fix(name: str) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", TEXTS[name], re.MULTILINE | re.DOTALL):
        compile(block, name, "exec")
    assert set(re.findall(r"ProxyFix\(app\.wsgi_app, (.*?)\)", TEXTS[name])) <= {doctor_web.PROXY_FIX}


def settings(text: str) -> dict[str, dict[str, str]]:
    """What an ansible.cfg says, by section."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


SHIPPED = settings((ROOT / "ansible.cfg").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_lines_for_ansible_cfg_are_those_of_the_shipped_one(name: str) -> None:
    for block in re.findall(r"^```ini\n(.*?)^```", TEXTS[name], re.MULTILINE | re.DOTALL):
        for section, said in settings(block).items():
            assert said.items() <= SHIPPED[section].items()


def test_the_readme_names_the_settings_on_which_promises_rest() -> None:
    for section, setting in (("connection", "pipelining"), ("defaults", "interpreter_python")):
        words = rf"`{setting} = {SHIPPED[section][setting]}`\s+below\s+`\[{section}\]`"
        assert re.search(words, TEXTS["README.md"])


# Links


def slug(heading: str) -> str:
    """The anchor that a heading gets, as GitHub makes it."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return {slug(each) for each in re.findall(r"^#+ (.*)$", prose, re.MULTILINE)}


LINKS = [(name, target) for name, text in TEXTS.items() for target in re.findall(r"]\(([^)\s]+)\)", text)]


@pytest.mark.parametrize(("name", "target"), LINKS)
def test_a_link_leads_somewhere(name: str, target: str) -> None:
    path, dummy, anchor = target.partition("#")
    assert ":" not in path, "the guides need no network"
    to = (ROOT / name).parent / path if path else ROOT / name
    assert to.exists()
    if anchor:
        assert anchor in anchors(to.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_that_is_named_is_there(name: str) -> None:
    for guide in re.findall(r"\bdocs/[\w-]+\.md\b", TEXTS[name]):
        assert (ROOT / guide).is_file(), guide


def is_shipped(path: Path) -> bool:
    """Tell whether a path is in the tarball, as ansible-galaxy reads build_ignore."""
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]
    relative = path.resolve().relative_to(ROOT)
    return not any(
        fnmatch.fnmatch(str(part), pattern) for part in [relative, *relative.parents][:-1] for pattern in ignored
    )


@pytest.mark.parametrize("name", [name for name in NAMES if is_shipped(ROOT / name)])
def test_what_a_guide_leads_to_is_installed_with_it(name: str) -> None:
    for target in re.findall(r"]\(([^)#\s]+)", TEXTS[name]):
        assert is_shipped((ROOT / name).parent / target), target


# Commands

COMMANDS = {name: re.sub(r"\\\n\s*", " ", text) for name, text in TEXTS.items()} | {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in ("inventories", "playbooks")
    for path in sorted((ROOT / folder).rglob("*.yml"))
}
TAKEN = {playbook: options_of(playbook) for playbook in PLAYBOOKS}
OPTION = r"-e \"?(\w+)="


@pytest.mark.parametrize("name", COMMANDS)
def test_a_playbook_that_is_named_is_there_and_takes_what_is_given(name: str) -> None:
    for line in COMMANDS[name].splitlines():
        named = re.findall(r"ansible-playbook (?:\S+/)?(?:flaskworks\.deploy\.)?(\w+)(?:\.yml)?\b", line)
        assert set(named) - {"behind"} <= {*PLAYBOOKS}, line
        # Of several playbooks in one line nothing tells whose option it is.
        own = re.findall(rf"flaskworks\.deploy\.({'|'.join(PLAYBOOKS)})\b", line)
        taken = TAKEN[own[0]] if len(set(own)) == 1 else set().union(*TAKEN.values())
        assert set(re.findall(OPTION, line)) <= taken, line
