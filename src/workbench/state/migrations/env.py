"""Where alembic begins: on the connection, and in the transaction, that ``state.schema`` gives."""

from __future__ import annotations

from alembic import context

from workbench.state.schema import VERSIONS

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=VERSIONS, transactional_ddl=False)
context.run_migrations()
