"""The pages: the book itself, a new entry, and the health check."""

from __future__ import annotations

import hmac
import secrets
import sqlite3
from typing import Any

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, session, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from . import db

pages = Blueprint("pages", __name__)

# What a file is, is told by its first bytes; its name is the visitor's and proves nothing.
SIGNATURES = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"GIF87a": ".gif", b"GIF89a": ".gif"}


def form_token() -> str:
    """The token that ties a form to the visitor's session, signed with SECRET_KEY."""
    if "token" not in session:
        session["token"] = secrets.token_urlsafe(16)
    return str(session["token"])


@pages.app_context_processor
def page_context() -> dict[str, Any]:
    return {"title": current_app.config["TITLE"], "form_token": form_token}


@pages.get("/")
def index() -> str:
    per_page = current_app.config["PER_PAGE"]
    page = max(request.args.get("page", 1, type=int), 1)
    rows = (
        db.get()
        .execute("SELECT * FROM entry ORDER BY id DESC LIMIT ? OFFSET ?", (per_page + 1, (page - 1) * per_page))
        .fetchall()
    )
    total = db.get().execute("SELECT count(*) FROM entry").fetchone()[0]
    return render_template("index.html", entries=rows[:per_page], page=page, more=len(rows) > per_page, total=total)


@pages.get("/about")
def about() -> str:
    return render_template("about.html")


@pages.post("/sign")
def sign() -> Response:
    if not hmac.compare_digest(request.form.get("token", ""), form_token()):
        abort(400, "This form has expired. Go back, reload the page and try again.")
    name = request.form.get("name", "").strip()[:80]
    message = request.form.get("message", "").strip()[:2000]
    if not name or not message:
        abort(400, "A name and a few words are needed.")
    picture = keep(request.files.get("picture"))
    db.get().execute("INSERT INTO entry (name, message, picture) VALUES (?, ?, ?)", (name, message, picture))
    flash(f"Thank you, {name}.")
    return redirect(url_for("pages.index"), code=303)


def keep(upload: FileStorage | None) -> str | None:
    """Stores an uploaded picture below `media/`; returns its new name, or None where nothing was sent."""
    if upload is None or not upload.filename:
        return None
    head = upload.stream.read(16)
    upload.stream.seek(0)
    suffix = next((suffix for signature, suffix in SIGNATURES.items() if head.startswith(signature)), None)
    if suffix is None:
        abort(415, "Only PNG, JPEG and GIF pictures are taken.")
    name = secrets.token_hex(8) + suffix
    upload.save(current_app.config["MEDIA"] / name)
    return name


@pages.get("/health")
def health() -> tuple[dict[str, Any], int]:
    """200 when the database answers and has this release's schema, else 503 with the reason."""
    wanted = max(db.available())
    try:
        found = db.version(db.get())
        db.get().execute("SELECT 1 FROM entry LIMIT 1").fetchone()
    except sqlite3.Error as error:
        return {"status": "failing", "database": str(error)}, 503
    if found < wanted:
        return {"status": "failing", "database": f"schema {found}, this release needs {wanted}"}, 503
    return {"status": "ok", "database": "ok", "schema": found}, 200


@pages.app_errorhandler(400)
@pages.app_errorhandler(404)
@pages.app_errorhandler(413)
@pages.app_errorhandler(415)
def sorry(error: Any) -> tuple[str, int]:
    return render_template("sorry.html", error=error), error.code
