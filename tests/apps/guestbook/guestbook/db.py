"""The SQLite database and its migrations: SQL files, applied in the order of their numbers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import click
from flask import Flask, current_app, g

MIGRATIONS = Path(__file__).parent / "migrations"


def connect(path: Path) -> sqlite3.Connection:
    """Opens the database in autocommit mode, waiting up to 5 s for another writer."""
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def get() -> sqlite3.Connection:
    """The connection of this request."""
    if "db" not in g:
        g.db = connect(current_app.config["DATABASE"])
    return g.db  # type: ignore[no-any-return]


def close(_error: BaseException | None = None) -> None:
    connection = g.pop("db", None)
    if connection is not None:
        connection.close()


def available() -> dict[int, Path]:
    """The migrations by their number: `002_pictures.sql` is number 2."""
    return {int(path.name.split("_")[0]): path for path in sorted(MIGRATIONS.glob("[0-9]*_*.sql"))}


def version(connection: sqlite3.Connection) -> int:
    """The number of the last migration that this database has seen; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(path: Path) -> list[str]:
    """Brings the database at `path` to the newest schema; returns the names of the migrations that it applied.

    Each migration is one transaction, and takes the write lock before it looks, so two runs at once do no harm.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    applied = []
    connection = connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        for number, script in available().items():
            connection.execute("BEGIN IMMEDIATE")
            try:
                if version(connection) < number:
                    for statement in script.read_text().split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {number}")
                    applied.append(script.name)
                connection.execute("COMMIT")
            except sqlite3.Error:
                connection.execute("ROLLBACK")
                raise
    finally:
        connection.close()
    return applied


@click.command("migrate")
def migrate_command() -> None:
    """Bring the database to the newest schema."""
    applied = migrate(current_app.config["DATABASE"])
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("the schema is up to date")


def init_app(app: Flask) -> None:
    app.teardown_appcontext(close)
    app.cli.add_command(migrate_command)
