# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules that an application keeps besides its specification, and the report of what breaks them."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.flaskworks.deploy.plugins.module_utils.problems import Problem

Entry = dict[str, Any]

RULES = {
    "allow-from": "a site is open for networks that a firewall can tell from others",
    "app-name": "a name begins with a letter, ends in a letter or digit, and has lower-case letters, digits and '-'",
    "app-name-length": "a name is a Linux user name of at most 31 characters",
    "app-name-reserved": "a name belongs to no user, unit, site or directory of the system",
    "archive": "an archive is a file that the host can fetch, or one of the controller",
    "background": "processes and timers have names and commands that make units",
    "basic-auth": "users of basic_auth have a name and a password, and its exceptions are whole paths",
    "buffers": "buffers have sizes that nginx understands, and there are enough of them",
    "calendar": "a timer has times in systemd's notation",
    "checksum": "an archive is known by its SHA-256 before it is opened",
    "client": "a client is given a number of seconds",
    "command": "a command is one line and its quotes are closed",
    "command-once": "what a run-once command creates lies below a shared directory, or it would run for each release",
    "deploy-key": "a deploy key is a private key that ssh can use by itself, for a URL of ssh",
    "dev-server": "the development server serves nobody but developers",
    "domain": "a domain is a host name, without scheme, port or path",
    "domain-duplicate": "a domain belongs to one site on each port",
    "domain-missing": "an application without domains has its ports for itself",
    "env-debug": "debug mode lets visitors run code",
    "env-name": "the name of a variable has letters, digits and _",
    "env-removed": "FLASK_ENV does nothing since Flask 2.3",
    "env-reserved": "variables that systemd, gunicorn or the release set are theirs",
    "env-twice": "a variable is either in env or in secrets",
    "env-value": "the value of a variable is text",
    "error-page": "an error page belongs to a status, and is a static file or a text",
    "file-content": "a file has either content or a template",
    "file-path": "a file lies inside the source of the release",
    "file-secret": "a file names secrets that the application has",
    "file-public": "a file with settings is not in a directory that the web server shows",
    "file-shared": "a file of a release is not in a directory that outlives releases",
    "git-credentials": "a password is no part of a URL, which appears in logs, and goes over https only",
    "git-url": "a git URL is one that git can fetch without running anything",
    "git-version": "a version is the name of a branch, a tag or a commit",
    "gunicorn-setting": "a setting is one that gunicorn has, with a value that it takes",
    "gunicorn-managed": "settings that have a key of their own, or that the release sets, are not repeated",
    "gzip": "compression has a level, and types of media",
    "header": "a header has a name and a value of one line, and is no other key's",
    "health": "a health check is a request that can be made",
    "health-static": "a health check asks the application, not a static file",
    "host-key": "a server that is given a key is known by its own, pinned one",
    "index": "an index has an address that both installers read",
    "keep": "at least the live release is kept",
    "limit": "a limit is an amount that systemd understands and an application can live with",
    "location": "a location is a path with a treatment of its own",
    "log-journal": "logs go to the journal where systemd runs the application",
    "log-size": "a size is one that logrotate understands",
    "log-rotate": "the number of old logs is not negative",
    "manager-limit": "a limit is one that the process manager can set",
    "manager-systemd": "directives of systemd are for applications that it runs",
    "max-body": "a size is one that nginx understands",
    "network": "who may come to a location is an address or a network",
    "nginx-timeout": "a timeout is a number of seconds that nginx accepts",
    "package": "a package is one requirement or one Debian package",
    "path": "a path of the project stays inside the project",
    "pypi": "a package of an index is named with its exact version and needs no other files",
    "port": "a port is between 1 and 65535",
    "port-reserved": "SSH's port, and that of TLS, are not for plain HTTP",
    "rate-limit": "a limit is a number of requests",
    "redirect": "a redirect leads from one path to another, and a rewrite is an expression with its groups",
    "secret": "a secret is filled in",
    "secret-as": "a secret is handed over in a way that its process manager has",
    "secret-generate": "a generated secret is too long to be guessed",
    "server-keys": "a server is given what means something to it",
    "redirect-from": "a name that leads to the site is no name of a site",
    "shared": "a shared directory is a relative path inside the source, and not inside another",
    "source": "the code comes from one place, and all keys of its source belong to it",
    "static-cache": "what browsers keep of static files is said of static paths, in seconds",
    "static-code": "static files are not the application's own code",
    "static-location": "a path is either static or a location",
    "static-shared": "what is served from shared is listed there, and has a static path of its own",
    "static-target": "static files come from a directory of the source, of shared or of a package",
    "static-url": "a static path begins and ends with a slash",
    "supply": "what the inventory demands of code and packages is kept by every application",
    "systemd-directive": "a directive is one that systemd reads where it stands",
    "systemd-managed": "directives that hold the release together, or that have a key of their own, are not overridden",
    "timeouts": "systemd waits longer than gunicorn for the requests in progress",
    "tls-acme": "an authority can look up the names and ask them on port 80",
    "tls-files": "a certificate and its key are given where they are used",
    "tls-hsts": "browsers are told how long the site has TLS in seconds, and not for ever",
    "threads": "only gthread workers have threads",
    "undefined": "what an inventory names has a value",
    "trusted-proxy": "a trusted proxy is an address or a network",
    "verify": "who signs is known by a public key",
    "waf": "the firewall for requests is told what the core rule set knows",
    "workers": "the number of workers is a positive number, auto or cpu",
    "wsgi": "the callable is named as gunicorn reads it",
}


class Report:
    """Collects the problems of one application."""

    def __init__(self, variable: str, name: object) -> None:
        self.name = str(name)
        self.path = f"{variable}.{name}"
        self.problems: list[Problem] = []

    def add(self, rule: str, key: str, text: str) -> None:
        """Note that ``key`` (relative to the application, may be empty) breaks ``rule``."""
        if rule not in RULES:
            raise KeyError(rule)
        self.problems.append(Problem(f"{self.path}.{key}" if key else self.path, text, rule))


def path_fault(path: str) -> str:
    """Return why a path does not name something strictly inside its root, or an empty text."""
    if not path.strip("/ "):
        return "is empty: name a path inside the source"
    if path.startswith("/"):
        return f"'{path}' is absolute: write it relative to the source"
    if path.startswith("~"):
        return f"'{path}' begins with '~', which nothing expands here: write it relative to the source"
    if re.search(r"[\x00-\x1f\x7f\\]", path):
        return f"{path!r} has a control character or a backslash: use plain names and '/'"
    parts = path.rstrip("/").split("/")
    if ".." in parts:
        return f"'{path}' leaves its directory: remove the '..'"
    if "" in parts or "." in parts:
        return f"'{path}' is not in its simplest form: remove '.' and doubled slashes"
    if parts[0] == ".git":
        return f"'{path}' lies in .git, which is not part of a release"
    return ""


def below(path: str, directory: str) -> bool:
    """Tell whether ``path`` is ``directory`` or lies in it."""
    return path.rstrip("/") == directory.rstrip("/") or path.startswith(directory.rstrip("/") + "/")


def texts(report: Report, rule: str, key: str, values: Entry) -> dict[str, str]:
    """Return those items of a free dictionary that are text; the others are reported, without their value."""
    good = {}
    for name, value in values.items():
        if isinstance(value, str):
            good[name] = value
        else:
            kind = (
                "empty"
                if value is None
                else (
                    "yes/no"
                    if isinstance(value, bool)
                    else "a number"
                    if isinstance(value, (int, float))
                    else "no text"
                )
            )
            report.add(rule, f"{key}.{name}", f"is {kind}, but text is wanted: put it in quotes")
    return good
