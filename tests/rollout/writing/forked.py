"""Lines of threads that are forked."""

from typing import Any

from tests.samples.rollouts import (
    THREAD_ID,
)


def event(kind: str, ordinal: int | None = None, **payload: Any) -> dict[str, Any]:
    line = {"timestamp": "2026-10-15T07:00:08.296Z"}
    numbered: dict[str, Any] = {} if ordinal is None else {"ordinal": ordinal}
    return line | numbered | {"type": "event_msg", "payload": {"type": kind, **payload}}


def first(id_: str = THREAD_ID, ordinal: int | None = None, **more: Any) -> dict[str, Any]:
    payload = {"id": id_, "timestamp": "2026-10-15T07:00:00.000Z", "cwd": "/w"}
    payload |= {"originator": "o", "cli_version": "0.169.0", "source": "cli", **more}
    line: dict[str, Any] = {"timestamp": "2026-10-15T07:00:00.000Z"}
    line |= {} if ordinal is None else {"ordinal": ordinal}
    return line | {"type": "session_meta", "payload": payload}


def two_turns(*, paginated: bool, finished: bool = True) -> list[dict[str, Any]]:
    number = iter(range(100))

    def next_() -> int | None:
        return next(number) if paginated else None

    lines = [first(ordinal=next_(), history_mode="paginated" if paginated else "legacy")]
    for id_ in ("turn-1", "turn-2"):
        lines.append(event("task_started", next_(), turn_id=id_, root_turn_id=id_, started_at=5))
        lines.append(event("user_message", next_(), message=f"ask {id_}", odd={"kept": 1}))
        lines.append(event("task_complete", next_(), turn_id=id_))
        lines.append(
            event("thread_settings_applied", next_(), thread_id=THREAD_ID, thread_settings={"n": 1})
        )
    return lines if finished else lines[:-2]
