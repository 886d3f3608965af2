"""The migrations build the schema that the code declares; the database protects it."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy.pool import StaticPool

from migrations import alembic_config
from state.db.database import open_database, upgrade
from state.db.ddl import create_schema
from state.db.location import HEAD, REVISIONS
from state.db.schema import metadata
from state.db.steps import select_steps
from state.errors import IndexDamaged, IndexTooNew, IndexUnavailable, NotAnIndex
from state.query.model import Query
from state.thread_index import open_index
from tests import FIXTURES
from tests.support.describe import describe
from tests.support.effort import PATIENCE_S
from tests.support.warm import run_program

pytestmark = pytest.mark.usefixtures("each_migrated")


def test_there_is_one_head_and_the_program_knows_every_revision() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert scripts.get_heads() == [HEAD]
    assert {script.revision for script in scripts.walk_revisions()} == set(REVISIONS)


def test_migrated_schema_equals_declared_schema(index_path: Path) -> None:
    """A new index gets the declared one at once."""
    assert _made_by(partial(upgrade, index_path)) == _made_by(create_schema)


def _made_by(make: Callable[[sqlite3.Connection], None]) -> tuple[dict[str, object], object]:
    """The schema that is made of an empty database, and the rows of its tables."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        make(connection)
        tables = [*metadata.tables, "alembic_version"]
        found = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
        engine = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
        with engine.connect() as inspected:
            return describe(inspected), found


def test_opening_a_current_index_does_not_import_alembic(index_path: Path) -> None:
    async def make() -> None:
        async with open_database(index_path):
            pass

    asyncio.run(make())
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from state.db.database import open_database\n"
        "async def main():\n"
        "    async with open_database(Path(sys.argv[1])): pass\n"
        "asyncio.run(main()); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, index_path], check=True)


def test_the_index_is_private(index_path: Path) -> None:
    async def make() -> None:
        async with open_database(index_path):
            pass

    asyncio.run(make())
    assert index_path.stat().st_mode & 0o777 == 0o600
    assert index_path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_released_index_upgrades_and_lists(
    revision: str, index_path: Path, corpus_home: Path
) -> None:
    index_path.parent.mkdir()
    shutil.copy(FIXTURES / "indexes" / f"{revision}.sqlite3", index_path)

    async def use() -> tuple[int, str | None]:
        async with open_index(corpus_home, index_path) as index:
            await index.sync()
            page = await index.page(Query(limit=100))
            return len(page.rows), page.rows[0]["preview"]

    count, preview = asyncio.run(use())
    assert count == 100
    assert preview


def test_an_index_from_the_future_is_refused(index_path: Path) -> None:
    async def opened() -> None:
        async with open_database(index_path):
            pass

    asyncio.run(opened())
    with closing(sqlite3.connect(index_path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9999'")
        connection.commit()
    with pytest.raises(IndexTooNew, match="v9999"):
        asyncio.run(opened())


@pytest.mark.parametrize("found", ["", "garbage", "v0000", "v99999999 or so"])
def test_an_index_of_no_revision_is_damaged(found: str, index_path: Path) -> None:
    async def opened() -> None:
        async with open_database(index_path):
            pass

    asyncio.run(opened())
    with closing(sqlite3.connect(index_path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [found])
        connection.commit()
    with pytest.raises(IndexDamaged, match=f"alembic_version holds '{found}'"):
        asyncio.run(opened())


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"this is no database at all, only words that go on for a while" * 20, IndexDamaged),
        (b"SQLite format 3\0" + b"\xff" * 4000, IndexDamaged),
    ],
)
def test_a_file_that_is_no_database_is_refused(
    content: bytes, error: type[Exception], index_path: Path
) -> None:
    index_path.parent.mkdir()
    index_path.write_bytes(content)

    async def opened() -> None:
        async with open_database(index_path):
            pass

    with pytest.raises(error):
        asyncio.run(opened())
    assert index_path.read_bytes() == content


def test_a_database_of_another_program_is_not_touched(index_path: Path) -> None:
    index_path.parent.mkdir()
    with closing(sqlite3.connect(index_path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")

    async def opened() -> None:
        async with open_database(index_path):
            pass

    with pytest.raises(NotAnIndex, match="not one of threadkeep's"):
        asyncio.run(opened())


def test_a_directory_in_the_place_of_the_index_is_named(tmp_path: Path) -> None:
    async def opened() -> None:
        async with open_database(tmp_path):
            pass

    with pytest.raises(IndexUnavailable, match="directory"):
        asyncio.run(opened())


def test_an_empty_file_becomes_an_index(index_path: Path) -> None:
    index_path.parent.mkdir()
    index_path.touch()

    async def opened() -> bool:
        async with open_database(index_path) as database:
            asked = select_steps("SELECT count(*) FROM backfill_state")
            return await database.query(asked) == [(1,)]

    assert asyncio.run(opened())


@pytest.fixture
def own_copy(corpus_index: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(corpus_index, tmp_path / "copy.sqlite3"))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE threads SET history_mode = 'legacy' WHERE history_mode = 'paginated'",
        "UPDATE thread_dynamic_tools SET description = 'other'",
        "UPDATE rollout_files SET bucket = 'lost'",
        "INSERT INTO backfill_state (id) VALUES (2)",
        "UPDATE backfill_state SET status = 'zzz'",
    ],
)
def test_what_never_changes_is_protected_by_the_database(change: str, own_copy: Path) -> None:
    with closing(sqlite3.connect(own_copy)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(change)


def test_two_processes_may_make_one_index_at_once(index_path: Path) -> None:
    """Both find it missing, one migrates, the other finds that done."""
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from state.db.database import open_database\n"
        "async def main():\n"
        "    async with open_database(Path(sys.argv[1])): pass\n"
        "asyncio.run(main())"
    )
    running = [run_program(program, str(index_path)) for _ in range(4)]
    assert [process.wait(PATIENCE_S) for process in running] == [0] * 4


def test_plain_names_lose_nothing(index_path: Path) -> None:
    """v0010 moves rows into tables of other names; nothing has to be read again for it."""
    index_path.parent.mkdir()
    shutil.copy(FIXTURES / "indexes" / "v0009.sqlite3", index_path)
    file = '{"path": "p", "size": 9, "mtime_ns": 8, "inode": 7, "end": 6, "guard": "g"}'
    with closing(sqlite3.connect(index_path)) as old, old:
        (row, id_), (other, other_id) = old.execute("SELECT row_id, id FROM threads LIMIT 2")
        before = old.execute(
            "SELECT row_id, size_bytes, mtime_ns, inode, folded_bytes, guard FROM threads"
        ).fetchall()
        old.execute("DELETE FROM said_pending WHERE row_id = ?", [row])
        for number, version in ((row, 6), (other, 5)):
            old.execute(
                "INSERT INTO said_threads VALUES"
                " (?, '[]', 'paginated', 1, 2, 'x', 3, 'h', 'c', ?, 'd')",
                [number, version],
            )
        old.execute(
            "INSERT INTO said_docs VALUES (8, ?, x'00', x'01'), (9, ?, x'', x'')", [row] * 2
        )
        old.execute("DELETE FROM said_docs WHERE doc_id = 9")
        old.execute("INSERT INTO said_trigrams (rowid, letters) VALUES (8, 'words')")
        old.execute("INSERT INTO user_facts VALUES ('t', 'name', 'mine', 5)")
        for thread, files in ((id_, f"[{file}]"), (other_id, "[{]")):
            old.execute(
                "INSERT INTO turn_folds VALUES (?, 2, ?, 'legacy', '{}', 0)", [thread, files]
            )

    async def migrated() -> None:
        async with open_database(index_path):
            pass

    asyncio.run(migrated())
    with closing(sqlite3.connect(index_path)) as new:
        points = "SELECT row_id, size_bytes, mtime_ns, inode, end_offset, guard FROM resume_points"
        assert new.execute(f"{points} WHERE pass = 'metadata'").fetchall() == before
        fulltext = new.execute(f"{points} WHERE pass = 'fulltext' ORDER BY row_id").fetchall()
        (as_now,) = [found[:3] for found in before if found[0] == row]
        assert sorted(fulltext) == sorted([(*as_now, 1, 2, "x"), (other, 1, 0, 1, 2, "x")])
        turns = new.execute(f"{points} WHERE pass = 'turns'").fetchall()
        assert turns == [(row, 9, 8, 7, 6, "g")]
        held = new.execute("SELECT row_id, state, version FROM fulltext_threads").fetchall()
        assert sorted(held) == sorted([(row, '{"highest":3}', 7), (other, '{"highest":3}', 5)])
        documents = new.execute("SELECT * FROM fulltext_documents").fetchall()
        assert documents == [(8, row, b"\x00", b"\x01", "")]
        matching = "SELECT rowid FROM fulltext_trigrams WHERE fulltext_trigrams MATCH 'ord'"
        assert new.execute(matching).fetchall() == [(8,)]
        last = "SELECT seq FROM sqlite_sequence WHERE name = 'fulltext_documents'"
        assert new.execute(last).fetchall() == [(9,)]
        assert new.execute("SELECT * FROM user_data").fetchall() == [("t", "name", "mine", 5)]


def test_plain_names_leave_out_rows_of_threads_that_are_gone(index_path: Path) -> None:
    """Only a program that does not check foreign keys can leave such rows behind."""
    index_path.parent.mkdir()
    shutil.copy(FIXTURES / "indexes" / "v0009.sqlite3", index_path)
    with closing(sqlite3.connect(index_path)) as old, old:
        (thread_id,) = old.execute("SELECT id FROM threads").fetchone()
        for row, blob in ((-1, 3), (1, b"3")):
            old.execute(
                "INSERT INTO said_threads VALUES"
                " (?, '[]', 'legacy', 1, 2, 'x', ?, 'h', 'c', 6, 'd')",
                [row, blob],
            )
        old.execute("INSERT INTO said_pending VALUES (-1)")
        old.execute("INSERT INTO said_docs VALUES (8, -1, x'00', x'01')")
        odd = '["text", 1, null]'
        for thread in (thread_id, "gone"):
            old.execute("INSERT INTO turn_folds VALUES (?, 2, ?, 'legacy', '{}', 0)", [thread, odd])
        for thread in (thread_id, "gone", "no checkpoint"):
            columns = "thread_id, position, id, status, explicit, start_file, start_offset"
            old.execute(
                f"INSERT INTO turns ({columns}, start_ordinal, first_user, final_agent, last_agent,"
                " anchors) VALUES (?, 0, 't', 'completed', 1, 0, 0, 0, 0, 0, 0, x'')",
                [thread],
            )

    async def migrated() -> None:
        async with open_database(index_path):
            pass

    asyncio.run(migrated())
    with closing(sqlite3.connect(index_path)) as new:
        assert new.execute("PRAGMA foreign_key_check").fetchall() == []
        assert new.execute("SELECT row_id, state FROM fulltext_threads").fetchall() == [
            (1, '{"highest":3}')
        ]
        assert new.execute("SELECT * FROM fulltext_documents").fetchall() == []
        assert new.execute("SELECT thread_id FROM turn_checkpoints").fetchall() == [(thread_id,)]
        assert new.execute("SELECT thread_id FROM turns").fetchall() == [(thread_id,)]


def test_plain_names_keep_values_that_do_not_fit(index_path: Path) -> None:
    """SQLite takes nearly any value in any column: ``verify`` judges them, no migration does."""
    index_path.parent.mkdir()
    shutil.copy(FIXTURES / "indexes" / "v0009.sqlite3", index_path)
    odd = ("NULL", "9223372036854775807", "-9223372036854775808", "1.5", "'odd'", "x'ff00'")
    broken = "CAST(x'ff41' AS TEXT)"
    renamed = {"fold_flags": "flags", "stray": "orphan", "anchors": "item_refs"}
    columns: dict[str, list[str]] = {}
    with closing(sqlite3.connect(index_path)) as old, old:
        old.execute("PRAGMA ignore_check_constraints = 1")
        for table in ("threads", "turns", "index_meta"):
            found = [row[1] for row in old.execute(f"PRAGMA table_info({table})")]
            columns[table] = [name for name in found if name not in ("folded_bytes", "guard")]
        threads = old.execute("SELECT row_id, id FROM threads").fetchall()
        for (row, id_), value in zip(threads, (*odd, broken), strict=False):
            old.execute("INSERT INTO turn_folds VALUES (?, 2, '[]', 'legacy', '{}', 1)", [id_])
            names = ", ".join(columns["turns"])
            old.execute(
                f"INSERT INTO turns ({names}) VALUES (?, 0, 0, 't', 'r', 'completed', '{{}}',"
                " 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, x'')",
                [id_],
            )
            old.execute("INSERT INTO index_meta VALUES (?, 'x')", [id_])
            for table, key, place in (
                ("threads", "row_id", row),
                ("turns", "thread_id", id_),
                ("index_meta", "key", id_),
            ):
                for column in set(columns[table]) - {key, "id"}:
                    with suppress(sqlite3.IntegrityError):  # NULL where there must be a value
                        old.execute(
                            f'UPDATE {table} SET "{column}" = {value} WHERE "{key}" = ?', [place]
                        )
        pending = old.execute("SELECT row_id FROM said_pending").fetchall()
        for orphan in (0, -(2**63), 2**63 - 1):
            old.execute("INSERT INTO said_pending VALUES (?)", [orphan])
        before = [_values(old, table, names) for table, names in columns.items()]
    assert all(r"\xffA" in " ".join(rows) for rows in before)

    async def migrated() -> None:
        async with open_database(index_path):
            pass

    asyncio.run(migrated())
    with closing(sqlite3.connect(index_path)) as new:
        new.execute("UPDATE index_meta SET key = 'facts_journal' WHERE key = 'user_data_journal'")
        assert before == [
            _values(new, table, [renamed.get(name, name) for name in names])
            for table, names in columns.items()
        ]
        assert new.execute("SELECT row_id FROM fulltext_pending").fetchall() == pending
        assert new.execute("PRAGMA foreign_key_check").fetchall() == []


def _values(connection: sqlite3.Connection, table: str, columns: list[str]) -> list[str]:
    """The rows of a table, with the types of their values."""
    names = ", ".join(f'"{name}"' for name in columns)
    connection.text_factory = bytes
    found = [repr(row) for row in connection.execute(f"SELECT {names} FROM {table}")]
    connection.text_factory = str
    return sorted(found)
