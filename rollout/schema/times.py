"""Times as Codex writes them."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from rollout.files.layout import name_time_ms

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LONGEST: Final = 100
"""No time has more letters; other texts are not kept in memory for it."""


def time_ms(text: str | None) -> int | None:
    """Milliseconds since 1970 of an RFC 3339 or file-name time; None if it is neither."""
    return _time_ms(text) if text and len(text) <= _LONGEST else None


@lru_cache(maxsize=16)  # of one line, several readers take the time
def _time_ms(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return name_time_ms(text)
    if len(text) < len("2026-10-15T07:00:08") or text[10] not in "Tt ":
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND
