"""Recorded threads, for the tests of them."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from rollout.jsonl.parse import Item
from state.thread_store import ThreadStore

Using = Callable[[ThreadStore], Awaitable[Any]]
Use = Callable[[Using], Any]


def rollouts(home: Path) -> dict[str, bytes]:
    """Every file below the rollout folders, with its content."""
    files = [
        file for root in ("sessions", "archived_sessions") for file in (home / root).rglob("*")
    ]
    return {str(file.relative_to(home)): file.read_bytes() for file in files if file.is_file()}


def recorded_lines(home: Path) -> list[dict[str, Any]]:
    """The lines of the one rollout of a home, all of which must be whole."""
    (content,) = rollouts(home).values()
    assert content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def numbered(first: int, count: int) -> list[Item]:
    """Items that every mode keeps."""
    return [{"type": "response_item", "payload": {"n": n}} for n in range(first, first + count)]


def numbers(items: list[dict[str, Any]]) -> list[int]:
    """The numbers of such items."""
    return [item["payload"]["n"] for item in items if "n" in item["payload"]]
