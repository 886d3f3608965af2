"""The triggers note each thread that changes, in its own transaction, once a fleet is joined."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from state.db.schema import threads
from state.repair.reindex import reindex
from state.userdata.model import UserValue
from state.userdata.store import put_settings
from tests.samples.homes import BASE_MS, encoded, event, lines, thread_id, write
from tests.support.indexes import in_index, rows, sync

SPAWN = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(1), "depth": 1}}}
MORE = encoded([event("2026-05-28T21:00:00.000Z", "user_message", message="more")])
OF_THIS_MACHINE = {"row_id", "inode", "extractor_version"}


@pytest.fixture
def small(home: Path, index_path: Path) -> Path:
    for number in range(4):
        write(home, number)
    write(home, 4, encoded(lines(4, source=SPAWN)))
    sync(home, index_path)
    return index_path


@pytest.fixture
def joined(small: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(small, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("UPDATE fleet_state SET joined = 1, sequence = 7")
        yield connection


def noted(connection: sqlite3.Connection) -> dict[str, int]:
    """What is noted, by thread; then it is not any more."""
    found = dict(connection.execute("SELECT thread_id, sequence FROM fleet_outbox"))
    connection.execute("DELETE FROM fleet_outbox")
    return found


def test_without_a_fleet_nothing_is_noted(home: Path, small: Path) -> None:
    write(home, 9)
    write(home, 1).unlink()
    sync(home, small)
    assert rows(small, "SELECT * FROM fleet_outbox") == []


def test_what_changes_in_the_files_is_noted(
    home: Path, small: Path, joined: sqlite3.Connection
) -> None:
    sync(home, small)
    assert noted(joined) == {}
    with write(home, 2).open("ab") as file:
        file.write(MORE)
    write(home, 3).unlink()
    write(home, 9)
    sync(home, small)
    assert noted(joined) == {thread_id(number): 7 for number in (2, 3, 9)}
    joined.execute("UPDATE fleet_state SET sequence = 8")
    write(home, 9).unlink()
    sync(home, small)
    assert noted(joined) == {thread_id(9): 8}


def test_each_column_of_a_thread_counts(joined: sqlite3.Connection) -> None:
    joined.execute("PRAGMA ignore_check_constraints = ON")
    joined.execute("PRAGMA foreign_keys = OFF")
    joined.execute("UPDATE threads SET title = title")
    assert noted(joined) == {}
    never_changes = {"id", "history_mode"}
    for column in {c.name for c in threads.c if c.computed is None} - never_changes:
        joined.execute(f"UPDATE threads SET {column} = 77 WHERE id = ?", [thread_id(2)])
        expected = {} if column in OF_THIS_MACHINE else {thread_id(2): 7}
        assert noted(joined) == expected, column


ROW = f"(SELECT row_id FROM threads WHERE id = '{thread_id(1)}')"
CHANGES = {
    "a note": f"INSERT INTO user_data VALUES ('{thread_id(1)}', 'note', 'n', 1)",
    "the same note": "UPDATE user_data SET value = 'n'",
    "another note": "UPDATE user_data SET value = 'm'",
    "no note": "DELETE FROM user_data",
    "an edge": f"INSERT INTO thread_spawn_edges VALUES ('{thread_id(1)}', 'p', 'open')",
    "the same edge": f"UPDATE thread_spawn_edges SET parent_thread_id = 'p' WHERE"
    f" child_thread_id = '{thread_id(1)}'",
    "another edge": f"UPDATE thread_spawn_edges SET parent_thread_id = 'q' WHERE"
    f" child_thread_id = '{thread_id(1)}'",
    "no edge": f"DELETE FROM thread_spawn_edges WHERE child_thread_id = '{thread_id(1)}'",
    "no tokens": f"DELETE FROM thread_usage WHERE row_id = {ROW}",
    "tokens": "INSERT INTO thread_usage VALUES"
    f" ({ROW}, 1, 'm', 'p', '', '', 0, 1, 1, 1, 1, 1, 1, 1)",
    "no limits": f"DELETE FROM thread_limits WHERE row_id = {ROW}",
    "limits": f"INSERT INTO thread_limits VALUES ({ROW}, 1, 'x')",
    "the thread": f"DELETE FROM threads WHERE id = '{thread_id(1)}'",
}


def test_what_depends_on_a_thread_counts(joined: sqlite3.Connection) -> None:
    for what, change in CHANGES.items():
        joined.execute(change)
        expected = {} if what.startswith("the same") else {thread_id(1): 7}
        assert noted(joined) == expected, what


def test_messages_count_where_they_are_pushed(joined: sqlite3.Connection) -> None:
    values = f"({ROW}, '[]', 'legacy', '{{}}', '', '', 8, '')"
    for level, expected in ((1, {}), (2, {thread_id(1): 7})):
        joined.execute("UPDATE fleet_state SET joined = ?", [level])
        joined.execute(f"INSERT INTO fulltext_threads VALUES {values}")
        assert noted(joined) == expected
        joined.execute("UPDATE fulltext_threads SET digest = 'other'")
        assert noted(joined) == expected
        joined.execute("DELETE FROM fulltext_threads")


def test_a_note_is_rolled_back_with_its_change(joined: sqlite3.Connection) -> None:
    joined.execute("BEGIN")
    put_settings(joined, [UserValue(thread_id(1), "note", "n", BASE_MS)])
    assert joined.execute("SELECT count(*) FROM fleet_outbox").fetchone() == (1,)
    joined.execute("ROLLBACK")
    assert noted(joined) == {}


def test_an_index_that_is_made_anew_has_joined_no_fleet(
    home: Path, small: Path, joined: sqlite3.Connection
) -> None:
    """It knows nothing of what was pushed before: the next push begins an epoch."""
    joined.execute("UPDATE fleet_state SET epoch_key = 'k', fence = 5")
    in_index(home, small, lambda opened: reindex(home, small))
    state = rows(small, "SELECT joined, epoch_key, fence > 5 AS later FROM fleet_state")
    assert state == [{"joined": 0, "epoch_key": "", "later": 1}]
    assert rows(small, "SELECT * FROM fleet_outbox") == []
