"""The rollouts that a fleet has of a machine's thread, as the views show them. Whoever wrote them
is not trusted."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from rollout.files.layout import ROOTS, best_file, parse_name, parse_uuid
from rollout.files.text import is_storable
from rollout.pieces.joining import MOST_COMPRESSED_BYTES
from rollout.pieces.manifest import MOST_BYTES, BadPiece, Manifest, Piece
from state.db.steps import Steps
from state.errors import CopyUnusable
from state.fleet.reading.dialect import Binary
from state.fleet.server.pieces import stored_digest

_MOST_ROLLOUTS: Final = 1000
_MOST_MANIFEST_BYTES: Final = 64 * 2**20
"""Of one rollout: as much as 1.8 TB have."""
_LONGEST_PATH: Final = 1024
_LONGEST_NAME: Final = 240
_WINDOW_BYTES: Final = 8 * MOST_BYTES
_WINDOW_PIECES: Final = 64

_LEVELS: Final = Binary(
    "SELECT m.name FROM copies c JOIN machines m USING (machine_id)"
    " WHERE c.id = %s AND c.level = ANY(%s) ORDER BY c.updated_at_ms DESC"
)
_COLUMNS: Final = (
    "SELECT path, thread_id, month::text, size_bytes, mtime_ns, CASE WHEN octet_length(pieces)"
    f" <= {_MOST_MANIFEST_BYTES} THEN pieces END FROM rollouts WHERE machine_id = %s"
)
_OF_THREAD: Final = Binary(f"{_COLUMNS} AND thread_id = %s ORDER BY path LIMIT {_MOST_ROLLOUTS}")
_OF_NAME: Final = Binary(f"{_COLUMNS} AND strpos(path, %s) > 0 ORDER BY path LIMIT 20")
_PIECES: Final = Binary(
    f"SELECT digest, CASE WHEN octet_length(data) <= {MOST_COMPRESSED_BYTES} THEN data END"
    " FROM pieces WHERE machine_id = %s AND month = %s::date AND digest = ANY(%s)"
)


class Copy(NamedTuple):
    """A thread as one machine has it."""

    thread_id: str
    machine_id: int
    machine: str
    user: str

    def unusable(self, reason: str) -> CopyUnusable:
        """The error of a copy that cannot be used."""
        return CopyUnusable(self.thread_id, self.machine, reason)


class StoredRollout(NamedTuple):
    """A rollout that a fleet has."""

    path: str
    """In the home of its machine; it leads nowhere else."""
    thread_id: str
    month: str
    """As PostgreSQL writes it: it may be one that Python has no date for."""
    manifest: Manifest


def others_steps(thread_id: str, levels: Sequence[str]) -> Steps[list[str]]:
    """The names of the machines that have pushed a thread at one of some levels."""
    return [name for (name,) in (yield _LEVELS, [thread_id, [*levels]])]


def rollouts_steps(copy: Copy) -> Steps[list[StoredRollout]]:
    """All rollouts of a copy. Raises CopyUnusable if one of them is none."""
    rows = yield _OF_THREAD, [copy.machine_id, copy.thread_id]
    if len(rows) == _MOST_ROLLOUTS:
        raise copy.unusable("it has more rollouts than any thread")
    return [_checked(copy, row) for row in rows]


def rollout_steps(copy: Copy, rollout_id: str) -> Steps[StoredRollout | None]:
    """The rollout of this machine that has an id in its name: a history begins there. Raises
    CopyUnusable if it is none."""
    rows = yield _OF_THREAD, [copy.machine_id, rollout_id]
    if best_file(((row[0], row[3]) for row in rows), rollout_id) is None:
        rows = yield _OF_NAME, [copy.machine_id, rollout_id]
    best = best_file(((row[0], row[3]) for row in rows), rollout_id)
    return next((_checked(copy, row) for row in rows if row[0] == best), None)


def pieces_steps(
    copy: Copy, rollout: StoredRollout, pieces: Sequence[Piece]
) -> Steps[dict[Piece, bytes]]:
    """What the fleet has for some pieces of a rollout."""
    named = {stored_digest(rollout.thread_id, piece): piece for piece in pieces}
    rows = yield _PIECES, [copy.machine_id, rollout.month, [*named]]
    return {named[bytes(digest)]: bytes(data) for digest, data in rows if data is not None}


def windows(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces in order, as many together as are fetched at a time."""
    window: list[Piece] = []
    size = 0
    for piece in pieces:
        if window and (size + piece.size > _WINDOW_BYTES or len(window) == _WINDOW_PIECES):
            yield window
            window, size = [], 0
        window.append(piece)
        size += piece.size
    if window:
        yield window


def is_rollout_path(path: str) -> bool:
    """Whether a path leads to a rollout in a home, and nowhere else."""
    first, *others = path.split("/")
    return (
        first in ROOTS
        and bool(others)
        and len(path) <= _LONGEST_PATH
        and is_storable(path)
        and not any(
            each in ("", ".", "..") or len(each.encode()) > _LONGEST_NAME for each in others
        )
        and re.search(r"[\0-\x1f\x7f]", path) is None
        and parse_name(path) is not None
    )


def _checked(copy: Copy, row: Sequence[Any]) -> StoredRollout:
    path, thread_id, month, size, mtime_ns, data = row
    if not is_rollout_path(path):
        raise copy.unusable(f"its path {path[:_LONGEST_NAME]!r} is none of a rollout")
    if parse_uuid(thread_id) != thread_id:
        raise copy.unusable("it has no thread id")
    if data is None:
        raise copy.unusable("it is larger than any rollout")
    try:
        return StoredRollout(path, thread_id, month, Manifest.decoded(size, mtime_ns, bytes(data)))
    except BadPiece as error:
        raise copy.unusable(f"{path}: {error}") from error
