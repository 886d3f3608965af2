"""The level raw: rollouts in a fleet, piece by piece."""

import os
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard

from rollout.pieces.joining import JoinedFile, decompressed
from rollout.pieces.manifest import Manifest
from state.fleet.push.raw import RawContent, forget
from state.fleet.server.pieces import stored_digest
from tests.samples.homes import encoded, event, thread_id, write
from tests.state.fleet.contents import Machine, Reader, Thread, execute, rows, run
from tests.support.postgres.cluster import Fleet

ONE, TWO = thread_id(1), thread_id(2)


def check(fleet: Fleet, home: Path, folder: Path, *paths: Path) -> None:
    """The fleet has these rollouts, byte by byte, and no other piece."""
    stored = rows(fleet, "SELECT path, thread_id, size_bytes, mtime_ns, pieces FROM rollouts_")
    assert {row[0] for row in stored} == {str(path.relative_to(home)) for path in paths}
    pieces = dict(rows(fleet, "SELECT digest, data FROM threadkeep.pieces"))
    named = set()
    for path, id_, size, mtime_ns, data in stored:
        manifest = Manifest.decoded(size, mtime_ns, data)
        named |= {stored_digest(id_, piece) for piece in manifest.pieces}
        copy = folder / "copy"
        with JoinedFile(copy, manifest) as joined:
            for piece in joined.missing:
                joined.add(decompressed(piece, pieces[stored_digest(id_, piece)]))
            joined.finish()
        assert copy.read_bytes() == (home / path).read_bytes()
        assert copy.stat().st_mtime_ns == (home / path).stat().st_mtime_ns
    assert named == set(pieces)


@pytest.fixture(autouse=True)
def _short_name(fleet: Fleet) -> None:
    with fleet.administered() as admin:
        admin.execute("CREATE VIEW rollouts_ AS SELECT * FROM threadkeep.rollouts")


def test_rollouts_follow_their_files(tmp_path: Path, fleet: Fleet) -> None:
    home = tmp_path / "home"
    first, second = write(home, 1), write(home, 2)
    line = encoded([event("2026-05-28T20:01:00.000Z", "agent_message", message="done")])

    async def work(machine: Machine, _: Reader) -> None:
        await machine.push(ONE, TWO)
        check(fleet, home, tmp_path, first, second)
        with first.open("ab") as file:
            file.write(line)
        await machine.push(ONE)
        check(fleet, home, tmp_path, first, second)
        assert len(rows(fleet, "SELECT FROM threadkeep.pieces")) == 3
        segment = write(home, 1, first.read_bytes(), segment=1)
        archived = home / "archived_sessions" / second.name
        archived.parent.mkdir()
        second.rename(archived)
        before = rows(fleet, "SELECT digest, xmin FROM threadkeep.pieces ORDER BY 1")
        await machine.push(ONE, TWO)
        check(fleet, home, tmp_path, first, segment, archived)
        assert set(before) < set(rows(fleet, "SELECT digest, xmin FROM threadkeep.pieces"))
        compressed = archived.with_name(archived.name + ".zst")
        compressed.write_bytes(zstandard.compress(archived.read_bytes()))
        archived.unlink()
        segment.unlink()
        first.write_bytes(line)
        await machine.push(ONE, TWO)
        check(fleet, home, tmp_path, first, compressed)
        await forget(machine.connection, [TWO])
        check(fleet, home, tmp_path, first)
        first.unlink()
        await machine.push(ONE)
        check(fleet, home, tmp_path)

    run(fleet, tmp_path, work)


def test_a_thread_of_another_month_takes_its_pieces_along(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, _: Reader) -> None:
        await machine.push(ONE)
        await machine.push(ONE, month=date(2026, 6, 1))
        check(fleet, machine.home, tmp_path, path)
        assert rows(fleet, "SELECT DISTINCT month FROM threadkeep.pieces") == [(date(2026, 6, 1),)]
        path.write_bytes(path.read_bytes().replace(ONE.encode(), TWO.encode()))
        await machine.push(TWO)
        check(fleet, machine.home, tmp_path, path)

    run(fleet, tmp_path, work)


def test_what_arrived_before_a_kill_is_not_sent_again(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.fleet.push.raw._WINDOW_BYTES", 2**20)
    path = write(tmp_path / "home", 1)
    with path.open("ab") as file:
        file.write(os.urandom(3 * 2**20).replace(b"\n", b""))

    class Killed(Exception):
        pass

    async def work(machine: Machine, _: Reader) -> None:
        content = RawContent(machine.index)
        send = content._send_pieces
        left = 2

        async def killed(*window: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            await send(*window)

        monkeypatch.setattr(content, "_send_pieces", killed)
        with pytest.raises(Killed):
            await content.prepare(machine.connection, [Thread(ONE)])
        before = rows(fleet, "SELECT digest, xmin FROM threadkeep.pieces")
        assert len(before) == 2
        await machine.push(ONE)
        check(fleet, machine.home, tmp_path, path)
        assert set(before) < set(rows(fleet, "SELECT digest, xmin FROM threadkeep.pieces"))

    run(fleet, tmp_path, work)


def test_pieces_that_a_killed_push_left_go_with_the_next(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, _: Reader) -> None:
        await machine.push(ONE)
        with path.open("ab") as file:
            file.write(b"cut off, and then ")
        await RawContent(machine.index).prepare(machine.connection, [Thread(ONE)])
        with path.open("ab") as file:
            file.write(b"written anew\n")
        assert len(rows(fleet, "SELECT FROM threadkeep.pieces")) == 2
        await machine.push(ONE)
        check(fleet, machine.home, tmp_path, path)

    run(fleet, tmp_path, work)


def test_what_is_compressed_is_not_compressed_again(fleet: Fleet) -> None:
    found = rows(
        fleet,
        "SELECT DISTINCT attstorage FROM pg_attribute"
        " WHERE attrelid::regclass::text LIKE 'threadkeep.pieces%%' AND attname = 'data'",
    )
    assert found == [("e",)]


def test_pieces_that_are_removed_meanwhile_are_sent_again(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, _: Reader) -> None:
        await machine.push(ONE)
        with path.open("ab") as file:
            file.write(b"{}\n")
        content, threads = RawContent(machine.index), [Thread(ONE)]
        await content.prepare(machine.connection, threads)
        execute(fleet, "DELETE FROM threadkeep.pieces")  # as an administrator may
        with pytest.raises(psycopg.errors.SerializationFailure):
            async with machine.connection.transaction():
                await content.send(machine.connection, threads)
        assert rows(fleet, "SELECT size_bytes FROM rollouts_") == [(path.stat().st_size - 3,)]
        await content.prepare(machine.connection, threads)
        async with machine.connection.transaction():
            await content.send(machine.connection, threads)
        check(fleet, machine.home, tmp_path, path)

    run(fleet, tmp_path, work)


def test_rollouts_that_are_removed_meanwhile_are_sent_again(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, _: Reader) -> None:
        await machine.push(ONE)
        content, threads = RawContent(machine.index), [Thread(ONE)]
        await content.prepare(machine.connection, threads)
        for table in ("rollouts", "pieces"):  # as retention may
            execute(fleet, f"DELETE FROM threadkeep.{table}")
        with pytest.raises(psycopg.errors.SerializationFailure):
            async with machine.connection.transaction():
                await content.send(machine.connection, threads)
        await machine.push(ONE)
        check(fleet, machine.home, tmp_path, path)

    run(fleet, tmp_path, work)


def test_a_file_that_cannot_be_read_keeps_what_was_pushed(tmp_path: Path, fleet: Fleet) -> None:
    path = write(tmp_path / "home", 1)

    async def work(machine: Machine, _: Reader) -> None:
        await machine.push(ONE)
        before = rows(fleet, "SELECT path, pieces FROM rollouts_")
        aside = path.rename(path.with_name("aside"))
        path.symlink_to(aside)
        content = RawContent(machine.index)
        await content.prepare(machine.connection, [Thread(ONE)])
        async with machine.connection.transaction():
            await content.send(machine.connection, [Thread(ONE)])
        assert rows(fleet, "SELECT path, pieces FROM rollouts_") == before

    run(fleet, tmp_path, work)
