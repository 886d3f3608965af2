"""Copies of rollouts in a cache: whatever a fleet says, they are what was pushed, or refused."""

import asyncio
import fcntl
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard

from rollout.jsonl.zstd import Limits
from rollout.pieces.joining import compressed
from rollout.pieces.manifest import Manifest, Piece
from state.errors import ContentNotPushed, CopyUnusable, FileUnusable
from state.fleet.reading import cache
from state.fleet.reading.folder import home_of, index_of
from state.fleet.reading.index import open_fleet
from state.fleet.server.pieces import stored_digest
from state.fleet.store import FleetStore
from state.thread_index import open_index
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.state.fleet.contents import Machine, Reader, execute, rows, run
from tests.state.fleet.contents import reader as another
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.copied import put_index

ONE, TWO = thread_id(1), thread_id(2)
LINE = encoded([event("2026-05-28T20:01:00.000Z", "agent_message", message="done")])


def relative(machine: Machine, path: Path) -> str:
    return str(path.relative_to(machine.home))


def test_a_thread_is_read_as_in_its_own_home(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE)
        brought = await reader.bring(ONE, relative(machine, path))
        copy = brought.home / brought.own[0]
        assert copy.read_bytes() == path.read_bytes()
        assert copy.stat().st_mtime_ns == path.stat().st_mtime_ns
        for folder in (reader.cache, copy.parent, brought.home):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        async with open_index(brought.home, index_of(brought.home)) as index:
            await index.catch_up()
            there = await machine.index.thread(ONE)
            here = await index.thread(ONE)
            assert {**here, "inode": 0} == {**there, "inode": 0}
        reader.asked = 0
        await reader.bring(ONE, relative(machine, path))
        assert reader.asked == 1  # the manifests, and no piece

    run(fleet, tmp_path, work)


def test_only_what_was_appended_is_fetched(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1, encoded(lines(1)) + os.urandom(3 * 2**20) + b"\n")

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE)
        copy = (await reader.bring(ONE, relative(machine, path))).home / relative(machine, path)
        inode = copy.stat().st_ino
        with path.open("ab") as file:
            file.write(LINE)
        await machine.push(ONE)
        execute(fleet, "UPDATE threadkeep.pieces SET data = '' WHERE size = 1048576")
        await reader.bring(ONE, relative(machine, path))
        assert copy.read_bytes() == path.read_bytes()
        assert copy.stat().st_ino == inode
        copy.write_bytes(b"damaged here")
        with pytest.raises(CopyUnusable, match=f"{ONE} from machine one: .*cannot be decompressed"):
            await reader.bring(ONE, relative(machine, path))

    run(fleet, tmp_path, work)


@pytest.mark.parametrize("change", ["append", "rewrite"])
def test_what_was_cut_off_is_made_whole(
    change: str, tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("manifest", "cutting", "joining"):
        monkeypatch.setattr(f"rollout.pieces.{module}.MOST_BYTES", 4096)
    monkeypatch.setattr("state.fleet.reading.rollouts._WINDOW_PIECES", 1)
    path = write(tmp_path / "home", 1)

    class Killed(BaseException):
        pass

    async def work(machine: Machine, reader: Reader) -> None:
        for left in range(4):
            if change == "rewrite":
                path.write_bytes(encoded(lines(1, f"try {left}")))
            with path.open("ab") as file:
                file.write(os.urandom(3 * 4096).replace(b"\n", b"") + b"\n")
            await machine.push(ONE)
            with monkeypatch.context() as patched:
                add, rest = cache._add, [None] * left

                def killed(*of: Any, add: Any = add, rest: list[None] = rest) -> None:
                    if not rest:
                        raise Killed
                    rest.pop()
                    add(*of)

                patched.setattr(cache, "_add", killed)
                with pytest.raises(Killed):
                    await reader.bring(ONE, relative(machine, path))
            brought = await reader.bring(ONE, relative(machine, path))
            assert (brought.home / brought.own[0]).read_bytes() == path.read_bytes()

    run(fleet, tmp_path, work)


def test_what_a_history_begins_in_comes_along(tmp_path: Path, fleet: Fleet) -> None:
    home = tmp_path / "home"
    base = {"thread_id": ONE, "end_ordinal_exclusive": 4, "end_byte_offset": 10}
    other = write(home, 1)
    meta = lines(2, history_base=base, history_mode="paginated")
    path = write(home, 2, encoded(meta))

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE, TWO)
        brought = await reader.bring(TWO, relative(machine, path))
        assert brought.others == (relative(machine, other),)
        assert (brought.home / brought.others[0]).read_bytes() == other.read_bytes()
        execute(fleet, "DELETE FROM threadkeep.rollouts WHERE thread_id = %s", [ONE])
        assert (await reader.bring(TWO, relative(machine, path))).others == ()

    run(fleet, tmp_path, work)


def test_many_at_once_bring_one_copy(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE)

        async def one() -> None:
            async with another(fleet, reader.cache, reader.address) as other:
                brought = await other.bring(ONE, relative(machine, path))
                assert (brought.home / brought.own[0]).read_bytes() == path.read_bytes()

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(one())

    run(fleet, tmp_path, work)


def test_nobody_is_waited_for_for_ever(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.fleet.reading.folder._PATIENCE_S", 0.0)
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE)
        await reader.bring(ONE, relative(machine, path))
        (mark,) = (reader.cache / "1" / "marks").rglob("*.jsonl")
        with mark.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(FileUnusable, match="another process has been fetching it"):
                await reader.bring(ONE, relative(machine, path))

    run(fleet, tmp_path, work)


def test_copies_that_nobody_uses_go(tmp_path: Path, fleet: Fleet) -> None:
    home = tmp_path / "home"
    old, new = write(home, 1), write(home, 2)

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE, TWO)
        brought = await reader.bring(ONE, relative(machine, old))
        (brought.home / relative(machine, old)).with_name(f".{old.name}.new").touch()
        long_ago = time.time() - 8 * 24 * 3600
        for mark in (reader.cache / "1" / "marks").rglob("*.jsonl"):
            os.utime(mark, (long_ago, long_ago))
        await reader.bring(TWO, relative(machine, new))
        assert (brought.home / brought.own[0]).exists()  # nobody has looked
        os.utime(reader.cache / "looked", (long_ago, long_ago))
        await reader.bring(TWO, relative(machine, new))
        assert [path.name for path in brought.home.rglob("*.jsonl*")] == [new.name]
        assert [path.name for path in (reader.cache / "1" / "marks").rglob("*.jsonl")] == [new.name]

    run(fleet, tmp_path, work)


def test_a_store_outlives_what_was_removed_from_the_cache(tmp_path: Path, fleet: Fleet) -> None:
    write(tmp_path / "home", 1)

    async def work(machine: Machine, reader: Reader) -> None:
        put_index(fleet, "one", machine.index.database.path)
        await machine.push(ONE)
        async with open_fleet(tmp_path, tmp_path / "none.sqlite3", reader.address) as index:
            store = FleetStore(index, reader.cache)
            for _ in range(2):
                assert await store.lists_items(ONE) is False
                assert index_of(home_of(reader.cache, 1)).exists()
                shutil.rmtree(reader.cache)
            await store.close()

    run(fleet, tmp_path, work)


BAD_PATHS = [
    "../../../sessions/rollout-2026-05-28T20-00-01-{}.jsonl",
    "sessions/../../rollout-2026-05-28T20-00-01-{}.jsonl",
    "/sessions/rollout-2026-05-28T20-00-01-{}.jsonl",
    "sessions//rollout-2026-05-28T20-00-01-{}.jsonl",
    "sessions/2026/05/28/../../../../rollout-2026-05-28T20-00-01-{}.jsonl",
    "sessions/a\nb/rollout-2026-05-28T20-00-01-{}.jsonl",
    "sessions/" + "x" * 300 + "/rollout-2026-05-28T20-00-01-{}.jsonl",
    "config.toml",
    "sessions/config.toml",
    "thread-writer-locks/rollout-2026-05-28T20-00-01-{}.jsonl",
    "sessions",
    "",
]


def test_what_no_rollout_is_gets_no_file(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE)
        (good,) = rows(fleet, "SELECT path, size_bytes, pieces FROM threadkeep.rollouts")
        _, size, data = good
        bad = [(each.format(ONE), size, data) for each in BAD_PATHS]
        bad += [(good[0], size + 1, data), (good[0], 2**62, data), (good[0], -1, data)]
        bad += [(good[0], size, data[:-1]), (good[0], 0, b"")]
        for name, length, pieces in bad:
            execute(
                fleet,
                "UPDATE threadkeep.rollouts SET path = %s, size_bytes = %s, pieces = %s",
                [name, length, pieces],
            )
            with pytest.raises((CopyUnusable, FileUnusable)):
                await reader.bring(ONE, name)
        made = [each for each in reader.cache.rglob("*") if each.is_file()]
        assert {each.name for each in made} <= {"looked", path.name}
        assert not [each for each in made if each.stat().st_size > 4096]
        assert not (tmp_path / "sessions").exists()

    run(fleet, tmp_path, work)


def test_times_that_nobody_knows_are_taken_as_they_are(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE)
        for mtime_ns in (2**63 - 1, -(2**63)):
            execute(fleet, "UPDATE threadkeep.rollouts SET mtime_ns = %s", [mtime_ns])
            brought = await reader.bring(ONE, relative(machine, path))
            assert (brought.home / brought.own[0]).read_bytes() == path.read_bytes()
        (brought.home / brought.own[0]).unlink()
        execute(fleet, "UPDATE threadkeep.rollouts SET month = '0001-01-01'")
        with pytest.raises(CopyUnusable, match="a piece is missing"):
            await reader.bring(ONE, relative(machine, path))

    run(fleet, tmp_path, work)


def test_what_no_piece_is_gets_no_file(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE)
        data = path.read_bytes()
        bomb = zstandard.compress(bytes(2**28))
        for bad in (
            b"",
            b"text",
            compressed(data[:-1]),
            compressed(data[::-1]),
            bomb,
            bytes(2**21),
        ):
            execute(fleet, "UPDATE threadkeep.pieces SET data = %s", [bad])
            with pytest.raises(CopyUnusable, match=f"{ONE} from machine one"):
                await reader.bring(ONE, relative(machine, path))
        execute(fleet, "DELETE FROM threadkeep.pieces")
        with pytest.raises(CopyUnusable, match="a piece is missing"):
            await reader.bring(ONE, relative(machine, path))
        assert not [*reader.cache.rglob("home/**/*.jsonl*")]
        await machine.push(ONE)

    run(fleet, tmp_path, work)


def test_no_link_leads_out_of_the_cache(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)
    outside = tmp_path / "outside"
    outside.mkdir()

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE)
        brought = await reader.bring(ONE, relative(machine, path))
        copy = brought.home / brought.own[0]
        for link, target in (
            (copy, outside / "file"),
            (copy.parent, outside),
            (brought.home, outside),
        ):
            aside = link.with_name("aside")
            link.rename(aside)
            link.symlink_to(target)
            with pytest.raises(FileUnusable):
                await reader.bring(ONE, relative(machine, path))
            link.unlink()
            aside.rename(link)
        assert [*outside.iterdir()] == []
        await reader.bring(ONE, relative(machine, path))

    run(fleet, tmp_path, work)


def test_a_bomb_of_one_piece_is_refused(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollout.pieces.joining._LIMITS", Limits(free_bytes=2**22))
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, reader: Reader) -> None:
        await machine.push(ONE)
        piece = Piece.of(bytes(2**20))
        (data,) = rows(fleet, "SELECT pieces, mtime_ns, size_bytes FROM threadkeep.rollouts")
        known = Manifest.decoded(data[2], data[1], data[0])
        bomb = known._replace(pieces=(piece,) * 50)
        execute(
            fleet,
            "UPDATE threadkeep.pieces SET digest = %s, size = %s, data = %s",
            [stored_digest(ONE, piece), piece.size, compressed(bytes(2**20))],
        )
        execute(
            fleet,
            "UPDATE threadkeep.rollouts SET size_bytes = %s, pieces = %s",
            [50 * 2**20, bomb.encoded()],
        )
        with pytest.raises(CopyUnusable, match="which no real rollout does"):
            await reader.bring(ONE, relative(machine, path))
        assert not [*reader.cache.rglob("home/**/*.new")]

    run(fleet, tmp_path, work)


def test_metadata_alone_cannot_be_read(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, reader: Reader) -> None:
        with pytest.raises(ContentNotPushed, match="machine one has pushed only the metadata"):
            await reader.bring(ONE, relative(machine, path))
        assert home_of(reader.cache, 1).exists() is False

    run(fleet, tmp_path, work)
