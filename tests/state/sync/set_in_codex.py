"""Pins and names set in Codex's database of a small home, and what the index has of them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from state.codex_db.database import PINNED_SECTION
from state.db.location import journal_path
from state.userdata.journal import append_settings, read_settings
from state.userdata.model import UserValue
from tests.samples.homes import encoded, lines, thread_id, write
from tests.state.codex.databases import Codex

PIN = "UPDATE threads SET thread_section_id = ?, section_position = 1 WHERE id = ?"
NAME = "UPDATE threads SET name = ? WHERE id = ?"


@pytest.fixture
def codex(home: Path) -> Codex:
    """Codex's database of a home with four paginated threads."""
    codex = Codex.empty(home)
    for number in (1, 2, 3, 4):
        codex.insert(thread_id(number), thread(home, number), history_mode="paginated")
    return codex


def thread(home: Path, number: int) -> Path:
    content = lines(number, history_mode="paginated")
    return write(home, number, encoded([{"ordinal": n, **each} for n, each in enumerate(content)]))


def pin(codex: Codex, number: int, section: str | None = PINNED_SECTION) -> None:
    codex.change(PIN, section, thread_id(number))


def name(codex: Codex, number: int, name: str | None) -> None:
    codex.change(NAME, name, thread_id(number))


def user_values(index: Path) -> dict[tuple[int, str], str | None]:
    """What users set, by number and key: in the index, and in its journal alike."""
    with closing(sqlite3.connect(index)) as connection:
        found = {
            (id_, key): value
            for id_, key, value in connection.execute("SELECT thread_id, key, value FROM user_data")
        }
    in_journal = {
        (given.thread_id, given.key): given.value
        for given in read_settings(index)
        if isinstance(given, UserValue)
    }
    assert found == in_journal
    numbers = {thread_id(number): number for number in range(10)}
    return {(numbers[id_], key): value for (id_, key), value in found.items()}


def names(index: Path) -> dict[int, str | None]:
    with closing(sqlite3.connect(index)) as connection:
        found = dict(connection.execute("SELECT id, name FROM threads WHERE name NOT NULL"))
    return {number: found[id_] for number in range(10) if (id_ := thread_id(number)) in found}


def given(index: Path, number: int, key: str, value: str | None, at_ms: int = 1) -> None:
    """Have a user set a value; the next sync applies it."""
    index.parent.mkdir(exist_ok=True)
    append_settings(index, [UserValue(thread_id(number), key, value, at_ms)])


def journal(index: Path) -> list[Any]:
    path = journal_path(index)
    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]
