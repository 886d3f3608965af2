"""Tell Codex's own database what a thread was given: a few columns of one row.

Codex looks there first, so that it would go on showing what it had (rollout-format §17.3). Nothing
depends on it here: what cannot be done is told, and Codex can be told by its own commands.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from state.codex import is_known
from state.rows import OVERRIDDEN

_PATIENCE_S: Final = 1.0
_NAME_COLUMNS: Final = {"paginated": "name", "legacy": "title"}
"""Where a name stands, by history mode."""


def tell_codex(database: Path, thread_id: str, values: Mapping[str, str | None]) -> str | None:
    """Set ``name``, git facts or memory mode of a thread in the database: None, or why Codex may
    go on with what it had.

    A missing database or row is no matter: Codex reads the files then.
    """
    if not database.exists():
        return None
    try:
        # Not made if it is gone: mode=rw. A transaction is begun and ended by hand.
        uri = f"{database.absolute().as_uri()}?mode=rw"
        with closing(
            sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not is_known(connection):
                return "its database is not that of Codex 0.169"
            found = connection.execute(
                "SELECT history_mode FROM threads WHERE id = ?", [thread_id]
            ).fetchone()
            for key, value in values.items() if found else ():
                column = key if key in OVERRIDDEN else _NAME_COLUMNS.get(found[0])
                if column:
                    connection.execute(
                        f"UPDATE threads SET {column} = ? WHERE id = ?", [value, thread_id]
                    )
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        return f"its database cannot be written: {error}"
    return None
