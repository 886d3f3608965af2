"""Queries and cursors: what is refused, and what survives being written out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.errors import InvalidCursor, InvalidQuery
from state.query import cursor
from state.query.model import Query
from tests.samples.homes import thread_id
from tests.support.effort import examples


@given(
    text=st.text() | st.binary().map(lambda raw: raw.hex()) | st.from_regex(r"[A-Za-z0-9_-]{1,80}")
)
@examples(300)
def test_no_text_but_a_cursor_is_a_cursor(text: str) -> None:
    with pytest.raises(InvalidCursor):
        cursor.decode(text, sort_key="created_at", descending=True, filters="x")


@given(key_ms=st.integers(-(2**62), 2**62), id_=st.uuids().map(str) | st.just(""))
def test_a_cursor_survives_its_journey(key_ms: int, id_: str) -> None:
    made = cursor.Cursor("updated_at", False, "abc", key_ms, id_)
    assert made == cursor.decode(
        made.encode(), sort_key="updated_at", descending=False, filters="abc"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"sort_key": "name"},
        {"source_kinds": ("web",)},
        {"parent_id": thread_id(1), "ancestor_id": thread_id(2)},
        {"parent_id": "x"},
        {"excluded_ids": tuple(thread_id(n) for n in range(101))},
        {"included_ids": tuple(thread_id(n) for n in range(101))},
        {"included_ids": ("x",)},
    ],
)
def test_a_query_without_meaning_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidQuery):
        Query(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("asked", "given_"), [(0, 1), (-5, 1), (25, 25), (5000, 100)])
def test_the_limit_is_clamped_as_codex_does(asked: int, given_: int) -> None:
    assert Query(limit=asked).limit == given_
