"""The tokens of threads in the index: by hour and model, of all their files."""

import json
import os
from pathlib import Path

import pytest

from state.thread_index import ThreadIndex
from tests.samples.homes import encoded, lines, write
from tests.state.rows.responses import (
    EVENING,
    HOUR,
    ID,
    as_fresh,
    begun,
    grown,
    responses,
    turn,
    used,
)
from tests.support.checks import synced
from tests.support.indexes import in_index, rows


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
