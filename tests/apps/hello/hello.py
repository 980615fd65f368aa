"""The smallest site: one WSGI callable without any framework. Its answers show what the server around it does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

VERSION = Path(__file__).with_name("VERSION").read_text().strip()
# Only these variables are ever shown with their values; of all others the names.
PUBLIC_VARIABLES = ("GREETING", "LANG", "TZ")
SLOWEST_SECONDS = 60.0

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def home(environ: dict[str, Any]) -> tuple[str, str]:
    return "text/plain", os.environ.get("GREETING", "Hello from WSGI") + "\n"


def health(environ: dict[str, Any]) -> tuple[str, str]:
    return "application/json", json.dumps({"status": "ok", "version": VERSION})


def slow(environ: dict[str, Any]) -> tuple[str, str]:
    """Answers after `?s=` seconds (default 1)."""
    seconds = float(parse_qs(environ.get("QUERY_STRING", "")).get("s", ["1"])[0])
    time.sleep(max(0.0, min(seconds, SLOWEST_SECONDS)))
    return "text/plain", f"slept {seconds} s\n"


def env(environ: dict[str, Any]) -> tuple[str, str]:
    shown = {name: os.environ[name] for name in PUBLIC_VARIABLES if name in os.environ}
    return "application/json", json.dumps({"names": sorted(os.environ), "values": shown})


def pid(environ: dict[str, Any]) -> tuple[str, str]:
    return "application/json", json.dumps({"worker": os.getpid(), "master": os.getppid()})


def version(environ: dict[str, Any]) -> tuple[str, str]:
    return "text/plain", VERSION + "\n"


def request(environ: dict[str, Any]) -> tuple[str, str]:
    """The request as the site sees it: what the proxy in front set, passed on or blanked."""
    plain = {key: value for key, value in environ.items() if isinstance(value, str)}
    wanted = ("REMOTE_ADDR", "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT")
    seen = {key: value for key, value in plain.items() if key.startswith("HTTP_") or key in wanted}
    return "application/json", json.dumps({**seen, "wsgi.url_scheme": environ["wsgi.url_scheme"]})


PAGES: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "/": home,
    "/health": health,
    "/slow": slow,
    "/env": env,
    "/pid": pid,
    "/version": version,
    "/request": request,
}


def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    page = PAGES.get(environ.get("PATH_INFO", "/"))
    status = "200 OK" if page else "404 Not Found"
    content_type, text = page(environ) if page else ("text/plain", "There is no such page.\n")
    body = text.encode()
    start_response(status, [("Content-Type", f"{content_type}; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
