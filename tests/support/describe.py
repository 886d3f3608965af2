"""What an SQLite schema means, without how its SQL happens to be written."""

import re

import sqlalchemy as sa


def describe(connection: sa.Connection) -> dict[str, object]:
    """Tables, indexes, checks and triggers of a database, comparable with ``==``.

    Alembic's own comparison does not see CHECK constraints, the WHERE of a partial index,
    generated columns or virtual tables; this does. Column order is left out.
    """
    inspector = sa.inspect(connection)
    schema: dict[str, object] = {}
    for table in inspector.get_table_names():
        if table == "alembic_version" or table.startswith(("thread_titles", "fulltext_trigrams")):
            continue
        schema[table] = {
            "columns": sorted(
                map(repr, (row[1:] for row in _pragma(connection, "table_xinfo", table)))
            ),
            "checks": sorted(_flat(c["sqltext"]) for c in inspector.get_check_constraints(table)),
            "foreign keys": sorted(
                map(repr, (row[2:] for row in _pragma(connection, "foreign_key_list", table)))
            ),
            "indexes": sorted(
                repr(
                    (
                        row[1],
                        row[2],
                        [key[2:] for key in _pragma(connection, "index_xinfo", str(row[1]))],
                    )
                )
                for row in _pragma(connection, "index_list", table)
            ),
            "generated": sorted(
                re.findall(r"generated always as .*? (?:virtual|stored)", _sql(connection, table))
            ),
        }
    rest = (
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        " AND (type <> 'table' OR sql LIKE 'CREATE VIRTUAL%')"
    )
    for kind, name, sql in connection.exec_driver_sql(rest):
        schema[f"{kind} {name}"] = _flat(sql)
    return schema


def _sql(connection: sa.Connection, table: str) -> str:
    found = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (table,))
    return _flat(str(found.scalar()))


def _pragma(connection: sa.Connection, pragma: str, name: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql(f"PRAGMA {pragma}('{name}')")]


def _flat(sql: str) -> str:
    flat = re.sub(r'[\s"`]+', " ", sql).replace("( ", "(").replace(" )", ")")
    return flat.replace(" ,", ",").strip().lower()
