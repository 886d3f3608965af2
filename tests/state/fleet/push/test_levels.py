"""What a level does not have leaves the fleet with the next push."""

from pathlib import Path

import pytest

from state.fleet.push.batch import LEVELS
from state.fleet.push.exclusions import Exclusions
from state.fleet.push.levels import contents_of
from state.fleet.push.push import PushOptions, push
from state.fulltext.indexer import fill_fulltext
from state.thread_index import ThreadIndex
from tests.samples.homes import encoded, event, thread_id, write
from tests.support.indexes import in_index, rows, sync
from tests.support.postgres.cluster import Fleet

COUNTED = ("documents", "rollouts", "pieces")


@pytest.fixture
def small(home: Path, index_path: Path) -> Path:
    for number in range(3):
        write(home, number)
    sync(home, index_path)
    return index_path


def counts(fleet: Fleet) -> dict[str, int]:
    """How many threads the fleet has contents of."""
    sql = {
        "documents": "SELECT count(DISTINCT row_id) FROM threadkeep.documents",
        "rollouts": "SELECT count(*) FROM threadkeep.rollouts",
        "pieces": "SELECT count(*) FROM threadkeep.pieces",
    }
    with fleet.administered() as admin:
        found = {name: admin.execute(asked).fetchone() for name, asked in sql.items()}
    return {name: row[0] for name, row in found.items() if row}


def pushed(home: Path, index: Path, address: str, level: str, *left_out: str) -> int:
    async def work(opened: ThreadIndex) -> int:
        await fill_fulltext(opened)
        options = PushOptions(
            level=level,
            exclusions=Exclusions(folders=left_out),
            contents=contents_of(level, opened, str),
        )
        return (await push(opened, address, options)).threads

    done: int = in_index(home, index, work)
    return done


def test_levels_go_up_and_down(home: Path, small: Path, fleet: Fleet) -> None:
    address = fleet.machine("one")
    metadata, text, raw = LEVELS
    expected = {metadata: (0, 0, 0), text: (3, 0, 0), raw: (3, 3, 3)}
    for level in (metadata, text, raw, text, raw, metadata):
        assert pushed(home, small, address, level) == 3
        assert counts(fleet) == dict(zip(COUNTED, expected[level], strict=True)), level
        assert pushed(home, small, address, level) == 0


def test_what_is_left_out_or_gone_leaves_with_its_contents(
    home: Path, small: Path, fleet: Fleet
) -> None:
    address = fleet.machine("one")
    raw = LEVELS[2]
    pushed(home, small, address, raw)
    write(home, 0).unlink()
    sync(home, small)
    pushed(home, small, address, raw, "/work/p1")  # that of thread 1
    assert counts(fleet) == dict.fromkeys(COUNTED, 1)
    pushed(home, small, address, raw)
    assert counts(fleet) == dict.fromkeys(COUNTED, 2)


def test_messages_that_are_read_later_follow(home: Path, small: Path, fleet: Fleet) -> None:
    address = fleet.machine("one")
    text = LEVELS[1]
    pushed(home, small, address, text)
    more = event("2026-05-28T21:00:00.000Z", "user_message", message="a later message")
    with write(home, 2).open("ab") as file:
        file.write(encoded([more]))
    sync(home, small)
    assert rows(small, "SELECT thread_id FROM fleet_outbox") == [{"thread_id": thread_id(2)}]
    assert pushed(home, small, address, text) == 1
    with fleet.administered() as admin:
        found = admin.execute(
            "SELECT count(*) FROM threadkeep.documents WHERE text LIKE '%later message%'"
        ).fetchone()
    assert found == (1,)
