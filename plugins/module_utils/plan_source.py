# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of an application's code: what is run, and what it needs. Where it comes from is in plan_kinds.py."""

from __future__ import annotations

import ast
import re
import shlex
import urllib.parse

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import Entry, Report, below, path_fault

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][^\x00-\x1f\x7f]*")
_APT = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
_INTERPRETER = re.compile(r"python3(\.\d+)?|pypy3|/[\w.+/-]+")


def check_wsgi(report: Report, entry: Entry) -> None:
    """The callable, as gunicorn's import_app reads it: a name, or a call of a name with literal arguments."""
    wsgi = entry.get("wsgi")
    if not wsgi:
        return
    module, colon, expression = wsgi.partition(":")
    if not colon:
        report.add(
            "wsgi",
            "wsgi",
            f"'{wsgi}' names no callable: write '{_module_of(wsgi)}:app' or '{_module_of(wsgi)}:create_app()'",
        )
        return
    if not _MODULE.fullmatch(module):
        report.add(
            "wsgi", "wsgi", f"'{module}' is no module that Python can import: write '{_module_of(module)}:{expression}'"
        )
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        report.add("wsgi", "wsgi", f"'{expression}' is no Python name or call: write module:app or module:create_app()")
        return
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        if not all(_is_literal(value) for value in [*tree.args, *(keyword.value for keyword in tree.keywords)]):
            report.add(
                "wsgi", "wsgi", f"'{expression}': gunicorn takes only literal arguments (texts, numbers, lists) here"
            )
        if any(keyword.arg is None for keyword in tree.keywords):
            report.add("wsgi", "wsgi", f"'{expression}': gunicorn takes no ** arguments here")
    elif not isinstance(tree, ast.Name):
        report.add(
            "wsgi", "wsgi", f"'{expression}' is more than gunicorn reads: a name like app, or a call like create_app()"
        )


def _module_of(text: str) -> str:
    guess = re.sub(r"[^\w.]", "_", text.removesuffix(".py").replace("/", ".").strip("."))
    return guess if _MODULE.fullmatch(guess) else "module"


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def check_python(report: Report, entry: Entry) -> None:
    """Files and packages of the environment."""
    python = entry["python"]
    if not _INTERPRETER.fullmatch(python["interpreter"]):
        report.add(
            "package",
            "python.interpreter",
            f"{python['interpreter']!r} is no Python 3: write python3, python3.13, pypy3 or a path",
        )
    _check_places(report, python)
    for kind in ("requirements", "constraints"):
        for index, path in enumerate(python[kind]):
            if fault := path_fault(path):
                report.add("path", f"python.{kind}[{index}]", fault)
    for index, package in enumerate(python["packages"]):
        if not _REQUIREMENT.fullmatch(package):
            text = (
                f"{package!r} is no requirement: write NAME or NAME==VERSION; options of pip go into a requirements"
                " file"
            )
            report.add("package", f"python.packages[{index}]", text)
    for index, package in enumerate(python["apt"]):
        if not _APT.fullmatch(package):
            report.add("package", f"python.apt[{index}]", f"{package!r} is no name of a Debian package")


def _check_places(report: Report, python: Entry) -> None:
    """Where packages come from. An address may hold a password, so none is repeated."""
    addresses = {"python.index": python["index"]} if python["index"] else {}
    addresses |= {f"python.extra_indexes[{number}]": url for number, url in enumerate(python["extra_indexes"])}
    for key, address in addresses.items():
        if not is_index(address):
            text = "is no address of an index: write https://HOST/PATH, as https://pypi.org/simple"
            report.add("index", key, text)


def is_index(address: str) -> bool:
    """Tell whether both installers read this as the address of one index."""
    try:
        parts = urllib.parse.urlsplit(address)
        dummy = parts.port
    except ValueError:
        return False
    if re.search(r"[\x00-\x20\x7f,]", address) or parts.query or parts.fragment:
        return False
    return bool(parts.hostname) if parts.scheme in ("http", "https") else parts.scheme == "file" and bool(parts.path)


def check_commands(report: Report, entry: Entry) -> None:
    """Commands, and the proofs that they were run."""
    commands = entry["commands"]
    for step in ("build", "before_switch"):
        for index, command in enumerate(commands[step]):
            check_command(report, f"commands.{step}[{index}]", command)
    for index, once in enumerate(commands["once"]):
        key = f"commands.once[{index}]"
        if once.get("run"):
            check_command(report, f"{key}.run", once["run"])
        creates = once.get("creates")
        if not creates:
            continue
        if fault := path_fault(creates):
            report.add("command-once", f"{key}.creates", fault)
        elif not any(below(creates, name) for name in entry["shared"]):
            text = (
                f"'{creates}' is not below a shared directory, so the command would run again for each release: list"
                " its directory in shared"
            )
            report.add("command-once", f"{key}.creates", text)


def check_command(report: Report, key: str, command: str) -> None:
    if not command.strip():
        report.add("command", key, "is empty: write a command or remove the line")
    elif re.search(r"[\x00-\x08\x0a-\x1f\x7f]", command):
        report.add(
            "command", key, "has a line break or a control character: write one command for each item of the list"
        )
    else:
        try:
            shlex.split(command)
        except ValueError:
            report.add("command", key, "has a quote that is not closed")
