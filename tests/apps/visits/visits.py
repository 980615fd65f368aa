"""A site that counts its visits in the memory of its process; its answers show what runs it."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request, send_from_directory

HERE = Path(__file__).resolve().parent
SLOWEST_SECONDS = 60.0
NAME = "visits-was-here"
# Where a site has no business, and the two places where it has.
PLACES = ("/etc", "/run", "/usr", "/var/log", "/var/lib", "/srv", "/tmp", "src", "own log", "media")

app = Flask(__name__, static_folder="static")
counter = itertools.count(1)


@app.after_request
def say_who_answers(response: Response) -> Response:
    response.headers["X-Served-By"] = "Python"
    return response


@app.get("/")
def visit() -> Response:
    return jsonify(visit=next(counter), process=os.getpid())


@app.get("/health")
def health() -> str:
    return "fine"


@app.get("/slow")
def slow() -> Response:
    time.sleep(max(0.0, min(request.args.get("s", 1.0, float), SLOWEST_SECONDS)))
    return visit()


@app.get("/large")
def large() -> Response:
    return Response(b"x" * (8 << 20), mimetype="application/octet-stream")


@app.post("/upload")
def upload() -> Response:
    return jsonify(length=len(request.get_data()))


@app.get("/media/<path:name>")
def media(name: str) -> Response:
    return send_from_directory(HERE / "media", name)


@app.get("/request")
def seen() -> Response:
    found = {key: value for key, value in request.environ.items() if isinstance(value, str)}
    return jsonify(found)


@app.get("/process")
def process() -> Response:
    patched = "gevent.monkey" in sys.modules and sys.modules["gevent.monkey"].is_module_patched("socket")
    return jsonify(
        process=os.getpid(),
        parent=os.getppid(),
        threads=threading.active_count(),
        patched=patched,
        debug=app.debug,
        variables=sorted(os.environ),
    )


@app.get("/settings")
def settings() -> Response:
    """Looks for the configuration in memory: that is the one that counts, whatever files and options say."""
    from gunicorn.config import Config

    found: dict[str, Any] = {}
    for thing in gc.get_objects():
        if isinstance(thing, Config):
            found = {name: setting.get() for name, setting in thing.settings.items()}
    plain = (str, int, float, list, type(None))
    return jsonify({name: value for name, value in found.items() if isinstance(value, plain)})


@app.post("/write")
def write() -> Response:
    own = {"src": HERE, "own log": Path("/var/log") / request.form["app"], "media": HERE / "media"}
    outcomes = {}
    for place in PLACES:
        path = own.get(place, Path(place)) / NAME
        try:
            path.write_text("here\n")
            outcomes[place] = "written"
        except OSError as error:
            outcomes[place] = errno.errorcode.get(error.errno or 0, str(error))
    return jsonify(outcomes)
