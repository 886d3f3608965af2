"""Turns and items of small threads against what Codex 0.171.0 says of them: every field of every
item with odd values, and random threads in which ids meet in every way.

``tests/fixtures/codex/make_histories.py`` made the recording.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rollout.history.thread import open_history
from rollout.schema.modes import PAGINATED
from tests.fixtures.codex.make_histories import RECORDING, line_bytes, thread_id
from tests.samples.histories import listed_items

THREADS: list[dict[str, Any]] = json.loads(gzip.decompress(RECORDING.read_bytes()))

DAMAGED = 182
"""A legacy thread with damaged lines of kinds that are passed over by their first bytes, such as a
``function_call`` without arguments: Codex does not count them, and we do. Only the made-up ids of
turns behind them differ."""
DIFFERENT = {"full": {DAMAGED}, "summary": {DAMAGED}, "items": set[int]()}


def without_made_up_ids(turns: list[Any]) -> list[Any]:
    """Turns without the ids that Codex makes up for hooks' prompts, others each time."""
    for turn in turns:
        for item in turn["items"]:
            if item["type"] == "hookPrompt" and item["id"] not in ("h1", "h2", "own"):
                item["id"] = None
    return turns


def answers(thread: dict[str, Any], number: int, folder: Path) -> dict[str, Any]:
    """What we say of a recorded thread."""
    path = folder / f"rollout-2026-10-15T07-00-00-{thread_id(number)}.jsonl"
    path.write_bytes(line_bytes(thread))
    history = open_history(path, lambda _: None)
    with history.reader() as reader:
        found: dict[str, Any] = {
            "full": [reader.turn(turn) for turn in history.turns],
            "summary": [reader.turn(turn, "summary") for turn in history.turns],
        }
        if thread["mode"] == PAGINATED:
            found["items"] = listed_items(history)
    return found


@pytest.mark.parametrize("kind", ["full", "summary", "items"])
def test_small_threads_are_what_codex_says_they_are(tmp_path: Path, kind: str) -> None:
    different = set()
    compared = 0
    for number, thread in enumerate(THREADS):
        if kind not in thread:
            continue
        ours, theirs = answers(thread, number, tmp_path)[kind], thread[kind]
        if kind != "items":
            ours, theirs = without_made_up_ids(ours), without_made_up_ids(theirs)
        if ours != theirs:
            different.add(number)
        compared += 1
    assert different == DIFFERENT[kind]
    assert compared > 250


def test_lines_that_are_passed_over_change_nothing_but_made_up_ids(tmp_path: Path) -> None:
    thread = THREADS[DAMAGED]
    # One line has a byte order mark, which we read and Codex does not.
    lines = [line for line in thread["lines"] if "\ufeff" not in line.get("raw", "")]
    assert len(lines) == len(thread["lines"]) - 1
    thread = {**thread, "lines": lines}
    ours = answers(thread, DAMAGED, tmp_path)["full"]
    shown = [turn["items"] for turn in ours]
    assert shown == [turn["items"] for turn in without_made_up_ids(thread["full"])]
