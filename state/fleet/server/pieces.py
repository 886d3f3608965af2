"""How the pieces of rollouts are named in a fleet."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final
from uuid import UUID

from rollout.pieces.manifest import DIGEST_BYTES, Piece

FIRST: Final = "decode(replace(t.id, '-', ''), 'hex')"
LAST: Final = f"{FIRST} || decode(repeat('ff', {DIGEST_BYTES}), 'hex')"
"""Between these are the names of the pieces of a thread ``t``."""
_OF: Final = (
    "unnest(%s::text[], %s::date[], %s::bytea[], %s::bytea[]) AS of(id, month, first, last)"
)
_ARE_OF: Final = "p.month = of.month AND p.digest >= of.first AND p.digest <= of.last"
COUNTS: Final = (
    f"SELECT of.id, of.month, (SELECT count(*) FROM threadkeep.pieces p WHERE {_ARE_OF}) FROM {_OF}"
)
"""How many pieces threads have. It takes what :func:`of_threads` gives: where names begin and end
is not computed there, as policies let no SQL index serve what is compared with the result of a
function."""


def of_threads(of: Iterable[tuple[str, date]]) -> list[list[Any]]:
    """Threads, each with a month, as parameters: ids, months, and where the names of their pieces
    begin and end."""
    found = sorted(of)
    prefixes = [UUID(thread_id).bytes for thread_id, _ in found]
    return [
        [thread_id for thread_id, _ in found],
        [month for _, month in found],
        prefixes,
        [prefix + b"\xff" * DIGEST_BYTES for prefix in prefixes],
    ]


def stored_digest(thread_id: str, piece: Piece) -> bytes:
    """The name of a piece: the id of its thread, and its digest. So the pieces of a thread lie
    together, and nothing of another thread is lost with them."""
    return UUID(thread_id).bytes + piece.digest
