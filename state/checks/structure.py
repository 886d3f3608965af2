"""What an index says, checked against the files' names, sizes and times, and against itself.

No rollout is read here: that is :mod:`state.checks.verify`'s deep check.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from rollout.files.layout import Precedence, is_archived, parse_name, parse_uuid, precedence
from rollout.files.scan import AWAY, scan_home
from rollout.jsonl.parse import BadLine, parse_line
from rollout.jsonl.reader import LineReader
from rollout.metadata.session_index import NAMES_FILE, Named, read_names
from rollout.schema.session_source import thread_spawn
from state.checks.database import damaged
from state.checks.findings import ERROR, NOTE, WARNING, Finding, Kind
from state.db.location import INPUTS_KEY, cwd_key, home_inputs, journal_path
from state.errors import SQLITE_ERRORS
from state.sync.ledger import LEDGER_SQL, compare
from state.sync.writer import role
from state.userdata.store import Alias, Fact, Setting, chosen_names, newer_names, newest, read_facts

_REPAIR: Final = "threadkeep repair"
_SYNC: Final = "threadkeep sync"

KINDS: Final = {
    kind.code: kind
    for kind in (
        Kind("index_incomplete", WARNING, "threadkeep backfill"),
        Kind("not_indexed", WARNING, _SYNC),
        Kind("out_of_date", WARNING, _SYNC),
        Kind("file_gone", WARNING, _SYNC),
        Kind("names_out_of_date", WARNING, _SYNC),
        Kind("cannot_look", WARNING, None),
        Kind("unreadable", WARNING, None),
        Kind("damaged_lines", WARNING, None),
        Kind("lines_left_out", WARNING, None),
        Kind("names_line", WARNING, None),
        Kind("journal_line", WARNING, None),
        Kind("row_missing", ERROR, _REPAIR),
        Kind("row_without_file", ERROR, _REPAIR),
        Kind("wrong_file", ERROR, _REPAIR),
        Kind("wrong_bucket", ERROR, _REPAIR),
        Kind("column_differs", ERROR, _REPAIR),
        Kind("edge_differs", ERROR, _REPAIR),
        Kind("fact_not_indexed", ERROR, _REPAIR),
        Kind("fact_not_in_journal", ERROR, _REPAIR),
        Kind("duplicate", NOTE, None),
        Kind("parent_elsewhere", NOTE, None),
        Kind("fork_elsewhere", NOTE, None),
        Kind("base_elsewhere", WARNING, None),
    )
}

_ROWS_SQL: Final = (
    "SELECT id, rollout_path, archived, archived_at, name, source, parent_thread_id,"
    " forked_from_id, history_base, size_bytes, mtime_ns, inode FROM threads"
)
_FILES_SQL: Final = (
    "SELECT path, bucket, thread_id, reason, reason_offset, bad_lines, left_out, left_out_at,"
    " size_bytes, mtime_ns, inode FROM rollout_files"
)


@dataclass(frozen=True, slots=True)
class _Index:
    """One state of the index."""

    home: Path
    path: Path
    connection: sqlite3.Connection
    threads: dict[str, sqlite3.Row]
    files: dict[str, sqlite3.Row]
    rollout_ids: frozenset[str]
    """Of all files, by their names: what a history may begin in (rollout-format §13.2)."""


def check_structure(connection: sqlite3.Connection, home: Path, path: Path) -> Iterator[Finding]:
    """Every finding about the index at ``path``, open as ``connection`` in a transaction.

    Raises:
        sqlite3.Error: the database cannot be read as far as that takes.
    """
    connection.row_factory = sqlite3.Row
    threads = {row["id"]: row for row in connection.execute(_ROWS_SQL)}
    files = {row["path"]: row for row in connection.execute(_FILES_SQL)}
    names = (parse_name(path.rsplit("/", 1)[-1]) for path in files)
    ids = frozenset(name.rollout_id for name in names if name and name.rollout_id)
    index = _Index(home, path, connection, threads, files, ids)
    for check in (_job, _scan, _files, _threads, _edges, _names, _facts):
        yield from check(index)


def _job(index: _Index) -> Iterator[Finding]:
    job = index.connection.execute("SELECT * FROM backfill_state").fetchone()
    if job is None:
        yield damaged("its table backfill_state is empty")
    elif job["status"] != "complete":
        yield Finding(
            KINDS["index_incomplete"],
            "The backfill is not complete.",
            measured=f"{job['status']}, {job['files_done']} of {job['files_total']} files",
            expected="complete",
        )


def _scan(index: _Index) -> Iterator[Finding]:
    """Files and ledger. What has changed since the last sync is not the index's fault."""
    ledger = {row[0]: tuple(row)[1:] for row in index.connection.execute(LEDGER_SQL)}
    found = list(scan_home(index.home))
    changes = compare(found, ledger)
    for file in found:
        if file.ignored and file.ignored.startswith(AWAY):
            yield Finding(KINDS["cannot_look"], f"It {file.ignored}.", path=file.path)
    for file in [*changes.to_read, *changes.ignored]:
        held = index.files.get(file.path)
        if held is None:
            moved = changes.moved_from.get(file.path)
            message = f"Moved from {moved}." if moved else "A file that the index does not know."
            yield Finding(KINDS["not_indexed"], message, path=file.path)
        else:
            retried = (held["size_bytes"], held["mtime_ns"], held["inode"]) == file[1:4]
            yield Finding(
                KINDS["out_of_date"],
                "It is tried again at each sync." if retried else "Changed since it was read.",
                thread_id=held["thread_id"],
                path=file.path,
                measured=f"{held['size_bytes']} bytes, mtime {held['mtime_ns']} ns",
                expected=f"{file.size} bytes, mtime {file.mtime_ns} ns",
            )
    for path in changes.vanished:
        thread_id = index.files[path]["thread_id"]
        yield Finding(KINDS["file_gone"], "The file is gone.", thread_id=thread_id, path=path)


def _files(index: _Index) -> Iterator[Finding]:
    """Each file is in the right bucket, and what it could not give is told."""
    for path, file in index.files.items():
        bucket, thread_id = file["bucket"], file["thread_id"]
        if bucket == "unreadable":
            yield _about(KINDS["unreadable"], f"No thread: {file['reason']}.", file)
            continue
        if bucket == "ignored":
            continue
        if file["bad_lines"]:
            count = file["bad_lines"]
            lines = "1 line" if count == 1 else f"{count} lines"
            message = f"{lines} could not be read, the first: {file['reason']}."
            yield _about(KINDS["damaged_lines"], message, file)
        if file["left_out"]:
            count = file["left_out"]
            lines = "1 line is" if count == 1 else f"{count} lines are"
            message = (
                f"{lines} in no turn, as Codex leaves them out: their ordinals do not follow,"
                " as when a second program writes; threadkeep search --raw reads them."
            )
            left_out = _about(KINDS["lines_left_out"], message, file)
            yield replace(left_out, offset=file["left_out_at"])
        thread = index.threads.get(thread_id)
        if thread is None:
            yield _about(KINDS["row_missing"], "The thread of this file has no row.", file)
            continue
        right = role(path, thread["rollout_path"])
        if bucket != right:
            message = "The file stands in the wrong bucket."
            yield _about(KINDS["wrong_bucket"], message, file, bucket, right)
        elif bucket == "duplicate":
            message = f"Another copy of {thread['rollout_path']}; that one is shown."
            yield _about(KINDS["duplicate"], message, file)


def _about(
    kind: Kind,
    message: str,
    file: sqlite3.Row,
    measured: str | None = None,
    expected: str | None = None,
) -> Finding:
    return Finding(
        kind,
        message,
        thread_id=file["thread_id"],
        path=file["path"],
        offset=file["reason_offset"] if kind.code in ("unreadable", "damaged_lines") else None,
        measured=measured,
        expected=expected,
    )


def _threads(index: _Index) -> Iterator[Finding]:
    """Each row shows its thread's best file, as the ledger has it."""
    best: dict[str, Precedence] = {}
    for path, file in index.files.items():
        if thread_id := file["thread_id"]:
            rank = precedence(path, file["size_bytes"], thread_id)
            best[thread_id] = max(best.get(thread_id, rank), rank)
    for thread_id, row in index.threads.items():
        path = row["rollout_path"]
        shown = index.files.get(path)
        if shown is None or shown["thread_id"] != thread_id:
            message = "The row shows a file that the index does not know as this thread's."
            yield Finding(KINDS["row_without_file"], message, thread_id, path)
            continue
        right = best[thread_id].path
        if right != path:
            message = "The row shows another file than the one that counts."
            yield Finding(
                KINDS["wrong_file"],
                message,
                thread_id,
                path,
                measured=path,
                expected=right,
            )
        expected = {name: shown[name] for name in ("size_bytes", "mtime_ns", "inode")}
        archived = is_archived(path)
        expected["archived"] = int(archived)
        expected["archived_at"] = shown["mtime_ns"] // 1_000_000_000 if archived else None
        for name, value in expected.items():
            if row[name] != value:
                yield column_differs(thread_id, path, name, row[name], value)
        yield from _lineage(index, row)


def column_differs(thread_id: str, path: str, column: str, measured: Any, expected: Any) -> Finding:
    """The finding that a column of a row is not what the files give."""
    return Finding(
        KINDS["column_differs"],
        f"Column {column} is not what the files give.",
        thread_id,
        path,
        measured=None if measured is None else str(measured),
        expected=None if expected is None else str(expected),
    )


def _lineage(index: _Index, row: sqlite3.Row) -> Iterator[Finding]:
    thread_id, path = row["id"], row["rollout_path"]
    parent, source = row["parent_thread_id"], row["forked_from_id"]
    if parent and parent not in index.threads:
        message = f"Its parent {parent} is not here."
        yield Finding(KINDS["parent_elsewhere"], message, thread_id, path)
    if row["history_base"]:
        try:
            base = orjson.loads(row["history_base"])
        except orjson.JSONDecodeError:
            base = None
        base_id = parse_uuid(base.get("thread_id")) if isinstance(base, dict) else None
        if base_id is None or base_id not in index.rollout_ids:
            message = f"Its history begins in {base_id or 'a thread without an id'}, not here."
            yield Finding(KINDS["base_elsewhere"], message, thread_id, path)
    elif source and source not in index.threads:
        message = f"It was forked from {source}, which is not here."
        yield Finding(KINDS["fork_elsewhere"], message, thread_id, path)


def _edges(index: _Index) -> Iterator[Finding]:
    """One edge for each spawned thread, and none else."""
    found = index.connection.execute(
        "SELECT child_thread_id, parent_thread_id FROM thread_spawn_edges"
    )
    edges = {row[0]: row[1] for row in found}
    expected = {
        thread_id: row["parent_thread_id"]
        for thread_id, row in index.threads.items()
        if row["parent_thread_id"] and thread_spawn(row["source"]) is not None
    }
    for child in sorted(edges.keys() | expected.keys()):
        if edges.get(child) != expected.get(child):
            yield Finding(
                KINDS["edge_differs"],
                "The parent of this thread is not the one that its row names.",
                thread_id=child,
                measured=edges.get(child),
                expected=expected.get(child),
            )


def inputs_are_settled(connection: sqlite3.Connection, home: Path) -> bool:
    """Whether the index follows the names and the default provider as they are now."""
    wanted = "SELECT value FROM index_meta WHERE key = ?"
    held = connection.execute(wanted, [INPUTS_KEY]).fetchone()
    return held is not None and held[0] == home_inputs(home)


def wanted_names(connection: sqlite3.Connection, home: Path) -> dict[str, str]:
    """The name that each thread should have, see :func:`state.userdata.store.chosen_names`.

    Raises:
        OSError: the home's names cannot be read.
    """
    told = connection.execute(
        "SELECT id, rollout_name, rollout_name_ms FROM threads WHERE rollout_name IS NOT NULL"
    )
    names = newer_names(read_names(home), {row[0]: Named(row[1], row[2]) for row in told})
    return chosen_names(names, thread_facts(connection))


def thread_facts(connection: sqlite3.Connection) -> Iterator[Fact]:
    """What users set for threads, as the index has it."""
    for row in connection.execute("SELECT thread_id, key, value, set_at_ms FROM user_facts"):
        yield Fact(*row)


def _names(index: _Index) -> Iterator[Finding]:
    if not inputs_are_settled(index.connection, index.home):
        message = "session_index.jsonl or config.toml has changed since the last sync."
        yield Finding(KINDS["names_out_of_date"], message)
        return
    try:
        names = wanted_names(index.connection, index.home)
    except OSError as error:
        message = f"Names cannot be read: {error.strerror}."
        yield Finding(KINDS["cannot_look"], message, path=NAMES_FILE)
        return
    yield from _bad_lines(index.home / NAMES_FILE, NAMES_FILE, "names_line")
    for thread_id, row in index.threads.items():
        if row["name"] != names.get(thread_id):
            yield column_differs(
                thread_id, row["rollout_path"], "name", row["name"], names.get(thread_id)
            )


_MOMENT_S: Final = 0.2


def _facts(index: _Index) -> Iterator[Finding]:
    """What users set stands in the journal and in the index alike."""
    journal = journal_path(index.path)
    yield from _bad_lines(journal, str(journal), "journal_line")
    found = _unequal(index.path, index.connection)
    if found:
        found = _still_unequal(index.path, found)
    for in_journal, in_index in found:
        if in_journal and (in_index is None or in_index.set_at_ms <= in_journal.set_at_ms):
            yield _lacking("fact_not_indexed", "in the index", in_journal, in_index)
        elif in_index:
            place = f"in {journal}: a lost index would lose it"
            yield _lacking("fact_not_in_journal", place, in_index, in_journal)


_Pair = tuple[Setting | None, Setting | None]
"""What the journal says and what the index says about one thing."""


def _unequal(path: Path, connection: sqlite3.Connection) -> list[_Pair]:
    written = newest(read_facts(path))
    stored = newest(_stored_facts(connection))
    pairs = ((written.get(key), stored.get(key)) for key in sorted(written.keys() | stored.keys()))
    return [pair for pair in pairs if pair[0] != pair[1]]


def _still_unequal(path: Path, found: list[_Pair]) -> list[_Pair]:
    """Those that are so a moment later: a fact is in the journal before it is in the index."""
    time.sleep(_MOMENT_S)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            again = _unequal(path, connection)
    except SQLITE_ERRORS:
        return found
    return [pair for pair in found if pair in again]


def _stored_facts(connection: sqlite3.Connection) -> Iterator[Setting]:
    yield from thread_facts(connection)
    for row in connection.execute("SELECT old, new, set_at_ms, old_key, new_key FROM path_aliases"):
        alias = Alias(*row[:3])
        new_key = None if alias.value is None else cwd_key(alias.value)
        if (row["old_key"], row["new_key"]) == (cwd_key(alias.alias), new_key):
            yield alias  # with other keys it is as good as not there: lists look by them


def _lacking(code: str, place: str, fact: Setting, instead: Setting | None) -> Finding:
    thread_id, about = (fact.thread_id, fact.key) if isinstance(fact, Fact) else (None, fact.alias)
    return Finding(
        KINDS[code],
        f"What was set for {about} is not {place}.",
        thread_id=thread_id,
        measured=instead.value if instead else None,
        expected=fact.value,
    )


def _bad_lines(path: Path, name: str, code: str) -> Iterator[Finding]:
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return
    with file:
        for line in LineReader().lines(file):
            value = line if isinstance(line, BadLine) else parse_line(line)
            if isinstance(value, BadLine):
                reason = value.reason
            elif value is None or isinstance(value, dict):
                continue
            else:
                reason = "not an object"
            message = f"A line that cannot be read: {reason}."
            yield Finding(KINDS[code], message, None, name, line.offset)
