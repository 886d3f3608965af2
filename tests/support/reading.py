"""Threads that are made to be read, and the command for them: fixtures that tests import."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.samples.histories import first_line, numbered, spell
from tests.samples.rollouts import THREAD_ID, envelope
from tests.support.command import Cli, Inside

TURN = "019a0000-0000-7000-9000-00000000000{}"
NEVER = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return envelope("event_msg", {"type": kind, **fields})


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return envelope("response_item", {"type": kind, **fields})


def call(name: str, arguments: Any, output: Any, number: int = 1) -> list[dict[str, Any]]:
    call_id = f"call_{number}"
    return [
        item("function_call", name=name, arguments=json.dumps(arguments), call_id=call_id),
        item("function_call_output", call_id=call_id, output=output),
    ]


def turn(number: int, *inner: dict[str, Any], ended: bool = True) -> list[dict[str, Any]]:
    id_ = TURN.format(number)
    end = [event("task_complete", turn_id=id_, completed_at=1_760_000_002, duration_ms=1500)]
    return [
        event("task_started", turn_id=id_, started_at=1_760_000_000, model_context_window=1),
        event("user_message", message=f"question {number}", images=[]),
        *inner,
        *(end if ended else []),
    ]


def save(home: Path, lines: list[dict[str, Any]], mode: str = "legacy") -> Path:
    folder = home / "sessions/2026/10/15"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rollout-2026-10-15T07-00-00-{THREAD_ID}.jsonl"
    every = [first_line(mode), *lines]
    path.write_bytes(spell(numbered(every) if mode == "paginated" else every))
    return path


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    (tmp_path / "home" / "sessions").mkdir(parents=True)
    return Inside(tmp_path / "home", tmp_path)
