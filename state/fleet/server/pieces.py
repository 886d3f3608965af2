"""How the pieces of rollouts are named in a fleet."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final
from uuid import UUID

from rollout.pieces.manifest import DIGEST_BYTES, ENTRY_BYTES, HEADER_BYTES, SIZE_BYTES, Piece

FIRST: Final = "decode(replace(t.id, '-', ''), 'hex')"
LAST: Final = f"{FIRST} || decode(repeat('ff', {DIGEST_BYTES}), 'hex')"
"""Between these are the names of the pieces of a thread ``t``."""
UNUSED: Final = (
    "WITH of AS MATERIALIZED (SELECT * FROM"
    " unnest(%s::text[], %s::date[], %s::bytea[], %s::bytea[]) AS of(id, month, first, last)),"
    " named AS MATERIALIZED (SELECT of.id, of.month,"
    f" substring(r.pieces FROM i FOR {DIGEST_BYTES}) AS digest"
    " FROM of JOIN threadkeep.rollouts r ON r.thread_id = of.id AND r.month = of.month"
    f" CROSS JOIN generate_series({HEADER_BYTES + SIZE_BYTES + 1}, octet_length(r.pieces),"
    f" {ENTRY_BYTES}) i)"
    " DELETE FROM threadkeep.pieces p USING of"
    " WHERE p.month = of.month AND p.digest >= of.first AND p.digest <= of.last"
    " AND NOT EXISTS (SELECT 1 FROM named n WHERE n.id = of.id AND n.month = of.month"
    " AND n.digest = substring(p.digest FROM 17))"
)
"""Removes the pieces of threads that no manifest of theirs names: takes the ids of the threads, a
month for each, and where the names of its pieces begin and end. These are not computed there, as
policies let no SQL index serve what is compared with the result of a function."""


def unused(of: Iterable[tuple[str, date]]) -> list[list[Any]]:
    """The parameters of :data:`UNUSED` for threads, each with a month."""
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
