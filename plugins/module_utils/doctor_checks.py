# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of the doctor: the one list of them, which docs/doctor.md shows."""

from __future__ import annotations

from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_app as app
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_others as others
from ansible_collections.flaskworks.deploy.plugins.module_utils import doctor_web as web
from ansible_collections.flaskworks.deploy.plugins.module_utils.certificate_findings import certificates
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_check import Check
from ansible_collections.flaskworks.deploy.plugins.module_utils.doctor_checks_host import HOST_CHECKS

CHECKS: tuple[Check, ...] = (
    *HOST_CHECKS,
    Check(
        "dns",
        "A and AAAA records of each domain against the host's addresses and `ansible_host`",
        "visitors and certificate authorities go where the name leads",
        ("plan", "names", "names_here", "addresses", "known_as"),
        web.names,
        web.unanswered,
    ),
    Check(
        "port-taken",
        "listening programs on the ports of the sites",
        "nginx can't have a port that somebody else has",
        ("plan", "listeners"),
        web.ports,
    ),
    Check(
        "site-answers",
        "the health check's page, through nginx",
        "an application that lives may still not be reached",
        ("apps",),
        web.answers,
    ),
    Check(
        "certificate",
        "dates, names, key and chain of each site's certificate, who has signed it, and whether nginx shows it",
        "browsers turn visitors away from a site whose certificate is not good",
        ("apps",),
        certificates,
    ),
    Check(
        "proxy-hops",
        "the address and scheme that the application's code sees of a test request, and its ProxyFix",
        "limits by address, logs and absolute URLs go wrong without them",
        ("apps",),
        web.proxy,
    ),
    Check(
        "forged-address",
        "the application's log after a request with a forged `X-Forwarded-For`",
        "a client that chooses its address evades every limit",
        ("apps", "plan"),
        web.forged,
    ),
    Check(
        "session-cookie",
        "flags of the session cookie: the one that is sent, else its settings",
        "who reads the cookie is the visitor",
        ("apps", "plan"),
        web.cookies,
    ),
    Check(
        "debugger",
        "Werkzeug's debugger, through nginx and on the release's socket",
        "it runs code for whoever has the PIN",
        ("apps",),
        web.debugger,
    ),
    Check(
        "debug-on",
        "`FLASK_DEBUG`, `DEBUG` and the like in the release's environment; `app.debug`",
        "error pages with code and variables",
        ("apps",),
        app.debug,
    ),
    Check(
        "secret-key",
        "length and variety of keys in the environment and in `app.config`; well-known values, names",
        "whoever guesses it can sign in as anybody",
        ("apps",),
        app.secrets,
    ),
    Check(
        "python-version",
        "Python of the live environment against `requires-python`",
        "it starts, and fails at the first line that is too new",
        ("apps",),
        app.python,
    ),
    Check(
        "worker-class",
        "the package of the worker class in the live environment",
        "the server does not start again",
        ("apps",),
        app.worker_class,
    ),
    Check(
        "sandbox",
        "what the live release said in the journal and its error log, against its unit",
        "a sandbox that is too tight for a site names what to loosen, and nothing else",
        ("apps",),
        others.sandbox,
    ),
    Check(
        "limit",
        "the same, against `limits`",
        "a site that meets its limits fails now and then",
        ("apps",),
        others.sandbox,
    ),
    Check(
        "restarts",
        "automatic restarts of 24 hours and failures of web service and processes, under each process manager",
        "each one loses requests, and hides a bug",
        ("apps",),
        app.restarts,
    ),
    Check("timer-failed", "the last run of each timer", "nobody reads its output", ("apps",), app.timers),
    Check(
        "deploy-interrupted", "the journal of deploys", "a half deploy waits for the next one", ("apps",), app.deploys
    ),
)


def table() -> str:
    """Return the checks as a table in Markdown."""
    rows = [f"| `{check.name}` | {check.looks_at} | {check.why} |" for check in CHECKS]
    return "\n".join(["| check | looks at | why |", "|---|---|---|", *rows]) + "\n"
