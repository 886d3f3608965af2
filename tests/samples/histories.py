"""Threads whose turns are rebuilt, and what the real Codex said about some of them."""

import gzip
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rollout.files.layout import parse_name
from rollout.history.thread import ThreadTurns, reduce_file
from rollout.items.thread_item import UNKNOWN
from rollout.schema.modes import LEGACY
from rollout.turns.item_reader import ItemReader
from rollout.turns.legacy import LegacyReducer
from rollout.turns.paginated import PaginatedReducer
from rollout.turns.turn import TurnReducer
from tests.samples.gold import GOLD
from tests.samples.rollouts import THREAD_ID, envelope

_LONGEST = 4096
Answers = dict[str, dict[str, Any]]


@cache
def recorded() -> dict[str, Answers]:
    """Codex's answers by kind and thread: ``read``, ``turns``, ``projected_items`` and so on.

    Pages are joined, and ``"read"`` stands for turns that are those of ``read``. Answers without
    turns are left out: those on paginated threads that were not loaded, and errors.
    """
    found: dict[str, Answers] = json.loads(
        gzip.decompress((GOLD / "history.json.gz").read_bytes()), object_hook=_as_of_171
    )
    return found


def _as_of_171(fields: dict[str, Any]) -> dict[str, Any]:
    """An answer of 0.169 as 0.171 gives it: on these threads it has one key more."""
    if fields.get("type") == "mcpToolCall" and "appContext" in fields:
        return {**fields, "environmentId": None}
    return fields


def reduced(value: Any) -> Any:
    """An answer in the form of the gold: long texts as hash, length and head."""
    if isinstance(value, str) and len(value) > _LONGEST:
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        return f"@@long sha256={digest} chars={len(value)} head={value[:80]}"
    if isinstance(value, list):
        return [reduced(item) for item in value]
    if isinstance(value, dict):
        return {key: reduced(item) for key, item in value.items()}
    return value


def rollouts_by_id(home: Path) -> dict[str, Path]:
    """The rollouts of a home by the id in their names."""
    found: dict[str, Path] = {}
    for path in sorted(home.rglob("rollout-*")):
        name = parse_name(path.name)
        if name and name.rollout_id:
            found.setdefault(name.rollout_id, path)
    return found


def first_line(mode: str, **fields: Any) -> dict[str, Any]:
    """A ``session_meta`` that Codex reads."""
    stamp = "2026-10-15T07:00:00.000Z"
    facts = {"id": THREAD_ID, "timestamp": stamp, "cwd": "/w", "originator": "t"}
    return envelope("session_meta", facts | {"cli_version": "1", "history_mode": mode, **fields})


def numbered(lines: Sequence[dict[str, Any]], first: int = 0) -> list[dict[str, Any]]:
    """The lines with the ordinals of a paginated thread."""
    return [
        {"timestamp": line["timestamp"], "ordinal": number, **line}
        for number, line in enumerate(lines, first)
    ]


def spell(lines: Sequence[dict[str, Any] | bytes]) -> bytes:
    """The bytes of a rollout with these lines."""
    return b"".join(
        (line if isinstance(line, bytes) else json.dumps(line, separators=(",", ":")).encode())
        + b"\n"
        for line in lines
    )


def new_reducer(mode: str) -> LegacyReducer | PaginatedReducer:
    """A fold for a thread of this mode."""
    return LegacyReducer() if mode == LEGACY else PaginatedReducer()


def shown(path: Path, fold: TurnReducer, mode: str, *, unknown: bool = False) -> list[Any]:
    """The turns that a fold has found, as answers have them; ``unknown``: with the items that Codex
    does not know, too."""
    with ItemReader([path], mode) as reader:
        answers = [reader.turn(turn) for turn in fold.turns]
        if unknown:
            for turn, answer in zip(fold.turns, answers, strict=True):
                answer["items"] = [item for ref in turn.items if (item := reader.item(ref))]
        return answers


def turns_in(path: Path, mode: str, *, unknown: bool = False) -> list[Any]:
    """The turns of the thread in one file, as answers have them."""
    fold = new_reducer(mode)
    reduce_file(path, fold)
    return shown(path, fold, mode, unknown=unknown)


def listed_items(history: ThreadTurns) -> list[Any]:
    """The items of a thread in order, as ``thread/items/list`` has them."""
    with history.reader() as reader:
        every = [(turn, reader.item(ref)) for turn, ref in history.refs() if ref.kind != UNKNOWN]
    return [
        {"turnId": turn.id, "item": item}
        | {name: item[name] for name in ("startedAtMs", "completedAtMs")}
        for turn, item in every
        if item is not None
    ]
