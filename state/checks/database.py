"""Check the index database itself: its pages, its schema, and its two search indexes.

:mod:`state.checks.structure` compares its rows with the files.
"""

import itertools
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import Final

import sqlalchemy as sa

from state.checks.findings import ERROR, Finding, kinds
from state.db.ddl import create_schema
from state.db.location import HEAD
from state.db.schema import DEFERRED_INDEXES, metadata
from state.errors import SQLITE_ERRORS

KINDS: Final = kinds(
    (ERROR, "threadkeep repair", "index_damaged schema_differs foreign_key_broken"),
    (ERROR, "threadkeep repair", "title_index_differs search_index_differs"),
)

_MOST_MESSAGES: Final = 1000
_OBJECTS: Final = (
    "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
    r" AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'thread\_titles\_%' ESCAPE '\'"
    r" AND name NOT LIKE 'fulltext\_trigrams\_%' ESCAPE '\'"
)
_UNKNOWN: Final = (
    "SELECT count(*) FROM threads WHERE row_id NOT IN (SELECT row_id FROM fulltext_threads)"
    " AND row_id NOT IN (SELECT row_id FROM fulltext_pending)"
)
_WITHOUT_DOCUMENTS: Final = (
    "SELECT count(*) FROM fulltext_threads s JOIN threads t USING (row_id)"
    # The name of a thread is in its header or in a message, so one of its documents has it.
    " WHERE (s.header <> '' OR t.name <> '' OR t.title <> '' OR t.preview <> '')"
    " AND row_id NOT IN (SELECT row_id FROM fulltext_documents)"
    " AND row_id NOT IN (SELECT row_id FROM fulltext_pending)"
)
_BAD_LOCATIONS: Final = (
    "SELECT count(*) FROM fulltext_documents WHERE length(locations) % 8 OR length(item_keys) % 8"
)
_BAD_CHANGES: Final = (
    "SELECT count(*) FROM file_changes WHERE length(locations) % 8 OR locations = x''"
)
_UNCHANGED_FILES: Final = (
    "SELECT count(*) FROM changed_files WHERE file_id NOT IN (SELECT file_id FROM file_changes)"
)
_BAD_FILES: Final = "SELECT count(*) FROM fulltext_threads WHERE NOT json_valid(files)"
_WITHOUT_WORDS: Final = (
    "SELECT count(*) FROM fulltext_documents WHERE NOT EXISTS (SELECT 1 FROM temp.fulltext_words)"
)
_FULLTEXT_CHECKS: Final = (
    (_UNKNOWN, "neither has some threads nor is about to read them", "threads"),
    (_WITHOUT_DOCUMENTS, "lacks the messages of some threads", "threads"),
    (_BAD_LOCATIONS, "does not know where some messages are", "documents"),
    (_BAD_CHANGES, "does not know where some files were changed", "files"),
    (_UNCHANGED_FILES, "has files that no thread has changed", "files"),
    (_BAD_FILES, "does not know which files some threads are in", "threads"),
    (_WITHOUT_WORDS, "has lost all its words", "documents"),
)
_UNFINISHED: Final = "SELECT 1 FROM backfill_state WHERE status <> 'complete'"

Objects = dict[str, str]


def mistyped_sql(table: sa.Table) -> str:
    """Counts the rows of a table with a value of another type than its column's, which SQLite
    accepts."""
    kinds = (
        *((sa.Integer, "integer"), (sa.Float, "real")),
        *((sa.LargeBinary, "blob"), (sa.Text, "text")),
    )
    checks = []
    for column in table.columns:
        (kind,) = (name for type_, name in kinds if isinstance(column.type, type_))
        fit = f"'{kind}', 'null'" if column.nullable else f"'{kind}'"
        checks.append(f'typeof("{column.name}") NOT IN ({fit})')
    return f"SELECT count(*) FROM {table.name} WHERE {' OR '.join(checks)}"


def check_database(connection: sqlite3.Connection) -> Iterator[Finding]:
    """What is wrong with the database of an open index. Writes nothing to it.

    It takes as long as reading the whole database, and as much space in the temporary folder.
    Raises sqlite3.Error if it cannot be read for another reason than damage.
    """
    try:
        with closing(copy_of(connection)) as copy:
            yield from check_copy(copy)
    except SQLITE_ERRORS as error:
        if not _is_damage(error):
            raise
        yield damaged(str(error))


def copy_of(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of a database for :func:`check_copy`, to be used in any thread and to be closed.

    A copy is checked because FTS5 treats the request to check itself as a write, and SQLite skips
    CHECK constraints over a read-only connection (seen in 3.40). Raises sqlite3.Error if it cannot
    be read.
    """
    # SQLite's own temporary database: in memory, then in a file that has no name.
    copy = sqlite3.connect("", check_same_thread=False)
    try:
        connection.backup(copy)
    except BaseException:
        copy.close()
        raise
    return copy


def check_copy(copy: sqlite3.Connection) -> Iterator[Finding]:
    """What is wrong with a database. It writes to it, but leaves it as it was. Raises sqlite3.Error
    if it cannot be read."""
    broken = False
    for finding in itertools.chain(_damaged_pages(copy), _broken_searches(copy)):
        broken = True
        yield finding
    if not broken:  # the other checks would only meet the same damage
        differences = list(_schema_differences(copy))
        yield from differences
        if not differences:  # all tables and columns are there
            yield from _mistyped(copy)
        yield from _broken_references(copy)
        yield from _title_differences(copy)
        yield from _fulltext_differences(copy)


def _is_damage(error: Exception) -> bool:
    if isinstance(error, UnicodeDecodeError):
        return True
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "malformed" in str(error)


def damaged(reason: str) -> Finding:
    """The finding that the database is damaged."""
    return Finding(KINDS["index_damaged"], "The database is damaged.", measured=reason)


def _damaged_pages(connection: sqlite3.Connection) -> Iterator[Finding]:
    for (message,) in connection.execute(f"PRAGMA integrity_check({_MOST_MESSAGES})"):
        if message != "ok":
            yield damaged(message)


def _broken_references(connection: sqlite3.Connection) -> Iterator[Finding]:
    for table, row_id, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield Finding(
            KINDS["foreign_key_broken"],
            "A row refers to a row that does not exist.",
            measured=f"row {row_id} of {table}",
            expected=f"a row of {parent}",
        )


def _schema_differences(connection: sqlite3.Connection) -> Iterator[Finding]:
    kind = KINDS["schema_differs"]
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if revision != (HEAD,):
        yield Finding(
            kind,
            "The index has an older schema.",
            measured=revision[0] if revision else None,
            expected=HEAD,
            mend="threadkeep sync",
        )
        return
    expected = dict(_declared())
    there = _read_objects(connection.execute(_OBJECTS))
    if "table backfill_state" in there and connection.execute(_UNFINISHED).fetchone():
        for index in DEFERRED_INDEXES:  # a first backfill creates them at its end
            name = f"index {index.name}"
            there.setdefault(name, expected[name])
    for name in sorted(expected.keys() | there.keys()):
        if expected.get(name) != there.get(name):
            yield Finding(
                kind,
                f"The {name} is not as this version creates it.",
                measured=there.get(name),
                expected=expected.get(name),
            )


@cache
def _declared() -> tuple[tuple[str, str], ...]:
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        return tuple(_read_objects(connection.execute(_OBJECTS)).items())


def _read_objects(rows: sqlite3.Cursor) -> Objects:
    return {f"{kind} {name}": _meaning(kind, sql) for kind, name, sql in rows}


def _meaning(kind: str, sql: str) -> str:
    """The SQL of an object without accidents of writing. The columns and constraints of a table are
    sorted, as ``ALTER TABLE`` puts new ones last."""
    flat = re.sub(r'[\s"`]+', " ", sql).replace("( ", "(").replace(" )", ")")
    flat = flat.replace(" ,", ",").strip().lower()
    if kind != "table" or flat.startswith("create virtual"):
        return flat
    head, _, body = flat.partition("(")
    parts, depth, start = [], 0, 0
    for at, character in enumerate(body):
        depth += (character == "(") - (character == ")")
        if depth < 0 or (character == "," and depth == 0):
            parts.append(body[start:at].strip())
            start = at + 1
    return f"{head}({', '.join(sorted(parts))}){body[start:]}"


def _mistyped(copy: sqlite3.Connection) -> Iterator[Finding]:
    for table in metadata.sorted_tables:
        (count,) = copy.execute(mistyped_sql(table)).fetchone()
        if count:
            yield damaged(f"{count} rows of {table.name} have a value of the wrong type")


def _title_differences(copy: sqlite3.Connection) -> Iterator[Finding]:
    if reason := _search_fault(copy, "thread_titles", 1):
        message = "The title index does not match the titles of the threads."
        yield Finding(KINDS["title_index_differs"], message, measured=reason)


def _fulltext_differences(copy: sqlite3.Connection) -> Iterator[Finding]:
    kind = KINDS["search_index_differs"]
    if reason := _search_fault(copy, "fulltext_trigrams", 0):
        yield Finding(kind, "The full-text index is damaged.", measured=reason)
        return
    try:
        copy.execute(
            "CREATE VIRTUAL TABLE temp.fulltext_words"
            " USING fts5vocab(main, fulltext_trigrams, 'row')"
        )
        found = [copy.execute(sql).fetchone()[0] for sql, _, _ in _FULLTEXT_CHECKS]
        copy.execute("DROP TABLE temp.fulltext_words")
    except sqlite3.OperationalError:
        return  # a table is missing, which was reported
    for count, (_, message, what) in zip(found, _FULLTEXT_CHECKS, strict=True):
        if count:
            yield Finding(
                kind, f"The full-text index {message}.", measured=f"{count} {what}", expected="none"
            )


_SEARCHES: Final = {"thread_titles": "rebuild", "fulltext_trigrams": "delete-all"}
"""The FTS5 command that empties or rebuilds each."""


def _broken_searches(copy: sqlite3.Connection) -> Iterator[Finding]:
    """Search indexes whose tables are so damaged that FTS5 can neither rebuild nor drop them."""
    for table, begin in _SEARCHES.items():
        if _search_fault(copy, table, 0) is None:
            continue
        copy.execute("SAVEPOINT mend")
        try:
            copy.execute(f"INSERT INTO {table} ({table}) VALUES (?)", [begin])
        except SQLITE_ERRORS as error:
            yield damaged(str(error))
        finally:
            copy.execute("ROLLBACK TO mend")
            copy.execute("RELEASE mend")


def _search_fault(copy: sqlite3.Connection, table: str, rank: int) -> str | None:
    """What FTS5 finds wrong with a table; with ``rank`` 1 it also compares it with its rows."""
    if not copy.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchone():
        return None
    try:
        copy.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', ?)", [rank])
    except SQLITE_ERRORS as error:
        # A missing table of its own is no damage to SQLite.
        if not _is_damage(error) and getattr(error, "sqlite_errorname", "") != "SQLITE_ERROR":
            raise
        return str(error)
    return None
