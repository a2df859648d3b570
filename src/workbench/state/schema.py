"""Which version the tables of trading have: an older one is upgraded when opened, a newer one is refused."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sql

from workbench.errors import DataRefused
from workbench.state.store import Store

NEWEST = "0001"
VERSIONS = "trading_schema"  # the table that names the version; a name of its own beside other programs' alembic
_version = sql.Table(VERSIONS, sql.MetaData(), sql.Column("version_num", sql.String(32), primary_key=True))


def require_schema(store: Store, engine: sql.Engine) -> None:
    """Make sure that the tables of trading are there in the newest version."""
    with store.explained():
        if store.file is None or store.file.exists():
            with engine.connect() as connection:
                if _found(connection) == NEWEST:
                    return
        with store.alone(engine, "schema") as connection:
            found = _found(connection)  # again: another process may have been first
            if found != NEWEST:
                _upgrade(store, connection, found)


def _found(connection: sql.Connection) -> str:
    if not sql.inspect(connection).has_table(VERSIONS):
        return ""
    return connection.execute(sql.select(_version.c.version_num)).scalar() or ""


def _upgrade(store: Store, connection: sql.Connection, found: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if found and found not in known:
        raise DataRefused(
            f"{store.shown}: schema {found} is newer than {NEWEST}, the newest this version knows; nothing was "
            "changed; update the workbench, or restore the backup made before the update"
        )
    command.upgrade(config, NEWEST)
