"""Copies of rollouts: a thread of a fleet is brought into a folder, and read by the code that reads
every home.

Each machine has a folder, with a home in which a thread's rollouts lie as they do in its own, and
an index beside it.
"""

import errno
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from rollout.errors import RolloutError
from rollout.files.layout import parse_name
from rollout.history.segments import known_parts
from rollout.pieces.joining import JoinedFile, check_expansion, decompressed
from rollout.pieces.manifest import BadPiece, Manifest, Piece
from state.db.steps import Steps
from state.errors import ContentNotPushed, file_errors
from state.fleet.reading.folder import Mark, home_of, make_private, marked, remove_unused
from state.fleet.reading.messages import messages_steps, rollout_of_messages
from state.fleet.reading.rollouts import (
    Copy,
    StoredRollout,
    others_steps,
    pieces_steps,
    rollout_steps,
    rollouts_steps,
    windows,
)
from state.fleet.reading.scope import Machine
from state.workers import Workers

if TYPE_CHECKING:
    from state.fleet.reading.index import FleetIndex
    from state.query.rows import Row

_OF_FILES: Final = ("rollout_path", "size_bytes", "mtime_ns", "inode")
"""What is said of the rollout in the cache, not of the one that the machine has."""
_ROUNDS: Final = 3
"""So often a copy is fetched that its machine changes meanwhile."""
_MOST_PARTS: Final = 1000
"""Files that a history may be in."""
Result = TypeVar("Result")
Ask = Callable[[Steps[Any]], Awaitable[Any]]


class CachedThread(NamedTuple):
    """A thread in the cache."""

    copy: Copy
    home: Path
    own: tuple[str, ...]
    """Its rollouts, relative to the home, the one that it goes on in first."""
    others: tuple[str, ...] = ()
    """Rollouts of other threads that its history begins in."""
    only_messages: bool = False
    """Whether the fleet has its messages, and not its rollouts."""


def as_cached(row: "Row", there: "Row") -> "Row":
    """The row of a fleet, with what is said of files by the row ``there``, of the cache."""
    return {**row, **{name: there[name] for name in _OF_FILES}}


async def cached_thread(fleet: "FleetIndex", row: "Row", cache: Path) -> CachedThread:
    """The copy of a thread that a row of the fleet shows, brought into the folder ``cache``.

    Raises:
        ContentNotPushed: its machine has pushed neither its rollouts nor its messages.
        CopyUnusable: what the fleet has of it is damaged, or no rollout.
        FileUnusable: the folder cannot be written.
    """
    database = fleet.database
    copy = Copy(row["id"], row["machine_id"], row["machine"], row["user"])
    machine = Machine(copy.machine_id, copy.machine, copy.user)
    ask = partial(database.query, scope=database.scope._replace(machine=machine))
    return await bring(ask, database.workers, cache, copy, row["rollout_path"])


async def bring(ask: Ask, workers: Workers, cache: Path, copy: Copy, path: str) -> CachedThread:
    """The thread of a copy, whose own rollout its machine has at ``path``; ``ask`` gives what steps
    give, of that machine. Raises what :func:`cached_thread` raises."""
    return await _Bringing(ask, workers, cache, copy).thread(path)


class _Changed(Exception):
    """A piece is not there any more, or not what it should be."""


class _Bringing:
    """Brings one thread."""

    def __init__(self, ask: Ask, workers: Workers, cache: Path, copy: Copy) -> None:
        self._ask = ask
        self._run = workers.run
        self._cache = cache
        self._copy = copy
        self._home = home_of(cache, copy.machine_id)

    async def thread(self, path: str) -> CachedThread:
        """The thread, whose own rollout its machine has at ``path``."""
        with file_errors(self._cache):
            await self._run(partial(make_private, self._cache))
            await self._run(partial(remove_unused, self._cache))
            for left in reversed(range(_ROUNDS)):
                try:
                    return await self._thread(path)
                except _Changed as error:
                    if not left:
                        raise self._copy.unusable(str(error)) from error
        raise AssertionError

    async def _thread(self, path: str) -> CachedThread:
        rollouts = await self._ask(rollouts_steps(self._copy))
        own = [each for each in rollouts if each.path == path]
        if not own:
            return await self._messages(path)
        own += [each for each in rollouts if each.path != path]
        for each in own:
            await self._bring(each)
        others = await self._beginnings(own)
        return CachedThread(
            self._copy,
            self._home,
            tuple(each.path for each in own),
            tuple(each.path for each in others),
        )

    async def _beginnings(self, own: Sequence[StoredRollout]) -> list[StoredRollout]:
        """Bring what the history of a thread begins in, as far as its machine has pushed it."""
        named = {_rollout_id(each.path): each.path for each in own}
        others: list[StoredRollout] = []
        while len(others) < _MOST_PARTS:
            missing = await self._run(partial(self._missing, own[0].path, named))
            if missing is None:
                break
            found = await self._ask(rollout_steps(self._copy, missing))
            if found is None:
                break  # the ordinary reader says that the beginning is missing
            await self._bring(found)
            named[missing] = found.path
            others.append(found)
        return others

    def _missing(self, path: str, named: dict[str, str]) -> str | None:
        """The id of the first rollout that a history needs and that is not here."""
        missing: list[str] = []

        def find(rollout_id: str) -> Path | None:
            if rollout_id in named:
                return self._home / named[rollout_id]
            missing.append(rollout_id)
            return None

        try:
            known_parts(self._home / path, find)
        except RolloutError:
            return None
        return missing[0] if missing else None

    async def _messages(self, path: str) -> CachedThread:
        """A rollout of the messages, if there are any."""
        messages = await self._ask(messages_steps(self._copy.thread_id))
        if messages is None:
            levels = await self._ask(others_steps(self._copy.thread_id, ["raw", "text"]))
            others = [name for name in levels if name != self._copy.machine]
            raise ContentNotPushed(self._copy.thread_id, self._copy.machine, others)
        path, data = await self._run(partial(rollout_of_messages, self._copy, path, messages))
        piece = Piece.of(data)
        async with marked(self._cache, self._copy.machine_id, path) as mark:
            if mark.read() != piece.digest or not (self._home / path).exists():
                self._make_folder(path)
                await self._run(partial(_write, self._home / path, data))
                mark.write(piece.digest)
            mark.use()
        return CachedThread(self._copy, self._home, (path,), only_messages=True)

    async def _bring(self, rollout: StoredRollout) -> None:
        """Bring a rollout, or what was added to it since."""
        target = self._home / rollout.path
        async with marked(self._cache, self._copy.machine_id, rollout.path) as mark:
            known = await self._run(partial(_known, mark, target))
            if known != rollout.manifest:
                self._make_folder(rollout.path)
                await self._fetch(rollout, target, known)
                mark.write(_noted(rollout.manifest))
            mark.use()

    async def _fetch(self, rollout: StoredRollout, target: Path, known: Manifest | None) -> None:
        pieces = rollout.manifest.pieces
        sure = _same(pieces, known.pieces) if known else 0
        with await self._run(partial(JoinedFile, target, rollout.manifest, sure)) as joined:
            missing = joined.missing
            size = sum(piece.size for piece in missing)
            if size > shutil.disk_usage(self._cache).free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
            made = stored = 0
            for window in windows(missing):
                found = await self._ask(pieces_steps(self._copy, rollout, window))
                made += sum(piece.size for piece in window)
                stored += sum(map(len, found.values()))
                try:
                    check_expansion(made, stored)
                    await self._run(partial(_add, joined, window, found))
                except BadPiece as error:
                    raise _Changed(f"{rollout.path}: {error}") from error
            await self._run(joined.finish)

    def _make_folder(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        make_private(self._cache, str((self._home / folder).relative_to(self._cache)))


def _add(joined: JoinedFile, window: Sequence[Piece], found: dict[Piece, bytes]) -> None:
    for piece in window:
        if piece not in found:
            raise BadPiece("a piece is missing")
        joined.add(decompressed(piece, found[piece]))


def _write(target: Path, data: bytes) -> None:
    fresh = target.with_name(f".{target.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(target)


def _rollout_id(path: str) -> str:
    name = parse_name(path)
    return (name and name.rollout_id) or ""


def _same(new: Sequence[Piece], known: Sequence[Piece]) -> int:
    """How many pieces are the same at the beginning."""
    for count, (one, other) in enumerate(zip(new, known, strict=False)):
        if one != other:
            return count
    return min(len(new), len(known))


def _noted(manifest: Manifest) -> bytes:
    head = f"{manifest.size} {manifest.mtime_ns}\n".encode()
    return head + manifest.encoded()


def _known(mark: Mark, target: Path) -> Manifest | None:
    """The manifest of the file as it is, if that is sure."""
    head, _, data = mark.read().partition(b"\n")
    try:
        size, mtime_ns = map(int, head.split())
        info = os.lstat(target)
        if (info.st_size, info.st_mtime_ns) != (size, mtime_ns):
            return None
        return Manifest.decoded(size, mtime_ns, data)
    except (ValueError, FileNotFoundError):
        return None
