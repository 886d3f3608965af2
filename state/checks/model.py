"""The kinds of findings about the rows of an index, and what their checks share."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from state.checks.findings import ERROR, NOTE, WARNING, Finding, FindingKind, difference

_REPAIR: Final = "threadkeep repair"
REPAIR_DEEP: Final = "threadkeep repair --deep"
_SYNC: Final = "threadkeep sync"


KINDS: Final = {
    kind.code: kind
    for kind in (
        FindingKind("index_incomplete", WARNING, "threadkeep backfill"),
        FindingKind("not_indexed", WARNING, _SYNC),
        FindingKind("out_of_date", WARNING, _SYNC),
        FindingKind("file_gone", WARNING, _SYNC),
        FindingKind("names_out_of_date", WARNING, _SYNC),
        FindingKind("cannot_look", WARNING, None),
        FindingKind("unreadable", WARNING, None),
        FindingKind("damaged_lines", WARNING, None),
        FindingKind("lines_left_out", WARNING, None),
        FindingKind("names_line", WARNING, None),
        FindingKind("journal_line", WARNING, None),
        FindingKind("row_missing", ERROR, _REPAIR),
        FindingKind("row_without_file", ERROR, _REPAIR),
        FindingKind("wrong_file", ERROR, _REPAIR),
        FindingKind("wrong_bucket", ERROR, _REPAIR),
        FindingKind("column_differs", ERROR, _REPAIR),
        FindingKind("edge_differs", ERROR, _REPAIR),
        FindingKind("user_data_not_indexed", ERROR, _REPAIR),
        FindingKind("user_data_not_in_journal", ERROR, _REPAIR),
        FindingKind("duplicate", NOTE, None),
        FindingKind("parent_elsewhere", NOTE, None),
        FindingKind("fork_elsewhere", NOTE, None),
        FindingKind("base_elsewhere", WARNING, None),
    )
}


@dataclass(frozen=True, slots=True)
class IndexState:
    """One state of the index."""

    home: Path
    path: Path
    connection: sqlite3.Connection
    threads: dict[str, sqlite3.Row]
    files: dict[str, sqlite3.Row]
    rollout_ids: set[str]
    """Of all files, by their names: what a history may begin in."""


def column_differs(thread_id: str, path: str, column: str, measured: Any, expected: Any) -> Finding:
    """The finding that a column of a row does not match the files."""
    message = f"Column {column} does not match the files."
    return difference(KINDS["column_differs"], message, thread_id, path, measured, expected)
