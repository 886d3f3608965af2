"""How the pieces of rollouts are named in a fleet."""

from typing import Final
from uuid import UUID

from rollout.pieces.manifest import DIGEST_BYTES, ENTRY_BYTES, HEADER_BYTES, SIZE_BYTES, Piece

FIRST: Final = "decode(replace(t.id, '-', ''), 'hex')"
LAST: Final = f"{FIRST} || decode(repeat('ff', {DIGEST_BYTES}), 'hex')"
"""Between these are the names of the pieces of a thread ``t``."""
UNUSED: Final = (
    "DELETE FROM threadkeep.pieces p USING unnest(%s::text[], %s::date[]) AS t(id, month)"
    f" WHERE p.month = t.month AND p.digest BETWEEN {FIRST} AND {LAST}"
    " AND NOT EXISTS (SELECT 1 FROM threadkeep.rollouts r CROSS JOIN LATERAL"
    f" generate_series({HEADER_BYTES + SIZE_BYTES + 1}, octet_length(r.pieces), {ENTRY_BYTES}) i"
    " WHERE r.thread_id = t.id AND r.month = p.month"
    f" AND substring(r.pieces FROM i FOR {DIGEST_BYTES}) = substring(p.digest FROM 17))"
)
"""Removes the pieces of threads, each with a month, that no manifest of theirs names."""


def stored_digest(thread_id: str, piece: Piece) -> bytes:
    """The name of a piece: the id of its thread, and its digest. So the pieces of a thread lie
    together, and nothing of another thread is lost with them."""
    return UUID(thread_id).bytes + piece.digest
