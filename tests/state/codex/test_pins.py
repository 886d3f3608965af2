"""Pins in Codex's own database, as threadkeep writes them."""

from pathlib import Path
from typing import Any

import pytest

from state.codex_db.database import PINNED_SECTION
from state.codex_db.notify import notify_codex
from state.errors import CodexLocked, CodexSchemaUnknown
from state.userdata.journal import append_settings
from state.userdata.model import UserValue
from tests.samples.homes import thread_id, write
from tests.state.codex.checked import check
from tests.state.codex.databases import STATE, STATE_OF_64, Codex
from tests.state.edit.moved import _locked, _newer

SECTION = ("thread_section_id", "section_position", "section_entered_at_ms")


def with_rows(folder: Path, state: bytes = STATE_OF_64) -> Codex:
    """Codex's database with three threads, and a section of the user's own."""
    codex = Codex.empty(folder, state)
    for number in (1, 2, 3):
        codex.insert(thread_id(number), Path("/x"))
    codex.change("INSERT INTO thread_sections (id, name) VALUES ('mine', 'Mine')")
    return codex


def section(codex: Codex, number: int) -> tuple[Any, ...]:
    row = codex.threads()[thread_id(number)]
    return tuple(row[name] for name in SECTION)


def pin(codex: Codex, number: int, value: str | None = "1") -> None:
    assert notify_codex(codex.path, {thread_id(number): {"pinned": value}}) is None


@pytest.mark.parametrize("state", [STATE, STATE_OF_64], ids=["0.169", "0.171"])
def test_a_pin_is_the_last_of_its_section(tmp_path: Path, state: bytes) -> None:
    codex = with_rows(tmp_path, state)
    before = codex.threads()
    pin(codex, 1)
    pin(codex, 2)
    first, second = section(codex, 1), section(codex, 2)
    assert first[:2] == (PINNED_SECTION, 1_000_000)
    assert second[:2] == (PINNED_SECTION, 2_000_000)
    assert 0 <= second[2] - first[2] < 60_000
    pin(codex, 1)  # it stays where it is
    assert section(codex, 1) == first
    pin(codex, 1, None)
    pin(codex, 2, None)
    assert codex.threads() == before


def test_a_pin_comes_behind_those_of_archived_threads(tmp_path: Path) -> None:
    codex = with_rows(tmp_path)
    codex.change(
        "UPDATE threads SET archived = 1, thread_section_id = ?, section_position = 500000"
        " WHERE id = ?",
        *(PINNED_SECTION, thread_id(3)),
    )
    pin(codex, 1)
    assert section(codex, 1)[1] == 1_500_000


def test_a_pin_takes_a_thread_out_of_another_section_and_its_end_does_not(tmp_path: Path) -> None:
    codex = with_rows(tmp_path)
    codex.change("UPDATE threads SET thread_section_id = 'mine', section_position = 7")
    held = section(codex, 1)
    pin(codex, 1, None)
    assert section(codex, 1) == held
    pin(codex, 1)
    assert section(codex, 1)[:2] == (PINNED_SECTION, 1_000_000)
    assert section(codex, 2) == section(codex, 3) == held


def test_a_thread_without_a_row_is_left_out(tmp_path: Path) -> None:
    codex = with_rows(tmp_path)
    before = codex.content()
    pin(codex, 9)
    pin(codex, 9, None)
    assert codex.content() == before
    (tmp_path / "away").mkdir()
    pin(Codex(tmp_path / "away" / "state_5.sqlite"), 1)
    assert not list((tmp_path / "away").iterdir())


@pytest.mark.usefixtures("impatient")
def test_a_pin_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    codex = with_rows(tmp_path)
    change = {thread_id(1): {"pinned": "1"}}
    undo = _locked(codex)
    assert isinstance(notify_codex(codex.path, change), CodexLocked)
    undo()
    watched = "CREATE TRIGGER t AFTER UPDATE OF section_position ON threads BEGIN SELECT 1; END"
    codex.change(watched)
    assert isinstance(notify_codex(codex.path, change), CodexSchemaUnknown)
    codex.change("DROP TRIGGER t")
    _newer(codex)
    assert isinstance(notify_codex(codex.path, change), CodexSchemaUnknown)


@pytest.mark.parametrize(
    ("ours", "section", "command"),
    [
        ("1", None, "pin"),
        ("1", "mine", "pin"),
        (None, PINNED_SECTION, "unpin"),
        ("1", PINNED_SECTION, None),
        (None, None, None),
        (None, "mine", None),
    ],
)
def test_a_check_tells_of_a_pin_that_differs(
    home: Path,
    index_path: Path,
    tmp_path: Path,
    ours: str | None,
    section: str | None,
    command: str | None,
) -> None:
    codex = with_rows(tmp_path)
    path = write(home, 1).resolve()
    codex.change("DELETE FROM threads WHERE id <> ?", thread_id(1))
    codex.change("UPDATE threads SET rollout_path = ?, thread_section_id = ?", str(path), section)
    index_path.parent.mkdir()
    append_settings(index_path, [UserValue(thread_id(1), "pinned", ours, 1)])
    _, found = check(home, index_path, codex.path)
    assert [(one.kind.code, one.mend) for one in found if one.thread_id] == (
        [("codex_pin_differs", f"threadkeep {command} {thread_id(1)}")] if command else []
    )


def test_a_pin_that_users_never_set_here_is_no_difference(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    codex = with_rows(tmp_path)
    path = write(home, 1).resolve()
    codex.change("DELETE FROM threads WHERE id <> ?", thread_id(1))
    codex.change(
        "UPDATE threads SET rollout_path = ?, thread_section_id = ?", str(path), PINNED_SECTION
    )
    _, found = check(home, index_path, codex.path)  # which has its own way to the database
    assert [one for one in found if one.thread_id] == []
