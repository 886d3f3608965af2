"""Tell Codex's own database the name that a thread was given: one column of one row.

Codex looks there first, so that it would go on showing the old name (rollout-format §17.3). Nothing
depends on it here: what cannot be done is told, and Codex's ``/rename`` does it too.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from state.codex import is_known

_PATIENCE_S: Final = 1.0


def tell_codex(database: Path, thread_id: str, name: str) -> str | None:
    """Set the name in the database: None, or why Codex may show another one.

    A missing database or row is no matter: Codex has no other name then.
    """
    if not database.exists():
        return None
    try:
        # Not made if it is gone: mode=rw.
        uri = f"{database.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S)) as connection:
            if not is_known(connection):
                return "its database is not that of Codex 0.169"
            with connection:
                connection.execute(
                    "UPDATE threads SET name = CASE history_mode WHEN 'paginated' THEN ?"
                    " ELSE name END, title = CASE history_mode WHEN 'paginated' THEN title"
                    " ELSE ? END WHERE id = ?",
                    (name, name, thread_id),
                )
    except sqlite3.Error as error:
        return f"its database cannot be written: {error}"
    return None
