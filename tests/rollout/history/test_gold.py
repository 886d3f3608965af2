"""Turns and items of the corpus against the recorded answers of Codex 0.169.0.

What Codex shows of a paginated thread depends on what it has projected before, and
by which version. We show what is in the files: that is the fullest of its answers.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import DamagedCompression, HistoryIncomplete, HistoryUnknown
from rollout.history.thread import ThreadTurns, open_history
from tests.samples.histories import listed_items, recorded, reduced, rollouts_by_id
from tests.support.each import each

LIVE = {
    # Threads that are whole only in the databases that their writers left, and why.
    "01a0528a-73e5-78b1-97bf-8c9f02b13088": "reverted",
    "01a0edc9-6899-7dc3-a989-6ee9e14be8f7": "reverted",
    "01a1d275-9a58-74c2-be0e-991e9820d349": "reverted",
    "01a1f8ef-3281-7de0-acfb-004f14c713e3": "fork of a reverted one",
    "01a0f77b-054b-7de3-a9d5-1829da4ac92f": "archived",
    "01a168f4-77e0-74a2-897b-d5b2811a6ac2": "archived",
    "01a1d639-8b8a-7212-aaa1-899e2340b2f2": "archived",
}
OLD_PROJECTIONS = {
    # Fields that versions of 2026-08 and 2026-09 left empty in these, though the lines have them.
    "01a0528a-73e5-78b1-97bf-8c9f02b13088": {"startedAtMs", "completedAtMs"},
    "01a0edc9-6899-7dc3-a989-6ee9e14be8f7": {"rootTurnId"},
    "01a1f8ef-3281-7de0-acfb-004f14c713e3": {"startedAtMs", "completedAtMs"},
}


def opened(home: Path, path: str) -> ThreadTurns:
    file = home / path
    if not file.exists():
        file = file.with_name(f"{file.name}.zst")  # told by its logical name
    return open_history(file, _finder(home))


@cache
def _finder(home: Path) -> Callable[[str], Path | None]:
    return rollouts_by_id(home).get


def turns_of(history: ThreadTurns, params: dict[str, Any]) -> list[Any]:
    """Our answer to ``thread/turns/list``."""
    view = params.get("itemsView", "summary")
    with history.reader() as reader:
        turns = [reduced(reader.turn(turn, view)) for turn in history.turns]
    return turns if params.get("sortDirection") == "asc" else turns[::-1]


def items_of(history: ThreadTurns) -> list[Any]:
    """Our answer to ``thread/items/list``."""
    return [reduced(item) for item in listed_items(history)]


FULL = {"itemsView": "full", "sortDirection": "asc"}


def test_legacy_threads_are_read_as_codex_reads_them(corpus_home: Path) -> None:
    def is_read_so(thread: str) -> None:
        gold = recorded()["read"][thread]
        assert turns_of(opened(corpus_home, gold["path"]), FULL) == gold["data"]

    each(sorted(recorded()["read"]), is_read_so)


@pytest.mark.parametrize("kind", ["turns", "turnssummary"])
def test_turns_of_legacy_threads_are_listed_as_codex_lists_them(
    corpus_home: Path, kind: str
) -> None:
    def is_listed_so(thread: str) -> None:
        answer = recorded()[kind][thread]
        gold = recorded()["read"][thread]
        data = gold["data"] if answer["data"] == "read" else answer["data"]
        assert turns_of(opened(corpus_home, gold["path"]), answer["params"]) == data

    each(sorted(recorded()[kind]), is_listed_so)


def without(value: Any, names: set[str]) -> Any:
    """``value`` with empty fields of these names."""
    if isinstance(value, list):
        return [without(item, names) for item in value]
    if isinstance(value, dict):
        return {key: None if key in names else without(item, names) for key, item in value.items()}
    return value


@pytest.mark.parametrize("kind", ["turns", "items"])
def test_paginated_threads_are_as_codex_has_projected_them(corpus_home: Path, kind: str) -> None:
    def is_projected_so(thread: str) -> None:
        path = recorded()["projected_read"][thread]["path"]
        history = opened(corpus_home, path)
        assert history.missing is None
        answer = recorded()[f"{'live' if thread in LIVE else 'projected'}_{kind}"][thread]
        ours = items_of(history) if kind == "items" else turns_of(history, answer["params"])
        old = OLD_PROJECTIONS.get(thread, set())
        assert without(ours, old) == without(answer["data"], old)

    each(sorted(recorded()["projected_read"]), is_projected_so)


def test_differences_from_projections_are_those_that_are_listed(corpus_home: Path) -> None:
    different = set()
    for thread, read in recorded()["projected_read"].items():
        answer = recorded()["projected_turns"].get(thread, {"params": FULL, "data": []})
        if turns_of(opened(corpus_home, read["path"]), answer["params"]) != answer["data"]:
            different.add(thread)
    assert different == set(LIVE)


def test_every_thread_of_the_corpus_is_read_or_refused_for_a_reason(corpus_home: Path) -> None:
    found = 0
    rollouts = rollouts_by_id(corpus_home)
    for path in rollouts.values():
        try:
            history = open_history(path, rollouts.get)
        except (DamagedCompression, HistoryIncomplete, HistoryUnknown):
            continue
        found += bool(history.turns)
    assert found > 150
