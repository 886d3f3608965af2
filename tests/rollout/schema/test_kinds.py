"""The table of kinds: complete for what files and Codex have, and what every reader goes by."""

import os
import re
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rollout.history.model_context import CONTEXT_LINES
from rollout.history.tool_calls import BEGIN_TOOLS, CALL_LINES, END_TOOLS
from rollout.items import realtime
from rollout.items.legacy import EVENT_BUILDERS
from rollout.items.paginated import ITEM_BUILDERS
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.reader import LineReader, open_rollout
from rollout.metadata.needs import Needs, skip_pattern
from rollout.schema.kinds import KINDS, Kept, Kind, Level, Reader, known, read_by
from rollout.search.paginated_messages import PaginatedMessages
from rollout.turns.legacy import LegacyReducer
from rollout.turns.paginated import PaginatedReducer
from tests.codex.codex_app import CONFIG, call
from tests.samples.rollouts import CORPUS, THREAD_ID, corpus_rollouts, meta, write_rollout

CODEX = os.environ.get("THREADKEEP_CODEX_BIN", "")
PATTERNS = {
    Reader.METADATA | Reader.USAGE: skip_pattern(Needs(numbered=False)),
    Reader.LEGACY: LegacyReducer.skip,
    Reader.PAGINATED: PaginatedReducer.skip,
    Reader.MESSAGES: PaginatedMessages.skip,
    Reader.CONTEXT: CONTEXT_LINES.skip,
    Reader.CALLS: CALL_LINES.skip,
    Reader.REALTIME: realtime._REALTIME.skip,
}
MODES = {
    Reader.LEGACY: (Kept.ALWAYS, Kept.LEGACY),
    Reader.PAGINATED: (Kept.ALWAYS, Kept.PAGINATED),
    Reader.REALTIME: (Kept.ALWAYS, Kept.PAGINATED),
}
"""The kinds that a reader meets, where it does not read all files."""
COARSE = {Reader.CONTEXT, Reader.REALTIME}
"""These go by the types of lines alone."""


def kinds_in(line: dict[str, Any]) -> set[tuple[Level, str]]:
    """What the table must have of a line of a file."""
    outer, payload = line.get("type"), line.get("payload")
    if not isinstance(outer, str) or not isinstance(payload, dict):
        return set()
    found = {(Level.LINE, outer)}
    inner = payload.get("type")
    if outer == "response_item" and isinstance(inner, str):
        found.add((Level.RESPONSE, inner))
    if outer == "event_msg" and isinstance(inner, str):
        found.add((Level.EVENT, inner))
        item = payload.get("item")
        if inner == "item_completed" and isinstance(item, dict):
            found.add((Level.ITEM, str(item.get("type"))))
    return found


def line_of(kind: Kind) -> bytes:
    """The beginning of a line of a kind, as Codex writes it."""
    front = b'{"timestamp":"2026-10-15T07:00:08.296Z","ordinal":7,"type":"'
    name = kind.name.encode()
    if kind.level is Level.LINE:
        return front + name + b'","payload":{}}'
    if kind.level is Level.RESPONSE:
        role = b'","role":"user"' if kind.name == "message" else b'"'
        return front + b'response_item","payload":{"type":"' + name + role + b"}}"
    if kind.level is Level.EVENT:
        info = b'","info":{}}}' if kind.name == "token_count" else b'"}}'
        return front + b'event_msg","payload":{"type":"' + name + info
    item = b'item_completed","thread_id":"t","turn_id":"t","item":{"type":"'
    return front + b'event_msg","payload":{"type":"' + item + name + b'"}}}'


def test_every_kind_has_one_row() -> None:
    assert len({(kind.level, kind.name) for kind in KINDS}) == len(KINDS)


def test_every_kind_of_the_corpus_is_in_the_table() -> None:
    found: set[tuple[Level, str]] = set()
    for path in corpus_rollouts():
        with open_rollout(CORPUS / path, []) as stream:
            for line in LineReader().lines(stream):
                item = parse_line(line) if isinstance(line, Line) else None
                if item is not None and not isinstance(item, BadLine):
                    found |= kinds_in(item)
    assert found <= {(kind.level, kind.name) for kind in KINDS}


def test_what_makes_items_and_calls_is_in_the_table() -> None:
    assert set(EVENT_BUILDERS) == set(read_by(Reader.ITEMS, Level.EVENT))
    assert set(ITEM_BUILDERS) == set(read_by(Reader.ITEMS, Level.ITEM)) == known(Level.ITEM)
    turns = {"task_started", "turn_started", "user_message"}
    assert set(BEGIN_TOOLS) | set(END_TOOLS) | turns == set(read_by(Reader.CALLS, Level.EVENT))


@pytest.mark.parametrize("reader", PATTERNS)
def test_a_reader_passes_over_the_kinds_that_are_not_its_own(reader: Reader) -> None:
    """A line or event that its row does not give to a reader is passed over, and no other is. Two
    readers may share one pass."""
    levels = [Level.LINE] if reader in COARSE else [Level.LINE, Level.EVENT, Level.RESPONSE]
    levels += [Level.ITEM] * (Reader.METADATA in reader)
    containers = {"event_msg", "response_item"}
    for kind, level in product(KINDS, levels):
        kept = MODES.get(reader, (Kept.ALWAYS, Kept.LEGACY, Kept.PAGINATED, Kept.EXTENDED))
        if kind.level is not level or kind.kept not in kept or kind.name in containers:
            continue
        if level is Level.RESPONSE and reader is Reader.MESSAGES:
            continue  # it passes over them all
        passed = PATTERNS[reader].match(line_of(kind)) is not None
        assert passed == (not reader & kind.readers), kind


@pytest.mark.skipif(not CODEX, reason="no THREADKEEP_CODEX_BIN")
def test_the_table_has_the_kinds_that_codex_prints(tmp_path: Path) -> None:
    """Met with a kind that it does not know, Codex's log lists those that it does."""
    turn = {"thread_id": THREAD_ID, "turn_id": "t"}
    strange = [
        {"type": "strange_line", "payload": {}},
        {"type": "event_msg", "payload": {"type": "strange_event"}},
        {"type": "event_msg", "payload": {"type": "item_completed", **turn, "item": {"type": "X"}}},
    ]
    lines = [meta(history_mode="paginated", base_instructions=None), *strange]
    numbered = [{"timestamp": "2026-10-15T07:00:08.296Z"} | line for line in lines]
    write_rollout(tmp_path, [line | {"ordinal": at} for at, line in enumerate(numbered)])
    (tmp_path / "config.toml").write_text(CONFIG)
    log = tmp_path / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [CODEX, "app-server", "--listen", "stdio://"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "CODEX_HOME": str(tmp_path), "RUST_LOG": "codex_thread_store=warn"},
            text=True,
        )
        call(process, 0, "initialize", {"clientInfo": {"name": "tests", "version": "1"}})
        call(process, 1, "thread/resume", {"threadId": THREAD_ID})
        process.terminate()
        process.communicate()
    told = re.findall(r"unknown variant .*?, expected one of (.*)", log.read_text())
    printed = [frozenset(re.findall(r"`(\w+)`", names)) for names in told]
    assert printed == [known(level) for level in (Level.LINE, Level.EVENT, Level.ITEM)]
