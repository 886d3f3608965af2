"""The schema of a fleet: what the migrations make, and what programs declare."""

import sqlalchemy as sa

from state.fleet.server import schema
from tests.support.postgres.cluster import Fleet

_DIALECT = sa.create_engine("postgresql+psycopg://").dialect


def test_declared_columns_are_those_of_the_migrations(fleet: Fleet) -> None:
    with fleet.administered() as admin:
        made = admin.execute(
            "SELECT table_name, column_name, data_type, is_nullable = 'YES', collation_name"
            " FROM information_schema.columns WHERE table_schema = %s",
            [schema.NAME],
        ).fetchall()
    found = {(table, name): (kind, null, order) for table, name, kind, null, order in made}
    for table in schema.metadata.tables.values():
        columns = {
            (table.name, column.name): (
                column.type.compile(_DIALECT).partition(" COLLATE")[0].lower(),
                column.nullable,
                getattr(column.type, "collation", None),
            )
            for column in table.columns
        }
        assert columns == {key: value for key, value in found.items() if key[0] == table.name}
