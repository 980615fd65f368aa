"""A Flask site whose dependencies come from `pyproject.toml` and, once `uv lock` was run beside it, `uv.lock`."""

from __future__ import annotations

from importlib.metadata import version

from flask import Flask

app = Flask(__name__)


@app.get("/")
def home() -> str:
    return "Installed by uv\n"


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok", "flask": version("flask")}
