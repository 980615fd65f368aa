"""A guest book: visitors leave a few words and, if they like, a picture.

It is small, but has what real sites have: pages with their own CSS, uploads that outlive a release, a database with
migrations, a health check that asks the database, and a secret without which it refuses to start.
"""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from . import db, views


class MissingSettingError(RuntimeError):
    """A setting without which the site must not start."""


def create_app() -> Flask:
    """Builds the site from its environment: SECRET_KEY (needed), GUESTBOOK_TITLE, GUESTBOOK_PER_PAGE.

    The database lies in `instance/`, the uploads in `media/`, both beside the package.
    """
    app = Flask(__name__)
    secret_key = os.environ.get("SECRET_KEY", "")
    if len(secret_key) < 16:
        raise MissingSettingError("SECRET_KEY is not set, or has fewer than 16 characters: sessions could be forged.")
    root = Path(app.root_path).parent
    app.config.update(
        SECRET_KEY=secret_key,
        DATABASE=Path(app.instance_path) / "guestbook.db",
        MEDIA=root / "media",
        TITLE=os.environ.get("GUESTBOOK_TITLE", "Guest book"),
        PER_PAGE=int(os.environ.get("GUESTBOOK_PER_PAGE", "20")),
        MAX_CONTENT_LENGTH=8 * 1024 * 1024,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    db.init_app(app)
    app.register_blueprint(views.pages)
    return app
