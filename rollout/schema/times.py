"""Times as Codex writes them."""

from datetime import UTC, datetime

from rollout.files.layout import name_time_ms


def time_ms(text: str | None) -> int | None:
    """Milliseconds since 1970 of an RFC 3339 or file-name time; None if it is neither."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return name_time_ms(text)
    if len(text) < len("2026-10-15T07:00:08") or text[10] not in "Tt ":
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        seconds = moment.replace(microsecond=0).timestamp()
    except (OverflowError, ValueError):
        return None
    return int(seconds) * 1000 + moment.microsecond // 1000
