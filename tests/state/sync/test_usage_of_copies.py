"""Where a thread has several files that are copies of each other, each response counts once."""

import sqlite3
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from state.db.database import Database
from state.rows.usage_rows import copies_of
from state.sync import copies
from state.thread_index import ThreadIndex
from tests.samples.homes import encoded, file_name, write
from tests.state.rows.responses import EVENING, ID, as_fresh, begun, grown, responses, used
from tests.support.checks import codes, synced, verified
from tests.support.command import Inside
from tests.support.effort import examples
from tests.support.indexes import fresh_meaning, in_index, meaning, rows


def copy(path: Path, content: bytes, added: str = " (1)") -> Path:
    made = path.with_name(path.name.replace(".jsonl", f"{added}.jsonl"))
    made.write_bytes(content)
    return made


def test_each_response_of_several_copies_counts_once(home: Path, index_path: Path) -> None:
    common = [*begun(), *responses(("20:10:00", 1), ("20:11:00", 1))]
    own = write(home, 1, encoded(common))
    other = copy(own, encoded([*common, *responses(("20:12:00", 8), before=202)]))
    third = copy(own, encoded([*common, *responses(("20:13:00", 64), before=202)]), " (2)")
    synced(home, index_path)
    once = 101 + 101 + 108 + 164
    assert used(index_path) == [(EVENING, "gpt-5", once, 4)]
    as_fresh(home, index_path)
    # The thread goes on; what only copies have stays.
    grown(own, responses(("20:40:00", 2), before=202))
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", once + 102, 5)]
    as_fresh(home, index_path)
    # Any of them may go.
    own.unlink()
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", once, 4)]
    as_fresh(home, index_path)
    other.unlink()
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", once - 108, 3)]
    third.unlink()
    synced(home, index_path)
    assert used(index_path) == []
    assert rows(index_path, "SELECT * FROM file_usage") == []


def test_a_whole_copy_is_not_read_again(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write(home, 1)
    archived = write(home, 1, archived=True)
    packed = own.with_name(f"{own.name}.zst")
    packed.write_bytes(zstandard.compress(own.read_bytes()))
    monkeypatch.delattr(copies, "usage_of_copies")
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", 101, 1)]
    assert archived.exists()
    as_fresh(home, index_path)


def test_copies_of_a_segment_count_once(home: Path, index_path: Path) -> None:
    write(home, 1, encoded([*begun(), *responses(("20:10:00", 1))]))
    write(home, 1, encoded([*begun(), *responses(("20:10:00", 1))]), archived=True)
    write(home, 1, encoded([*begun(), *responses(("20:20:00", 2))]), segment=1)
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", 203, 2)]
    as_fresh(home, index_path)


def test_a_killed_comparison_is_done_by_the_next_sync(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write(home, 1, encoded([*begun(), *responses(("20:10:00", 1))]))
    copy(own, encoded([*begun(), *responses(("20:12:00", 8))]))

    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("state.sync.backfill.compare_copies", killed)
        with pytest.raises(KeyboardInterrupt):
            synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", 101, 1)]
    assert codes(verified(home, index_path))["copies_not_compared"] == 1
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", 209, 2)]
    as_fresh(home, index_path)


def test_a_report_compares_what_a_killed_sync_has_left(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    own = write(cli.home, 1, encoded([*begun(), *responses(("20:10:00", 1))]))
    copy(own, encoded([*begun(), *responses(("20:12:00", 8))]))
    before = cli.run("stats", "--json").json
    assert before["totalTokens"] == 209
    with closing(sqlite3.connect(cli.index)) as connection, connection:
        connection.execute("UPDATE file_usage SET only_here = '' WHERE only_here <> ''")
        connection.execute("UPDATE thread_usage SET total = 101, responses = 1")
    assert cli.run("stats", "--json").json == before


def test_a_copy_that_is_being_written_is_compared_later(home: Path, index_path: Path) -> None:
    own = write(home, 1, encoded([*begun(), *responses(("20:10:00", 1))]))
    other = copy(own, encoded([*begun(), *responses(("20:12:00", 8))]))

    async def written_meanwhile(index: ThreadIndex) -> None:
        groups = await asked(index.database)
        grown(other, responses(("20:13:00", 16), before=108))
        assert copies.read_copies(str(home), groups) == [None]

    async def asked(database: Database) -> list[Any]:
        groups = await database.look(partial(copies_of, thread_ids=[ID]))
        return [[(file.path, file.stamp) for file in group] for group in groups]

    synced(home, index_path)
    with_due = "UPDATE file_usage SET only_here = '' WHERE only_here NOT NULL"

    async def make_due(index: ThreadIndex) -> None:
        await index.database.transact(lambda connection: connection.execute(with_due))

    in_index(home, index_path, make_due)
    in_index(home, index_path, written_meanwhile)
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", 101 + 108 + 116, 3)]
    as_fresh(home, index_path)


PLACES = ("own", " (1)", " (2)", "archive", "segment")
steps = st.lists(
    st.tuples(st.sampled_from(("append", "copy", "remove")), st.integers(0, 4), st.integers(0, 4)),
    min_size=3,
    max_size=9,
)


def put(home: Path, place: str, told: list[int]) -> Path:
    """Write a file of the thread in which these responses are told."""
    content = begun()
    for number, second in enumerate(told):
        content += responses((f"20:10:{second:02}", 1), before=101 * number)
    if place in ("own", "archive", "segment"):
        segment = 1 if place == "segment" else None
        path = write(home, 1, encoded(content), archived=place == "archive", segment=segment)
        path.touch()  # else it may look as the one before
        return path
    folder = home / "sessions/2026/05/28"
    folder.mkdir(parents=True, exist_ok=True)
    return copy(folder / file_name(1), encoded(content), place)


@examples(20)
@given(steps=steps)
def test_whatever_happens_to_copies_each_response_counts_once(
    steps: list[tuple[str, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, index = Path(folder) / "home", Path(folder) / "index.sqlite3"
        files: dict[str, tuple[Path, list[int]]] = {}
        second = 0
        for what, one, other in [("append", 0, 0), *steps]:
            place, target = PLACES[one], PLACES[other]
            if what == "append":
                told = [*files[place][1], second] if place in files else [second]
                second += 1
                files[place] = put(home, place, told), told
            elif what == "copy" and place in files and "segment" not in (place, target):
                files[target] = put(home, target, files[place][1]), files[place][1]
            elif what == "remove" and place in files:
                files.pop(place)[0].unlink()
            synced(home, index)
            there = {number for _, told in files.values() for number in told}
            assert sum(responses for *_, responses in used(index)) == len(there), files
        assert meaning(index) == fresh_meaning(home)
