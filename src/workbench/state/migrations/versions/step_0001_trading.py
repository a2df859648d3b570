"""The journal, what keeps orders and executions unique in it, the lease of its writer, and alerts."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None

GUARDED = ("journal", "intents", "executions")


def upgrade() -> None:
    """Make the tables, and let the database itself refuse to change or delete what is written for ever."""
    op.create_table(
        "journal",
        sql.Column("account", sql.Text, primary_key=True),
        sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
        *(sql.Column(name, sql.Text, nullable=False) for name in ("at", "session", "kind", "key", "symbol", "data")),
        sql.Column("previous", sql.Text, nullable=False),
        sql.Column("head", sql.Text, nullable=False, unique=True),
        sql.UniqueConstraint("account", "previous"),
    )
    op.create_table(
        "intents",
        sql.Column("account", sql.Text, primary_key=True),
        sql.Column("key", sql.Text, primary_key=True),
        sql.Column("order_id", sql.BigInteger, nullable=False),
        sql.Column("number", sql.Integer, nullable=False),
        sql.UniqueConstraint("account", "order_id"),
    )
    op.create_table(
        "executions",
        sql.Column("account", sql.Text, primary_key=True),
        sql.Column("execution", sql.Text, primary_key=True),
        sql.Column("revision", sql.Integer, primary_key=True, autoincrement=False),
        sql.Column("number", sql.Integer, nullable=False),
    )
    op.create_table(
        "leases",
        sql.Column("account", sql.Text, primary_key=True),
        sql.Column("token", sql.Integer, nullable=False),
        sql.Column("holder", sql.Text, nullable=False),
        sql.Column("host", sql.Text, nullable=False),
        sql.Column("pid", sql.Integer, nullable=False),
        sql.Column("started", sql.Text, nullable=False),
        sql.Column("since", sql.Text, nullable=False),
        sql.Column("renewed", sql.Text, nullable=False),
        sql.Column("released", sql.Boolean, nullable=False),
    )
    op.create_table(
        "alerts",
        sql.Column("id", sql.Integer, primary_key=True),
        *(sql.Column(name, sql.Text, nullable=False) for name in ("severity", "kind", "text", "data", "cooldown")),
        sql.Column("raised_at", sql.Text, nullable=False),
        sql.Column("acknowledged_by", sql.Text, nullable=False),
        sql.Column("acknowledged_at", sql.Text, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for table in GUARDED:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION workbench_journal_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$"
    )
    for table in GUARDED:
        op.execute(
            f"CREATE TRIGGER {table}_rows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION workbench_journal_append_only()"
        )
