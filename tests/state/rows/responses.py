"""Threads with responses that used tokens, and what an index has of their use."""

from pathlib import Path
from typing import Any

from tests.samples.homes import BASE_MS, encoded, event, lines, thread_id
from tests.support.checks import codes, verified
from tests.support.indexes import fresh_meaning, meaning, rows

ID = thread_id(1)
EVENING = "2026-05-28T20:00:00Z"
HOUR = BASE_MS // 3_600_000
"""The same as a number."""


def responses(*made: tuple[str, int], before: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Lines of responses at some times with so many tokens of output, each after 100 of input;
    the counter has counted ``before``."""
    found, total = [], before
    for stamp, output in made:
        used = {"input_tokens": 100, "output_tokens": output, "total_tokens": 100 + output}
        total += 100 + output
        counted = {"total_tokens": total, "input_tokens": total, "output_tokens": 0}
        info = {"total_token_usage": counted, "last_token_usage": used}
        found.append(event(f"2026-05-28T{stamp}.000Z", "token_count", info=info, **more))
    return found


def turn(stamp: str, model: str, effort: str = "high") -> dict[str, Any]:
    payload = {"cwd": "/work", "model": model, "effort": effort, "turn_id": stamp}
    return {"timestamp": f"2026-05-28T{stamp}.000Z", "type": "turn_context", "payload": payload}


def begun(number: int = 1) -> list[dict[str, Any]]:
    """The lines of a thread that has used nothing yet."""
    return lines(number)[:3]


def used(index: Path, number: int = 1) -> list[tuple[str, str, int, int]]:
    """Hour, model, tokens and responses of a thread, as a user asks for them."""
    asked = (
        "SELECT hour, model, total, responses FROM v_usage WHERE thread_id = ? ORDER BY hour, model"
    )
    return [tuple(row.values()) for row in rows(index, asked, thread_id(number))]


def as_fresh(home: Path, index: Path) -> None:
    """The index is what a fresh one is, and nothing is wrong with it."""
    assert meaning(index) == fresh_meaning(home)
    assert codes(verified(home, index)) == {}


def grown(path: Path, content: list[dict[str, Any]]) -> None:
    with path.open("ab") as file:
        file.write(encoded(content))
