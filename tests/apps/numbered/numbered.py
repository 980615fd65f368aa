"""A site whose every answer names its release, and whose import takes as long as it is told."""

import time

BEGAN = time.process_time()

import os
from pathlib import Path

from flask import Flask, Response

VERSION = Path(__file__).with_name("VERSION").read_text().strip()

if VERSION.startswith("bad-import"):
    raise RuntimeError(f"{VERSION} can't be imported")
# What a big site does while it is imported: it computes.
while time.process_time() - BEGAN < float(os.environ.get("IMPORT_SECONDS", "0")):
    pass

app = Flask(__name__)


@app.route("/", methods=["GET", "POST"])
def index() -> str:
    return f"{VERSION}\n"


@app.get("/slow")
def slow() -> str:
    time.sleep(1.5)
    return f"{VERSION}\n"


@app.get("/health")
def health() -> tuple[str, int]:
    return ("ill\n", 500) if VERSION.startswith("bad-probe") else ("fine\n", 200)


@app.after_request
def name_release(response: Response) -> Response:
    response.headers["X-Release"] = VERSION
    return response
