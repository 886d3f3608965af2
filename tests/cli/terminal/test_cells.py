"""How wide text is, and how it is cut."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cli.terminal.cells import around, bar, cells, cut, cut_folder, fitted, settled, wrapped
from cli.terminal.text import duration, iso, local

TEXTS = st.text("ab ,/é日本\u0301\u0308한🎉👩\u200d❤\ufe0f🏽🇩🇪", max_size=40).map(settled)


def test_terminals_agree_about_the_width_of_what_is_shown() -> None:
    assert settled("👩\u200d👩\u200d👧 ❤\ufe0f 👍🏽 1\ufe0f\u20e3") == "👩👩👧 ❤ 👍 1\u20e3"
    assert cells("👩👩👧") == 6  # side by side, where a terminal may join them to two cells
    assert cells(settled("日本 e\u0301")) == 6


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (40, "Draft a changelog for v2.3.0 (take 3)"),
        (30, "Draft a changelog for v2.3.0…"),
        (28, "Draft a changelog for…"),
        (10, "Draft a…"),
        (4, "Dra…"),
        (1, "…"),
        (0, ""),
    ],
)
def test_a_line_is_cut_at_the_end_of_a_word(room: int, shown: str) -> None:
    assert cut("Draft a changelog for v2.3.0 (take 3)", room) == shown


def test_a_long_word_is_cut_within() -> None:
    assert cut("Fix https://example.org/a/very/long/address", 20) == "Fix https://example…"
    assert cut("日本語の長い題名", 10) == "日本語の…"


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (16, "~/code/shop/web"),
        (15, "~/code/shop/web"),
        (14, "…/shop/web"),
        (9, "…/web"),
        (4, "…web"),
        (3, "…eb"),
    ],
)
def test_a_folder_keeps_its_end(room: int, shown: str) -> None:
    assert cut_folder("~/code/shop/web", room) == shown


@given(TEXTS, st.integers(1, 30))
def test_what_is_cut_fits(text: str, room: int) -> None:
    for shown in (cut(text, room), cut_folder(text, room)):
        assert cells(shown) == cell_len(shown) <= room
        assert shown == text or "…" in shown
    marked = around([(text[:5], False), (text[5:8], True), (text[8:], False)], room)
    assert cells("".join(piece for piece, _ in marked)) <= room


def test_the_first_mark_stays_in_sight() -> None:
    pieces = [("one two three four five six ", False), ("seven", True), (" eight nine ten", False)]
    assert around(pieces, 24) == [
        ("…", False),
        ("six ", False),
        ("seven", True),
        (" eight nine", False),
        ("…", False),
    ]
    assert around(pieces, 36)[:2] == [("…", False), ("four five six ", False)]
    assert around(pieces, 80) == pieces


def test_sentences_are_wrapped_between_words() -> None:
    assert [*wrapped("one two three four", 9, "  ")] == ["one two", "  three", "  four"]
    assert [*wrapped("averylongword b", 5)] == ["averylongword", "b"]
    assert fitted("one two\n  three four", 9) == "one two\n  three\n    four"


def test_times_are_local_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert local(1_795_240_223_000) == "2026-11-21 14:50"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert iso(1_795_240_223_000) == "2026-11-21T05:50:23Z"
    assert local(10**30) == iso(10**30) == local(None) == ""
    assert [duration(each) for each in (4.4, 99, 400, 10_000)] == ["4 s", "99 s", "7 min", "3 h"]


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(1, 2, 8, blocks=True) == "████"
    assert bar(9, 16, 8, blocks=True) == "████▌"
    assert bar(1, 2, 8, blocks=False) == "####"
    assert bar(0, 2, 8, blocks=True) == bar(1, 0, 8, blocks=True) == ""
