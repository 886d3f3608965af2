"""The tokens of threads in the index: by hour and model, of all their files, each response once."""

import json
import os
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
from state.sync import copies
from state.sync.usage_rows import copies_of
from state.thread_index import ThreadIndex
from tests.samples.homes import BASE_MS, encoded, event, file_name, lines, thread_id, write
from tests.support.checks import codes, synced, verified
from tests.support.command import Inside
from tests.support.effort import examples
from tests.support.indexes import fresh_meaning, in_index, meaning, rows

ID = thread_id(1)
EVENING = "2026-05-28T20:00:00Z"
HOUR = BASE_MS // 3_600_000
"""The same as a number."""


def responses(*made: tuple[str, int], before: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Lines of responses at some times with so many tokens of output, each after 100 of input;
    the counter has counted ``before``."""
    found, total = [], before
    for stamp, output in made:
        used = {"input_tokens": 100, "output_tokens": output, "total_tokens": 100 + output}
        total += 100 + output
        counted = {"total_tokens": total, "input_tokens": total, "output_tokens": 0}
        info = {"total_token_usage": counted, "last_token_usage": used}
        found.append(event(f"2026-05-28T{stamp}.000Z", "token_count", info=info, **more))
    return found


def turn(stamp: str, model: str, effort: str = "high") -> dict[str, Any]:
    payload = {"cwd": "/work", "model": model, "effort": effort, "turn_id": stamp}
    return {"timestamp": f"2026-05-28T{stamp}.000Z", "type": "turn_context", "payload": payload}


def begun(number: int = 1) -> list[dict[str, Any]]:
    """The lines of a thread that has used nothing yet."""
    return lines(number)[:3]


def used(index: Path, number: int = 1) -> list[tuple[str, str, int, int]]:
    """Hour, model, tokens and responses of a thread, as a user asks for them."""
    asked = (
        "SELECT hour, model, total, responses FROM v_usage WHERE thread_id = ? ORDER BY hour, model"
    )
    return [tuple(row.values()) for row in rows(index, asked, thread_id(number))]


def as_fresh(home: Path, index: Path) -> None:
    """The index is what a fresh one is, and nothing is wrong with it."""
    assert meaning(index) == fresh_meaning(home)
    assert codes(verified(home, index)) == {}


def grown(path: Path, content: list[dict[str, Any]]) -> None:
    with path.open("ab") as file:
        file.write(encoded(content))


def test_each_hour_model_and_effort_has_its_row(home: Path, index_path: Path) -> None:
    told = [
        *begun(),
        *responses(("20:10:00", 1), ("20:50:00", 2)),
        turn("21:00:00", "gpt-5-mini"),
        *responses(("21:00:01", 4), before=203),
        turn("21:05:00", "gpt-5-mini", "low"),
        *responses(("21:05:01", 8), before=307),
    ]
    write(home, 1, encoded(told))
    synced(home, index_path)
    assert used(index_path) == [
        ("2026-05-28T20:00:00Z", "gpt-5", 203, 2),
        ("2026-05-28T21:00:00Z", "gpt-5-mini", 104, 1),
        ("2026-05-28T21:00:00Z", "gpt-5-mini", 108, 1),
    ]
    (summed,) = rows(index_path, "SELECT * FROM v_thread_usage")
    assert (summed["thread_id"], summed["total"], summed["responses"]) == (ID, 415, 4)
    assert (summed["input"], summed["output"]) == (400, 15)
    assert (summed["cost"], summed["unpriced_tokens"]) == (None, 415)
    (one, *_) = rows(index_path, "SELECT * FROM v_usage ORDER BY hour_number, effort")
    assert (one["hour_number"], one["provider"], one["effort"]) == (HOUR, "openai", "")
    as_fresh(home, index_path)


def test_what_is_appended_is_added(home: Path, index_path: Path) -> None:
    path = write(home, 1, encoded([*begun(), *responses(("20:10:00", 1))]))
    synced(home, index_path)
    for number, stamp in enumerate(("20:20:00", "20:20:01", "22:00:00"), 1):
        grown(path, responses((stamp, 1), before=101 * number))
        synced(home, index_path)
        as_fresh(home, index_path)
    assert used(index_path) == [
        ("2026-05-28T20:00:00Z", "gpt-5", 303, 3),
        ("2026-05-28T22:00:00Z", "gpt-5", 101, 1),
    ]


def test_reverted_turns_were_used_all_the_same(home: Path, index_path: Path) -> None:
    write(home, 1, encoded([*begun(), *responses(("20:10:00", 1))]))
    synced(home, index_path)
    newer = write(home, 1, encoded([*begun(), *responses(("20:20:00", 2))]), segment=1)
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", 203, 2)]
    grown(newer, responses(("20:30:00", 4), before=102))
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", 307, 3)]
    as_fresh(home, index_path)
    newer.unlink()
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", 101, 1)]
    as_fresh(home, index_path)


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


def test_a_moved_thread_keeps_what_it_used_and_a_deleted_one_loses_it(
    home: Path, index_path: Path
) -> None:
    path = write(home, 1)
    write(home, 2)
    synced(home, index_path)
    before = used(index_path)
    assert before == [(EVENING, "gpt-5", 101, 1)]
    away = home / "archived_sessions" / path.name
    away.parent.mkdir()
    path.rename(away)
    synced(home, index_path)
    assert used(index_path) == before
    as_fresh(home, index_path)
    away.unlink()
    synced(home, index_path)
    assert used(index_path) == []
    assert len(rows(index_path, "SELECT * FROM thread_limits")) == 1
    as_fresh(home, index_path)


def test_a_file_that_becomes_unreadable_takes_its_tokens_along(
    home: Path, index_path: Path
) -> None:
    path = write(home, 1)
    synced(home, index_path)
    path.write_bytes(b"")
    synced(home, index_path)
    assert used(index_path) == []
    assert rows(index_path, "SELECT * FROM file_usage") == []
    write(home, 1, encoded(lines(2)))
    synced(home, index_path)
    assert used(index_path) == []
    assert used(index_path, 2) == [(EVENING, "gpt-5", 102, 1)]


def test_the_newest_limits_of_all_files_are_the_threads(home: Path, index_path: Path) -> None:
    for segment, limits in (
        (None, [("20:10:00", "a", 1), ("20:11:00", "b", 2)]),
        (1, [("20:30:00", "a", 3)]),
    ):
        told = [
            line
            for stamp, limit, percent in limits
            for line in responses(
                (stamp, 1), rate_limits={"limit_id": limit, "primary": {"used_percent": percent}}
            )
        ]
        write(home, 1, encoded([*begun(), *told]), segment=segment)
    synced(home, index_path)
    (row,) = rows(index_path, "SELECT at_ms, value FROM thread_limits")
    told = json.loads(row["value"])
    percents = {limit: value["primary"]["used_percent"] for limit, value in told.items()}
    assert percents == {"a": 3, "b": 2}
    assert row["at_ms"] == told["a"]["at_ms"] > told["b"]["at_ms"]
    as_fresh(home, index_path)


@pytest.mark.parametrize("damaged", ["sums = '[1]'", "state = ''", "state = '[[[1]]]'"])
def test_usage_that_is_damaged_is_read_again(home: Path, index_path: Path, damaged: str) -> None:
    path = write(home, 1)
    synced(home, index_path)

    async def damage(index: ThreadIndex) -> None:
        sql = f"UPDATE file_usage SET {damaged}"
        await index.database.transact(lambda connection: connection.execute(sql))

    in_index(home, index_path, damage)
    grown(path, responses(("20:40:00", 1), before=101))
    synced(home, index_path)
    assert used(index_path) == [(EVENING, "gpt-5", 202, 2)]
    as_fresh(home, index_path)


def test_a_provider_that_the_file_does_not_name_is_the_threads(
    home: Path, index_path: Path
) -> None:
    write(home, 1, encoded(lines(1, model_provider=None)))
    (home / "config.toml").write_text('model_provider = "mine"\n')
    synced(home, index_path)
    (row,) = rows(index_path, "SELECT provider FROM v_usage")
    assert row == {"provider": "mine"}


@pytest.mark.parametrize(
    ("stamp", "hour"),
    [
        ("0001-01-01T00:00:00+23:59", EVENING),
        ("0001-01-02T00:00:00Z", "0001-01-02T00:00:00Z"),
        ("9999-12-30T23:59:59.999Z", "9999-12-30T23:00:00Z"),
        ("9999-12-31T23:59:59.999-23:59", EVENING),
        ("no time", EVENING),
        (7, EVENING),
        (None, EVENING),
    ],
)
def test_every_hour_has_a_date_in_every_time_zone(
    stamp: object, hour: str, home: Path, index_path: Path
) -> None:
    write(home, 1, encoded([*begun(), {**responses(("20:10:00", 1))[0], "timestamp": stamp}]))
    synced(home, index_path)
    assert used(index_path) == [(hour, "gpt-5", 101, 1)]
    as_fresh(home, index_path)


def test_a_refresh_of_one_file_keeps_its_tokens_up_to_date(home: Path, index_path: Path) -> None:
    """A refresh of one file, as a recorder asks for, keeps the tokens up to date."""
    path = write(home, 1)
    synced(home, index_path)
    grown(path, responses(("20:40:00", 1), before=101))
    relative = os.path.relpath(path, home)
    in_index(home, index_path, lambda index: index.refresh([relative]))
    assert used(index_path) == [(EVENING, "gpt-5", 202, 2)]


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
