# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks a dictionary of entries against the specification of one.

Ansible checks a role's variables, but not the entries of a dictionary. Here each entry is first compared with the
specification key by key, for errors that name the exact place and the remedy, and then given to ansible-core's own
validator, which converts and fills in.

The options of an entry are those of the entry point ``entry`` of a role. A dictionary with free keys whose values have
options of their own names them by entry point: those of ``locations`` are ``entry_locations``. Where one of these is
``value``, this alone may be said in place of the options.
"""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import Problem
from ansible_collections.flaskworks.deploy.plugins.module_utils.suggest import hint

Options = Mapping[str, Mapping[str, Any]]
EntryPoints = Mapping[str, Options]

ENTRY_RULES = {
    "entry-name": "the name of an entry begins with a letter and has lower-case letters, digits and _ . @ - only",
    "missing-key": "a required key is there and not empty",
    "unknown-key": "a key is one that the specification has",
    "wrong-choice": "a value is one of those to choose from",
    "wrong-type": "a value has the type that is meant; text that looks like a number is quoted",
}

_NAME = re.compile(r"[a-z][a-z0-9_.@-]*")
_NUMBER = re.compile(r"[+-]?[0-9]+")
_KINDS = {
    "str": "text",
    "path": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a dictionary",
}
_BOOLEANS = frozenset({"yes", "no", "true", "false", "on", "off"})
# What YAML reads as true and false where no quotes are.
_BARE = {True: ("yes", "true", "on"), False: ("no", "false", "off")}
# Key and choice that had another name once.
_RENAMED = {("hardening", "hardened"): "strict"}


def check_entries(
    points: EntryPoints, entries: Any, variable: str, *, names: re.Pattern[str] = _NAME
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the entries with types converted and defaults filled in, and all problems.

    ``entries`` is plain data (see ``to_plain``); ``variable`` is its name for the messages.
    """
    if not isinstance(entries, Mapping):
        return {}, [
            Problem(variable, f"is {_described(entries)}, but a dictionary of entries by name is wanted", "wrong-type")
        ]
    checked: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, entry in entries.items():
        path = f"{variable}.{name}"
        if not isinstance(name, str) or not names.fullmatch(name):
            problems.append(
                Problem(path, f"{name!r} is no name for an entry: {ENTRY_RULES['entry-name']}", "entry-name")
            )
            continue
        checked[name], found = check_entry(points, entry, path)
        problems += found
    return checked, problems


def check_entry(points: EntryPoints, entry: Any, path: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return one complete entry and its problems. What is wrong is left out of it, as if it had not been said."""
    cleaned, problems = check_options(points, points["entry"], entry, path)
    result = ArgumentSpecValidator(points["entry"]).validate(cleaned)
    if not problems:
        problems = [Problem(path, message, "wrong-type") for message in result.error_messages]
    # Defaults are the specification's own objects.
    return copy.deepcopy(result.validated_parameters), problems


def check_options(
    points: EntryPoints, options: Options, values: Any, path: str, *, partial: bool = False
) -> tuple[dict[str, Any], list[Problem]]:
    """Return what is right of ``values``, and all that is wrong. With ``partial`` nothing is required.

    A key whose value is null counts as not given.
    """
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        return {}, [_wrong_type(path, values, "dict", secret=False)]
    cleaned: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in values.items():
        if key not in options:
            problems.append(
                Problem(f"{path}.{key}", f"is no key that is known here; {hint(key, options)}", "unknown-key")
            )
        elif value is not None:
            cleaned[key], found = _check_value(points, key, options[key], value, f"{path}.{key}", partial)
            if any(problem.path == f"{path}.{key}" for problem in found):
                del cleaned[key]
            problems += found
    if not partial:
        for key, option in options.items():
            if key not in cleaned and "options" in option and option.get("default") == {}:
                # The validator would fill the specification's own dictionary.
                cleaned[key] = check_options(points, option["options"], {}, f"{path}.{key}")[0]
            missing = values.get(key) is None or values[key] == ""
            if option.get("required") and missing:
                problems.append(Problem(f"{path}.{key}", f"is missing: {_sentence(option)}", "missing-key"))
    return cleaned, problems


def _check_value(
    points: EntryPoints, key: str, option: Mapping[str, Any], value: Any, path: str, partial: bool
) -> tuple[Any, list[Problem]]:
    kind, choices = option.get("type", "str"), option.get("choices")
    if kind == "str" and isinstance(value, bool):
        value = _bare_word(value, choices or ())
    if fault := _fault(kind, value):
        return None, [_wrong_type(path, value, kind, secret=_holds_secret(option), instead=fault)]
    if kind == "list":
        return _check_list(points, option, value, path)
    if kind == "dict" and "options" in option:
        return check_options(points, option["options"], value, path, partial=partial)
    if kind == "dict":
        return _check_free(points, key, value, path)
    if choices and value not in choices:
        renamed = _RENAMED.get((key, value))
        instead = f"it was renamed to '{renamed}'" if renamed in choices else hint(value, choices)
        return None, [Problem(path, f"'{value}' is not available; {instead}", "wrong-choice")]
    return value, []


def _holds_secret(option: Mapping[str, Any]) -> bool:
    """Tell whether a value may be a secret, or was meant for a key below that is one: ``basic_auth: anna:word``."""
    return bool(option.get("no_log")) or any(_holds_secret(below) for below in (option.get("options") or {}).values())


def _bare_word(value: bool, choices: Collection[Any]) -> Any:
    """Return the choice that was written without quotes, as ``off``, if it can only have been that one."""
    meant = [word for word in _BARE[value] if word in choices]
    return meant[0] if len(meant) == 1 else value


def _check_list(
    points: EntryPoints, option: Mapping[str, Any], value: list[Any], path: str
) -> tuple[Any, list[Problem]]:
    cleaned: list[Any] = []
    problems: list[Problem] = []
    element = {
        "type": option.get("elements", "raw"),
        **{k: option[k] for k in ("options", "choices", "no_log") if k in option},
    }
    for index, item in enumerate(value):
        where = f"{path}[{index}]"
        checked, found = _check_value(points, "", element, item, where, False)
        if not any(problem.path == where for problem in found):
            cleaned.append(checked)
        problems += found
    return cleaned, problems


def _check_free(points: EntryPoints, key: str, value: Mapping[Any, Any], path: str) -> tuple[Any, list[Problem]]:
    cleaned: dict[str, Any] = {}
    problems: list[Problem] = []
    point = points.get(f"entry_{key}")
    for said, item in value.items():
        # Where entries have options of their own, their names are checked as well: 404 is as good as "404".
        name = str(said) if point and isinstance(said, int) and not isinstance(said, bool) else said
        where = f"{path}.{name}"
        if not isinstance(name, str):
            problems.append(
                Problem(where, f"the key is {_described(name)}, but text is wanted: put it in quotes", "wrong-type")
            )
        elif point is None:
            cleaned[name] = item
        else:
            # The short form of what has a value, and perhaps more.
            short = "value" in point and item is not None and not isinstance(item, Mapping)
            checked, found = check_options(points, point, {"value": item} if short else item, where)
            found = [replace(problem, path=where) for problem in found] if short else found
            result = ArgumentSpecValidator(point).validate(checked)
            cleaned[name] = copy.deepcopy(result.validated_parameters)
            problems += found
    return cleaned, problems


def _fault(kind: str, value: Any) -> str:
    """Return an empty text when the value may stand for the type, else the remedy."""
    if kind in ("str", "path"):
        return "" if isinstance(value, str) else "put it in quotes" if isinstance(value, _SCALARS) else "write one text"
    if kind == "list":
        return "" if isinstance(value, list) else "write [ ] around it, or one item a line with '- ' in front"
    if kind == "dict":
        return "" if isinstance(value, Mapping) else "write it as key: value"
    if kind == "bool":
        right = isinstance(value, bool) or (isinstance(value, str) and value.lower() in _BOOLEANS)
        return "" if right else "write true or false"
    if kind in ("int", "float"):
        right = isinstance(value, (int, float) if kind == "float" else int) and not isinstance(value, bool)
        # A template's result may be text.
        right = right or (isinstance(value, str) and bool(_NUMBER.fullmatch(value)))
        return "" if right else "write a number without quotes or unit"
    return ""


_SCALARS = (bool, int, float, datetime.date)


def _wrong_type(path: str, value: Any, kind: str, *, secret: bool, instead: str = "") -> Problem:
    remedy = instead or _fault(kind, value)
    text = f"is {_described(value, secret)}, but {_KINDS.get(kind, kind)} is wanted: {remedy}"
    return Problem(path, text, "wrong-type")


def _described(value: Any, secret: bool = False) -> str:
    if value is None:
        return "empty"
    shown = "" if secret else f" {value!r}"
    if isinstance(value, bool):
        return "the yes/no value" + ("" if secret else f" {str(value).lower()}")
    if isinstance(value, (int, float)):
        return f"the number{shown}"
    if isinstance(value, datetime.date):
        return "a date" + ("" if secret else f" ({value.isoformat()})")
    if isinstance(value, str):
        return f"the text{shown}"
    if isinstance(value, Mapping):
        return "a dictionary"
    return "a list" if isinstance(value, (list, tuple)) else "of an unknown kind"


def _sentence(option: Mapping[str, Any]) -> str:
    """Return the first sentence of an option's description, without the markup of documentation."""
    said = option.get("description", "")
    text = said if isinstance(said, str) else str(said[0])
    return re.sub(r"\b[A-Z]\((?:entry:|main:)?([^)]*(?:\([^)]*\))?)\)", r"\1", text).strip()
