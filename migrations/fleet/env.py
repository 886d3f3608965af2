"""Run by Alembic, over the connection that ``state.fleet.server.admin`` passes."""

from alembic import context

from migrations.fleet import SCHEMA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
)
with context.begin_transaction():
    context.run_migrations()
