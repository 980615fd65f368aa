"""A site that says what secrets it has, as digests: no answer, and no log of an answer, tells one."""

from __future__ import annotations

import base64
import glob
import hashlib
import html
import json
import os
import shlex
import sys
import urllib.parse
from collections.abc import Callable
from typing import Any


def seen() -> dict[str, str]:
    """Name -> digest of all that it has."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    texts = {name: value for name, value in os.environ.items() if name.startswith("S_")}
    for name, value in list(texts.items()):
        if name.endswith("_FILE"):
            texts[name.removesuffix("_FILE")] = read(value)
            del texts[name]
    paths = [os.path.join(folder, name) for name in (os.listdir(folder) if folder else [])]
    for path in [*paths, "settings.ini", "settings.txt"]:
        if os.path.exists(path):
            texts[os.path.basename(path)] = read(path)
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def read(path: str) -> str:
    with open(path, newline="") as stream:
        return stream.read()


def tell() -> None:
    """Say everything that it knows, in every way that programs write it."""
    everything = dict(os.environ)
    paths = ["settings.ini", "settings.txt", *glob.glob(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere") + "/*")]
    paths += [value for name, value in os.environ.items() if name.endswith("_FILE")]
    everything.update((path, read(path)) for path in paths if os.path.exists(path))
    print(everything, file=sys.stderr)
    for value in everything.values():
        quoted = [shlex.quote(value), urllib.parse.quote(value), urllib.parse.quote_plus(value), html.escape(value)]
        forms = [value, repr(value), json.dumps(value), ascii(value), *quoted]
        print(*forms, base64.b64encode(value.encode()).decode(), value[3:-3], sep="\n", file=sys.stderr, flush=True)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    sick = os.path.exists("data/sick")
    start_response("500 Sick" if sick else "200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen()).encode()]


if __name__ == "__main__":
    print(json.dumps(seen()))
