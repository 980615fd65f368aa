# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an application says of itself when it is loaded: run by its own Python, as its own user, in its own sandbox.

The source of this module is the program, so it needs nothing but the standard library of Python 3.9. What it prints
holds measures of keys, never a key.
"""

from __future__ import annotations

import ast
import importlib
import io
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

# How many wrappers may lie around an application.
_DEPTH = 12
_HOPS = ("x_for", "x_proto", "x_host", "x_port", "x_prefix")
_INSIDE = ("wsgi_app", "app", "application", "wrapped_app")


def measured(name: str, value: object, names: list[str], known: list[str]) -> dict[str, Any]:
    """Return what can be said of a key without telling it.

    ``names``: words of which it must not be made; ``known``: keys of tutorials, in lower case.
    """
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    plain = "".join(character for character in text.lower() if character.isalnum())
    near = {"".join(character for character in word.lower() if character.isalnum()) for word in names}
    common = {"".join(character for character in word if character.isalnum()) for word in known}
    return {
        "name": name,
        "length": len(text),
        "kinds": len(set(text)),
        "known": plain in common or plain.rstrip("0123456789") in common,
        "name_like": bool(plain) and plain in near,
    }


def load(name: str) -> Any:
    """Return the application: ``module:callable``, or ``module:factory(arguments)``, which are literals."""
    module, dummy, expression = name.partition(":")
    named = ast.parse((expression or "application").strip(), mode="eval").body
    call = named if isinstance(named, ast.Call) else None
    found: Any = importlib.import_module(module)
    for part in ast.unparse(call.func if call else named).split("."):
        found = getattr(found, part)
    if call:
        keywords = {word.arg or "": ast.literal_eval(word.value) for word in call.keywords}
        found = found(*(ast.literal_eval(value) for value in call.args), **keywords)
    return found


def layers(application: Any) -> list[Any]:
    """Return an application and all that it wraps, the outermost first."""
    found: list[Any] = []
    while application is not None and len(found) < _DEPTH and all(application is not one for one in found):
        found.append(application)
        inner = (getattr(application, name, None) for name in _INSIDE)
        application = next((one for one in inner if callable(one)), None)
        # Flask's own wsgi_app is a bound method, behind which there is nothing more.
        if getattr(application, "__self__", None) in found[-1:]:
            break
    return found


def is_flask(application: Any) -> bool:
    return all(hasattr(application, name) for name in ("wsgi_app", "config", "request_context", "session_interface"))


def request(environ: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the environ of a request as gunicorn makes it of one that comes from nginx over a unix socket."""
    scheme = headers.get("X-Forwarded-Proto", "http")
    host = headers.get("Host", "localhost")
    made: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": host.partition(":")[0],
        "SERVER_PORT": "443" if scheme == "https" else "80",
        "REMOTE_ADDR": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **environ,
    }
    return {**made, **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}}


def seen(application: Any, environ: dict[str, Any]) -> dict[str, Any]:
    """Send one request through the application; return which address and scheme its own code sees."""
    told: list[Mapping[str, Any]] = []
    for layer in layers(application):
        if is_flask(layer):
            context = layer.request_context

            def noted(given: dict[str, Any], context: Any = context) -> Any:
                told.append(dict(given))
                return context(given)

            layer.request_context = noted
            break
    try:
        body = application(environ, lambda status, headers, error=None: lambda data: None)
        # An application may be a generator, which runs when its answer is read. A stream has no end.
        next(iter(body), None)
        getattr(body, "close", lambda: None)()
    except Exception:  # an error of a page: what its code saw is known all the same
        pass
    last = told[-1] if told else environ
    return {"address": str(last.get("REMOTE_ADDR") or ""), "scheme": str(last.get("wsgi.url_scheme") or "")}


def examined(application: Any, order: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the doctor wants to know of an application; ``order``: path, headers, names, known."""
    found = layers(application)
    flask = next((layer for layer in found if is_flask(layer)), None)
    fix = next((layer for layer in found if type(layer).__name__ == "ProxyFix"), None)
    said: dict[str, Any] = {
        "flask": flask is not None,
        "proxy_fix": {name: getattr(fix, name, 0) for name in _HOPS} if fix is not None else None,
        "debug": False,
        "cookie": None,
        "secret": None,
    }
    if flask is not None:
        config = flask.config
        said["debug"] = bool(config.get("DEBUG"))
        if key := config.get("SECRET_KEY"):
            said["secret"] = measured("SECRET_KEY", key, order["names"], order["known"])
            said["cookie"] = {
                "name": str(config.get("SESSION_COOKIE_NAME") or "session"),
                "secure": bool(config.get("SESSION_COOKIE_SECURE")),
                "httponly": bool(config.get("SESSION_COOKIE_HTTPONLY", True)),
                "samesite": str(config.get("SESSION_COOKIE_SAMESITE") or ""),
            }
    said["seen"] = seen(application, request({"PATH_INFO": order["path"]}, order["headers"]))
    return said


def main() -> None:
    """Read an order (JSON) from the argument, and print the answer on what was standard output."""
    order = json.loads(sys.argv[1])
    # What the application prints is no part of the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    sys.path.insert(0, os.getcwd())
    try:
        text = json.dumps(examined(load(order["wsgi"]), order))
    except BaseException as error:  # an application may call sys.exit()
        # Its words may hold a value of the environment.
        text = json.dumps({"error": type(error).__name__})
    os.write(answer, text.encode() + b"\n")
    # Threads that it began would keep this process alive.
    os._exit(0)


if __name__ == "__main__":
    main()
