"""The level text: messages in a fleet follow their files, document by document."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from state.fleet.server.documents import (
    BadDocument,
    Said,
    decoded,
    digest,
    packed,
    plain,
    spelled,
)
from state.thread_index import ThreadIndex, open_index
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.copied import Copy, put_index, put_messages

STAMP = "2026-05-28T20:00:00.000Z"
LONG = "x y z " * 2_000


def answer(text: str) -> dict[str, Any]:
    return event(STAMP, "agent_message", message=text)


def stored(fleet: Fleet) -> dict[tuple[str, int], tuple[list[Said], str]]:
    """What the fleet has: messages, and the transaction that has written them, by thread and
    position."""
    with fleet.administered() as admin:
        rows = admin.execute(
            "SELECT t.id, d.position, d.messages, d.xmin::text, d.month"
            " = threadkeep.month_of(t.created_at_ms)"
            " FROM threadkeep.documents d JOIN threadkeep.threads t USING (tenant_id, row_id)"
        ).fetchall()
    assert all(row[4] for row in rows)
    return {(row[0], row[1]): (decoded(row[2]), row[3]) for row in rows}


def pushing(
    tmp_path: Path,
    fleet: Fleet,
    work: Callable[[Callable[..., Awaitable[list[Copy]]], str, ThreadIndex], Awaitable[None]],
) -> None:
    """Run ``work`` on a machine, with what pushes its messages."""

    async def run() -> None:
        address = fleet.machine("laptop")
        path = tmp_path / "index.sqlite3"
        async with open_index(tmp_path / "home", path) as index:
            await index.catch_up()
            put_index(fleet, "laptop", path)

            async def push(redact: Callable[[str], str] = str) -> list[Copy]:
                await index.sync()
                return await put_messages(fleet, "laptop", address, index, redact)

            await work(push, address, index)

    asyncio.run(run())


def test_a_message_that_is_added_costs_one_document(tmp_path: Path, fleet: Fleet) -> None:
    home = tmp_path / "home"
    file = write(home, 1, encoded([*lines(1, "begin"), *map(answer, [LONG, LONG, "end"])]))
    write(home, 2, encoded(lines(2, "other")))

    async def work(push: Any, _address: str, _index: ThreadIndex) -> None:
        await push()
        before = stored(fleet)
        assert [key for key in sorted(before) if key[0] == thread_id(1)] == [
            (thread_id(1), 0),
            (thread_id(1), 1),
            (thread_id(1), 2),
        ]
        assert before[thread_id(2), 0][0][0].text == "other"
        await push()
        assert stored(fleet) == before
        with file.open("ab") as grown:
            grown.write(encoded([answer("more")]))
        await push()
        after = stored(fleet)
        assert [key for key in after if after[key] != before[key]] == [(thread_id(1), 2)]
        assert [each.text for each in after[thread_id(1), 2][0]] == ["end", "more"]
        write(home, 1, encoded(lines(1, "begin")), mtime_ms=1_790_000_000_000)
        await push()
        assert sorted(stored(fleet)) == [(thread_id(1), 0), (thread_id(2), 0)]

    pushing(tmp_path, fleet, work)


def test_a_name_is_a_document_and_secrets_do_not_leave(tmp_path: Path, fleet: Fleet) -> None:
    home = tmp_path / "home"
    write(home, 1, encoded([*lines(1, "the password is hunter2"), answer("hunter2 it is")]))
    (home / "session_index.jsonl").write_text(
        f'{{"id":"{thread_id(1)}","thread_name":"about hunter2","updated_at":"2026-05-28"}}\n'
    )

    async def work(push: Any, _address: str, _index: ThreadIndex) -> None:
        await push(lambda text: text.replace("hunter2", "[redacted]"))
        found = stored(fleet)
        assert found[thread_id(1), 0][0] == [Said("name", "", "", "about [redacted]")]
        texts = [each.text for each in found[thread_id(1), 1][0]]
        assert texts == ["the password is [redacted]", "[redacted] it is"]
        with fleet.administered() as admin:
            rows = admin.execute("SELECT text FROM threadkeep.documents").fetchall()
            assert "hunter2" not in str(rows)

    pushing(tmp_path, fleet, work)


def test_what_cannot_be_read_now_stays(tmp_path: Path, fleet: Fleet) -> None:
    home = tmp_path / "home"
    file = write(home, 1, encoded(lines(1, "begin")))

    async def work(push: Any, _address: str, index: ThreadIndex) -> None:
        await push()
        before = stored(fleet)
        assert before
        away = file.rename(tmp_path / "away")
        # As a process that may read all has no permission to lack, the file is elsewhere.
        await put_messages(fleet, "laptop", fleet.cluster.address(fleet.database, role()), index)
        assert stored(fleet) == before
        away.rename(file)

    def role() -> str:
        return f"{fleet.database}_default_laptop"

    pushing(tmp_path, fleet, work)


def test_messages_are_read_as_they_were_written() -> None:
    said = [Said("userMessage", "t", "i", "a\x00b \ud83d 東京"), Said("name", "", "", "x" * 10_000)]
    for each in (said, said[:1], []):
        assert decoded(packed(plain(each))) == each
    assert digest(plain(said)) != digest(plain(said[:1]))
    assert len(packed(plain(said))) < 500


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[1]", b'[["a","b","c"]]', b'[["a","b","c",1]]', b"[" * 10_000, b"\x28\xb5\x2f"],
)
def test_messages_that_are_none_are_told(data: bytes) -> None:
    with pytest.raises(BadDocument):
        decoded(data)


def test_what_postgresql_makes_no_trigrams_of_is_spelled() -> None:
    assert spelled(" foo_bar é 東 ") == " foo_bar é 東 "
    assert spelled(" 🦀 ") == " ux1f980 "
    assert spelled(" का ") in spelled(" एक का घर ")
