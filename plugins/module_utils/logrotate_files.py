# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From checked entries of logrotate_policies to the files below /etc/logrotate.d."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import Problem

Entry = Mapping[str, Any]

# Files that Debian's packages bring (the ones likely to be there): a policy of that name would replace theirs.
PACKAGED = frozenset(
    {
        "alternatives",
        "apache2",
        "apt",
        "aptitude",
        "btmp",
        "certbot",
        "dpkg",
        "exim4-base",
        "fail2ban",
        "mariadb",
        "mysql-server",
        "nginx",
        "postfix",
        "postgresql-common",
        "rsyslog",
        "supervisor",
        "ufw",
        "unattended-upgrades",
        "wtmp",
    }
)
# Of the endings that logrotate skips without a word (logrotate(8), tabooext) those that a name can have.
_TABOO = (".bak", ".disabled", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".swp", ".cfsaved")
_TABOO_FAMILIES = re.compile(r"\.(dpkg|ucf|rhn-cfg)-[a-z-]+$")
_PATH = re.compile(r"/[^\s\"'{}#\\]+")
_ACCOUNT = r"[a-z_][a-z0-9_-]*"
_SU = re.compile(rf"{_ACCOUNT} {_ACCOUNT}")
_CREATE = re.compile(rf"0?[0-7]{{3}} {_ACCOUNT} {_ACCOUNT}")
_SIZE = re.compile(r"[1-9][0-9]*[kMG]?")


def check_policies(policies: Mapping[str, Entry], variable: str = "logrotate_policies") -> list[Problem]:
    """Return all that is wrong with the values of the policies, and with the policies side by side."""
    problems = []
    taken: dict[str, str] = {}
    for name, policy in policies.items():
        place = f"{variable}.{name}"
        problems += [Problem(place + key, text, "logrotate-policy") for key, text in _faults(name, policy)]
        for path in policy["paths"]:
            other = taken.setdefault(path, name)
            if other != name or policy["paths"].count(path) > 1:
                text = f"{path!r} is rotated by '{other}' already: logrotate refuses a log that is listed twice"
                problems.append(Problem(f"{place}.paths", text, "logrotate-policy"))
    return problems


def policy_files(policies: Mapping[str, Entry]) -> dict[str, dict[str, str]]:
    """Return path -> entry, as file_set takes them, for policies that check_policies found right."""
    return {f"/etc/logrotate.d/{name}": {"content": policy_text(policy)} for name, policy in policies.items()}


def policy_text(policy: Entry) -> str:
    """Return the text of one policy. Each choice is written out, so that the host's own defaults change nothing."""
    lines = [policy["frequency"], f"rotate {policy['rotate']}"]
    if policy["maxsize"]:
        lines.append(f"maxsize {policy['maxsize']}")
    lines += [key if policy[key] else f"no{key}" for key in ("compress", "delaycompress")]
    lines += [
        "missingok" if policy["missingok"] else "nomissingok",
        "notifempty" if policy["notifempty"] else "ifempty",
    ]
    # With the date alone the second rotation of a day finds its name taken, and does nothing.
    lines += ["dateext", "dateformat -%Y%m%d-%s"] if policy["dateext"] else ["nodateext"]
    if policy["su"]:
        lines.append(f"su {policy['su']}")
    if policy["method"] == "copytruncate":
        lines.append("copytruncate")
    else:
        lines += ["nocopytruncate", f"create {policy['create']}" if policy["create"] else "nocreate"]
    if policy["postrotate"]:
        lines += ["sharedscripts", "postrotate", *(f"    {command}" for command in policy["postrotate"]), "endscript"]
    head = "# Written by the role flaskworks.deploy.logrotate_policies; changes made here are overwritten.\n"
    paths = "\n".join(policy["paths"])
    return head + paths + " {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def _faults(name: str, policy: Entry) -> Iterator[tuple[str, str]]:
    if name in PACKAGED:
        yield "", "is the name of a file that belongs to a package of Debian: take another"
    if name.endswith(_TABOO) or _TABOO_FAMILIES.search(name):
        yield "", "ends in a way that logrotate skips: take another name"
    if not policy["paths"]:
        yield ".paths", "is empty: name the logs"
    for path in policy["paths"]:
        if not _PATH.fullmatch(path):
            yield ".paths", f"{path!r} is no absolute path without blanks, quotes and braces"
        elif path == "/var/log/nginx/*.log":
            yield ".paths", f"{path!r} is rotated by the package nginx already"
    if policy["rotate"] < 0:
        yield ".rotate", f"{policy['rotate']} is negative"
    if policy["maxsize"] and not _SIZE.fullmatch(policy["maxsize"]):
        yield ".maxsize", f"{policy['maxsize']!r} is no size for logrotate: write digits and k, M or G"
    if policy["su"] and not _SU.fullmatch(policy["su"]):
        yield ".su", f"{policy['su']!r} is not a user and a group, like 'blog adm'"
    if policy["create"] and not _CREATE.fullmatch(policy["create"]):
        yield ".create", f"{policy['create']!r} is not mode, user and group, like '0640 blog adm'"
    if fault := _create_fault(policy["su"].split(), policy["create"].split()):
        yield ".create", fault
    if policy["method"] == "copytruncate" and policy["create"]:
        yield ".create", "makes no sense with copytruncate: the log stays the same file"
    if policy["method"] == "copytruncate" and policy["postrotate"]:
        yield ".postrotate", "makes no sense with copytruncate: the program need not reopen its log"
    for command in policy["postrotate"]:
        if "\n" in command or command.strip() in ("", "endscript"):
            yield ".postrotate", f"{command!r} is not one line of shell"


def _create_fault(su: list[str], create: list[str]) -> str:
    """logrotate says nothing where it can't give the new log to the account that was asked for."""
    if len(su) != 2 or len(create) != 3 or su[0] == "root" or su == create[1:]:
        return ""
    return (
        f"{' '.join(create)!r} can't be had: su makes logrotate {' '.join(su)!r}, who can give the log to nobody else"
    )
