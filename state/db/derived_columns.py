"""Columns to list and search by: sort keys, the facet of a row, its text for title searches."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

SORT_KEYS: Final = ("created_at", "updated_at", "recency_at")
"""Columns of seconds; in milliseconds each has ``_ms`` at its end."""


class Facet(NamedTuple):
    """What decides whether a list shows a thread. ``threads.facet`` holds it as one text."""

    archived: bool
    empty: bool
    attached: bool
    kind: str
    provider: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Facet":
        """The facet of a row. The database checks that it stays the right one."""
        empty = not (row["preview"] or row["fallback_preview"]) and row["name"] is None
        attached = row["attached_thread_parent_id"] is not None
        kind, provider = row["source_kind"], row["model_provider"]
        return cls(bool(row["archived"]), empty, attached, kind, provider)

    @classmethod
    @lru_cache(maxsize=1024)  # each page of a list looks at the same few dozens
    def decode(cls, text: str) -> "Facet":
        """The facet in a stored text."""
        flags, kind, provider = text.split("|", 2)
        archived, empty, attached = (flag == "1" for flag in flags)
        return cls(archived, empty, attached, kind, provider)

    def encode(self) -> str:
        """The stored text. The provider, which may hold anything, stands last."""
        flags = f"{self.archived:d}{self.empty:d}{self.attached:d}"
        return f"{flags}|{self.kind}|{self.provider}"


def searchable(text: str) -> str:
    """``text`` in the form that title searches compare: without case and accents."""
    from rollout.search.normalize import casefold  # lists without a search do not need it

    return casefold(text)


def trigrams(term: str) -> str:
    """An FTS5 expression that matches wherever ``term`` occurs: the fewest trigrams that cover it.
    More of them would cost more than they exclude."""
    text = searchable(term)
    starts = (*range(0, len(text) - 3, 3), len(text) - 3)
    pieces = dict.fromkeys(text[start : start + 3] for start in starts)
    return " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces)
