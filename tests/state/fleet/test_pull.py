"""A thread is pulled into a home as its machine has it, or not at all."""

import asyncio
import resource
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zstandard

from rollout.errors import DamagedCompression, WriterActive
from rollout.files.writer_lock import WriterLock
from state.errors import CopyUnusable, FileUnusable, RolloutNotPushed, ThreadIsHere
from state.fleet.reading.cache import CachedThread
from state.fleet.reading.growth import WrittenMeanwhile, append, growth
from state.fleet.reading.pull import Pulled, Relation, pull, relation
from state.fleet.reading.rollouts import Copy
from state.thread_index import ThreadIndex, open_index
from tests.samples.homes import encoded, event, lines, thread_id, write

ONE, TWO = thread_id(1), thread_id(2)
LINE = encoded([event("2026-05-28T20:01:00.000Z", "agent_message", message="done")])


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A home in a cache."""
    return tmp_path / "there"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The home that is pulled into."""
    home = tmp_path / "here"
    home.mkdir()
    return home


def cached(there: Path, *paths: Path, others: tuple[Path, ...] = ()) -> CachedThread:
    """The thread of the first file."""
    copy = Copy(ONE, 1, "desk", "me")

    def named(some: tuple[Path, ...]) -> tuple[str, ...]:
        return tuple(str(path.relative_to(there)) for path in some)

    return CachedThread(copy, there, named(paths), named(others))


@asynccontextmanager
async def opened(here: Path) -> AsyncIterator[ThreadIndex]:
    async with open_index(here, here.with_name("index.sqlite3")) as index:
        await index.catch_up()
        yield index


def files(home: Path) -> dict[str, bytes]:
    """All files of a home that are no locks."""
    found = {str(path.relative_to(home)): path for path in home.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "locks" not in name}


def pulled(here: Path, thread: CachedThread, *, dry_run: bool = False) -> list[str]:
    """Pull a thread: the files that came, and all that the index says of the home is true."""

    async def work() -> list[str]:
        async with opened(here) as index:
            done = await pull(index, thread, dry_run=dry_run)
            row = (await index.rows_of([ONE])).get(ONE)
            assert dry_run or (row is not None and (here / row["rollout_path"]).exists())
            grown = [f"+{grown.added}" for grown in done.grown]
            return [*grown, *(file.target for file in done.files)]

    return asyncio.run(work())


def test_a_thread_comes_as_it_is(here: Path, there: Path) -> None:
    own, segment = write(there, 1, archived=True), write(there, 1, segment=1)
    base, present = write(there, 2), write(there, 3)
    shutil.copy(present, write(here, 3))
    thread = cached(there, segment, own, others=(base, present))
    before = files(here)
    assert len(pulled(here, thread, dry_run=True)) == 3
    assert files(here) == before
    targets = pulled(here, thread)
    day = "sessions/2026/05/28"
    assert targets == [f"{day}/{path.name}" for path in (segment, own, base)]
    for path, target in zip((segment, own, base), targets, strict=True):
        assert (here / target).read_bytes() == path.read_bytes()
        assert (here / target).stat().st_mtime_ns == path.stat().st_mtime_ns
    again = files(here)
    assert pulled(here, thread) == []
    assert files(here) == again


def test_a_compressed_thread_comes_compressed(here: Path, there: Path) -> None:
    plain = write(there, 1)
    path = plain.with_name(f"{plain.name}.zst")
    path.write_bytes(zstandard.compress(plain.read_bytes()))
    (target,) = pulled(here, cached(there, path))
    assert (here / target).read_bytes() == path.read_bytes()
    assert pulled(here, cached(there, plain)) == []  # the same, whatever its form


CONTENT = encoded(lines(1, "prompt 1"))


@pytest.mark.parametrize(
    ("mine", "theirs", "reason"),
    [
        (CONTENT + LINE[:9] + b"\n", CONTENT + LINE, "it differs from the copy of machine desk"),
        (CONTENT + LINE, CONTENT + LINE.upper(), "it differs from the copy of machine desk"),
        (CONTENT + LINE, CONTENT, ""),
        (CONTENT, CONTENT, ""),
        (CONTENT, CONTENT + LINE[:-1], ""),
    ],
)
def test_what_is_here_stays(
    here: Path, there: Path, mine: bytes, theirs: bytes, reason: str
) -> None:
    write(here, 1, mine, archived=True)
    thread = cached(there, write(there, 1, theirs))
    before = files(here)
    if reason:
        with pytest.raises(ThreadIsHere, match=reason):
            pulled(here, thread)
    else:
        assert pulled(here, thread) == []
    assert files(here) == before


def test_a_revert_there_is_not_mixed_with_what_is_here(here: Path, there: Path) -> None:
    first, segment = write(there, 1), write(there, 1, segment=1)
    own = write(here, 1)
    with pytest.raises(ThreadIsHere, match="it was reverted on machine desk"):
        pulled(here, cached(there, segment, first))
    newer = write(here, 1, segment=2)
    with pytest.raises(ThreadIsHere, match="differs"):
        pulled(here, cached(there, segment, first))
    assert pulled(here, cached(there, first)) == []  # the revert was here
    assert sorted(files(here)) == sorted(str(path.relative_to(here)) for path in (own, newer))


@pytest.mark.parametrize("archived", [False, True])
def test_what_is_new_there_is_brought(here: Path, there: Path, archived: bool) -> None:
    mine = write(here, 1, archived=archived)
    theirs = write(there, 1, CONTENT + LINE * 3, mtime_ms=1_790_000_000_000)
    inode, before = mine.stat().st_ino, files(here)
    thread = cached(there, theirs)
    assert pulled(here, thread, dry_run=True) == [f"+{3 * len(LINE)}"]
    assert files(here) == before
    assert pulled(here, thread) == [f"+{3 * len(LINE)}"]
    assert mine.read_bytes() == theirs.read_bytes()
    assert (mine.stat().st_ino, mine.stat().st_mtime_ns) == (inode, theirs.stat().st_mtime_ns)
    assert pulled(here, thread) == []


def test_a_pull_goes_on_where_a_kill_has_torn_a_line(here: Path, there: Path) -> None:
    thread = cached(there, write(there, 1, CONTENT + LINE + LINE))
    for length in (1, len(LINE) - 1, len(LINE), len(LINE) + 1):
        mine = write(here, 1, CONTENT + (LINE + LINE)[:length])
        assert pulled(here, thread) == [f"+{2 * len(LINE) - length}"]
        assert mine.read_bytes() == CONTENT + LINE + LINE


def test_a_line_that_is_not_whole_there_waits(here: Path, there: Path) -> None:
    mine = write(here, 1)
    assert pulled(here, cached(there, write(there, 1, CONTENT + LINE + LINE[:-1])))
    assert mine.read_bytes() == CONTENT + LINE
    assert pulled(here, cached(there, write(there, 1, CONTENT + LINE + LINE))) == [f"+{len(LINE)}"]


def test_lines_that_are_longer_than_a_block_come_whole(here: Path, there: Path) -> None:
    long = LINE.replace(b"done", b"done" * 200_000)
    mine, theirs = write(here, 1), write(there, 1, CONTENT + long + LINE + long)
    assert len(pulled(here, cached(there, theirs))) == 1
    assert mine.read_bytes() == theirs.read_bytes()


def test_what_comes_before_a_revert_grows_and_comes(here: Path, there: Path) -> None:
    newest, other = write(here, 1, segment=2), write(here, 2)
    first, segment = write(there, 1), write(there, 1, CONTENT + LINE, segment=1)
    theirs = write(there, 1, CONTENT + LINE * 2, segment=2)
    mine = write(here, 1, segment=1)
    target = f"sessions/2026/05/28/{first.name}"
    thread = cached(there, theirs, segment, first)
    assert pulled(here, thread) == [f"+{len(LINE)}", f"+{2 * len(LINE)}", target]
    assert (mine.read_bytes(), newest.read_bytes()) == (segment.read_bytes(), theirs.read_bytes())
    assert sorted(files(here)) == sorted(
        [str(p.relative_to(here)) for p in (mine, newest, other)] + [target]
    )
    assert pulled(here, thread) == []


def test_what_is_compressed_grows_only_there(here: Path, there: Path) -> None:
    plain = write(there, 1, CONTENT + LINE)
    packed = plain.with_name(f"{plain.name}.zst")
    packed.write_bytes(zstandard.compress(plain.read_bytes()))
    mine = write(here, 1)
    assert pulled(here, cached(there, packed)) == [f"+{len(LINE)}"]
    assert mine.read_bytes() == CONTENT + LINE
    mine.unlink()
    mine = mine.with_name(packed.name)
    mine.write_bytes(zstandard.compress(CONTENT))
    before = files(here)
    with pytest.raises(ThreadIsHere, match="has gone on, but what is here is compressed"):
        pulled(here, cached(there, plain))
    assert files(here) == before


def test_a_copy_that_is_damaged_brings_nothing(here: Path, there: Path) -> None:
    plain = write(there, 1, CONTENT + LINE * 9)
    packed = plain.with_name(f"{plain.name}.zst")
    packed.write_bytes(zstandard.compress(CONTENT + LINE) + zstandard.compress(LINE * 9)[:-3])
    write(here, 1)
    before = files(here)
    with pytest.raises(DamagedCompression):
        pulled(here, cached(there, packed))
    assert files(here) == before


def test_a_link_is_left_alone(here: Path, there: Path, tmp_path: Path) -> None:
    mine = write(here, 1)
    real = mine.rename(tmp_path / mine.name)
    mine.symlink_to(real)
    with pytest.raises(ThreadIsHere, match="there is something at"):
        pulled(here, cached(there, write(there, 1, CONTENT + LINE)))
    assert real.read_bytes() == CONTENT


def test_nothing_in_the_way_is_overwritten(here: Path, there: Path, tmp_path: Path) -> None:
    path = write(there, 1)
    day = here / "sessions/2026/05/28"
    day.mkdir(parents=True)
    for name in (path.name, f"{path.name}.zst"):
        (day / name).write_bytes(b"no rollout")
        with pytest.raises(ThreadIsHere, match="there is something at"):
            pulled(here, cached(there, path))
        (day / name).unlink()
    day.rmdir()
    day.symlink_to(tmp_path)
    with pytest.raises(ThreadIsHere, match="there is something at"):
        pulled(here, cached(there, path))
    assert not (tmp_path / path.name).exists()


def test_what_is_of_another_thread_is_refused(here: Path, there: Path) -> None:
    content = encoded(lines(2, "prompt 1"))
    with pytest.raises(CopyUnusable, match=f"says that it is of thread {TWO}"):
        pulled(here, cached(there, write(there, 1, content)))
    with pytest.raises(CopyUnusable, match="would not find"):
        pulled(here, cached(there, write(there, 2)))
    with pytest.raises(CopyUnusable, match="cannot be read"):
        pulled(here, cached(there, write(there, 1, b"no rollout\n")))
    messages = cached(there, write(there, 1))._replace(only_messages=True)
    with pytest.raises(RolloutNotPushed):
        pulled(here, messages)
    assert files(here) == {}


def test_a_thread_of_the_first_versions_comes_too(here: Path, there: Path) -> None:
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    first = {"id": ONE, "timestamp": "2025-07-15T09:20:00.000Z", "instructions": None}
    content = encoded([first, message])
    assert len(pulled(here, cached(there, write(there, 1, content)))) == 1
    assert list(files(here).values()) == [content]


def test_a_thread_that_is_written_is_left_alone(here: Path, there: Path) -> None:
    thread = cached(there, write(there, 1))
    with WriterLock.acquire(here, ONE), pytest.raises(WriterActive):
        pulled(here, thread)
    assert files(here) == {}
    assert len(pulled(here, thread)) == 1
    before = files(here)
    thread = cached(there, write(there, 1, CONTENT + LINE))
    with WriterLock.acquire(here, ONE), pytest.raises(WriterActive):
        pulled(here, thread)
    assert files(here) == before


def test_what_was_written_a_moment_ago_is_left_alone(here: Path, there: Path) -> None:
    mine, theirs = write(here, 1), write(there, 1, CONTENT + LINE)
    grown = growth(here, str(mine.relative_to(here)), theirs)
    assert grown is not None
    mine.write_bytes(CONTENT + b"{}\n")
    with pytest.raises(WrittenMeanwhile):
        append(here, grown)
    assert mine.read_bytes() == CONTENT + b"{}\n"


def test_two_pulls_at_once_bring_it_once(here: Path, there: Path) -> None:
    thread = cached(there, write(there, 1), write(there, 1, segment=1))

    async def work() -> list[Pulled | BaseException]:
        async with opened(here) as index:
            both = (pull(index, thread), pull(index, thread))
            return [*await asyncio.gather(*both, return_exceptions=True)]

    ended = asyncio.run(work())
    assert len([each for each in ended if not isinstance(each, BaseException)]) >= 1
    assert all(isinstance(each, tuple | WriterActive) for each in ended), ended
    assert len(files(here)) == 2


def test_a_full_disk_leaves_nothing_half_there(here: Path, there: Path) -> None:
    big = write(there, 1, CONTENT + LINE * 100_000)
    thread = cached(there, write(there, 1, segment=1), big)
    asyncio.run(empty_index(here))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limit[1]))
    try:
        with pytest.raises(FileUnusable, match="large"):
            pulled(here, thread)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert files(here) == {}
    assert len(pulled(here, thread)) == 2


def test_a_full_disk_leaves_whole_lines(here: Path, there: Path) -> None:
    mine, theirs = write(here, 1), write(there, 1, CONTENT + LINE * 20_000)
    asyncio.run(empty_index(here))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limit[1]))
    try:
        with pytest.raises(FileUnusable, match="large"):
            pulled(here, cached(there, theirs))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    content = mine.read_bytes()
    assert len(content) > len(CONTENT)
    assert content.endswith(b"\n")
    assert theirs.read_bytes().startswith(content)
    assert len(pulled(here, cached(there, theirs))) == 1
    assert mine.read_bytes() == theirs.read_bytes()


async def empty_index(here: Path) -> None:
    async with opened(here):
        pass


def test_how_two_rollouts_are_related(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other.zst"
    for mine, theirs, expected in (
        (b"a" * 2**19, b"a" * 2**19, Relation.SAME),
        (b"a" * 2**18, b"a" * 2**19, Relation.BEHIND),
        (b"a" * 2**19, b"a" * (2**19 - 1), Relation.AHEAD),
        (b"a" * 2**18 + b"b", b"a" * 2**19, Relation.DIFFERENT),
    ):
        one.write_bytes(mine)
        other.write_bytes(zstandard.compress(theirs))
        assert relation(one, other) == expected
