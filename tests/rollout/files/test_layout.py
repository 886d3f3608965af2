"""What file names tell, and which of several files is the thread's."""

import uuid
from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.files.layout import (
    RolloutName,
    is_archived,
    logical_path,
    name_time_ms,
    parse_name,
    parse_uuid,
    precedence,
)
from tests.samples.rollouts import FOREIGN_ID, STARTED, THREAD_ID, rollout_name, rollout_path
from tests.support.effort import examples

CASES = examples(150)


def parsed(name: str) -> RolloutName:
    found = parse_name(name)
    assert found is not None
    return found


@CASES
@given(
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)),
    st.uuids(),
    st.none() | st.uuids(),
    st.booleans(),
)
def test_a_canonical_name_gives_back_what_it_was_made_of(
    moment: datetime, thread: uuid.UUID, segment: uuid.UUID | None, compressed: bool
) -> None:
    """Any UUID counts, of whatever version."""
    started = moment.strftime("%Y-%m-%dT%H-%M-%S").rjust(19, "0")
    ids = str(thread) if segment is None else f"{thread}_{segment}"
    name = f"rollout-{started}-{ids}.jsonl" + (".zst" if compressed else "")
    assert parsed(name) == RolloutName(started, str(thread), str(segment or thread), compressed)


@pytest.mark.parametrize("version", range(16))
def test_a_uuid_of_any_version_is_an_id(version: int) -> None:
    text = f"01a14000-0000-{version:x}000-8000-000000000001"
    assert parse_uuid(text) == text
    assert parsed(rollout_name(text)).thread_id == text


@pytest.mark.parametrize(
    "spelling",
    [THREAD_ID.upper(), THREAD_ID.replace("-", ""), THREAD_ID.replace("-", "").upper()],
)
def test_upper_case_and_undashed_ids_mean_the_canonical_one(spelling: str) -> None:
    assert parse_uuid(spelling) == THREAD_ID
    assert parsed(f"rollout-{STARTED}-{spelling}.jsonl").thread_id == THREAD_ID
    segment = parsed(f"rollout-{STARTED}-{spelling}_{FOREIGN_ID.upper()}.jsonl")
    assert (segment.thread_id, segment.rollout_id) == (THREAD_ID, FOREIGN_ID)


@pytest.mark.parametrize(
    "text",
    [
        "",
        THREAD_ID[:-1],
        THREAD_ID + "0",
        THREAD_ID + "\n",
        f" {THREAD_ID}",
        THREAD_ID.replace("-", "_"),
        THREAD_ID.replace("-", "", 1),
        THREAD_ID.replace("a", "g"),
        THREAD_ID.replace("1", "\N{ARABIC-INDIC DIGIT ONE}"),
        None,
        5,
        THREAD_ID.encode(),
    ],
)
def test_what_is_no_uuid_is_no_id(text: object) -> None:
    assert parse_uuid(text) is None


def test_a_segment_names_the_thread_first_and_the_file_second() -> None:
    name = parsed(f"rollout-{STARTED}-{THREAD_ID}_{FOREIGN_ID}.jsonl")
    assert (name.thread_id, name.rollout_id) == (THREAD_ID, FOREIGN_ID)


def test_an_ordinary_file_is_its_thread() -> None:
    name = parsed(rollout_name())
    assert name.rollout_id == name.thread_id == THREAD_ID


def test_the_compressed_form_tells_the_same() -> None:
    plain, compressed = parsed(rollout_name()), parsed(rollout_name() + ".zst")
    assert (plain.compressed, compressed.compressed) == (False, True)
    assert plain.started_at == compressed.started_at
    assert plain.thread_id == compressed.thread_id


@pytest.mark.parametrize(
    "name",
    [
        "",
        "rollout.jsonl",
        f"rollout-{STARTED}-{THREAD_ID}",
        f"rollout-{STARTED}-{THREAD_ID}.json",
        f"rollout-{STARTED}-{THREAD_ID}.jsonl.bak",
        f"rollout-{STARTED}-{THREAD_ID}.jsonl.gz",
        f"rollout-{STARTED}-{THREAD_ID}.jsonl.zst.zst",
        f"rollout-{STARTED}-{THREAD_ID}.JSONL",
        f"Rollout-{STARTED}-{THREAD_ID}.jsonl",
        f"my-rollout-{STARTED}-{THREAD_ID}.jsonl",
        f"rollout-compress-{THREAD_ID}.tmp",
        "session_index.jsonl",
        f"rollout-{STARTED}-{THREAD_ID}.jsonl\n",
    ],
)
def test_another_name_is_no_rollout(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize(
    ("body", "started", "thread_id"),
    [
        ("", None, None),
        ("anything", None, None),
        ("any\nthing", None, None),
        (STARTED, STARTED, None),
        (f"{STARTED}-", STARTED, None),
        (f"{STARTED}-not-an-id", STARTED, None),
        (f"{STARTED}_{THREAD_ID}", STARTED, THREAD_ID),
        (f"2026-10-15T07:00:00-{THREAD_ID}", None, THREAD_ID),
        (f"2026-13-15T07-00-00-{THREAD_ID}", None, THREAD_ID),
        (f"2026-10-15T24-00-00-{THREAD_ID}", None, THREAD_ID),
        (f"2026-10-15T07-60-00-{THREAD_ID}", None, THREAD_ID),
        (f"yesterday-{THREAD_ID}", None, THREAD_ID),
        (THREAD_ID, None, THREAD_ID),
        (f"{STARTED}-{THREAD_ID}_", STARTED, THREAD_ID),
        (f"{STARTED}-{THREAD_ID}_copy", STARTED, THREAD_ID),
        (f"{STARTED}-{THREAD_ID}0", STARTED, None),
        (f"{STARTED}-copy-{THREAD_ID}", STARTED, THREAD_ID),
    ],
)
def test_parts_of_a_name_that_cannot_be_read_leave_the_others(
    body: str, started: str | None, thread_id: str | None
) -> None:
    name = parsed(f"rollout-{body}.jsonl")
    assert (name.started_at, name.thread_id) == (started, thread_id)


@CASES
@given(st.text(max_size=80))
def test_any_text_is_a_name_or_none(text: str) -> None:
    parse_name(text)
    parse_uuid(text)
    name_time_ms(text)
    assert parsed(f"rollout-{text.replace('/', '')}.jsonl").compressed is False
    assert parse_name(f"{text}/{rollout_name()}") == parse_name(rollout_name())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00-00-00", 0),
        ("1970-01-01T00-00-01", 1000),
        ("2026-10-15T07-00-00", 1_792_047_600_000),
        ("2026-10-15T07-00-60", 1_792_047_660_000),
        ("2026-10-15T07-00-61", None),
        ("2026-00-15T07-00-00", None),
        ("2026-10-00T07-00-00", None),
        ("2026-10-32T07-00-00", None),
        ("0000-10-15T07-00-00", None),
        ("2026-10-15T07:00:00", None),
        ("2026-10-15T07-00-00Z", None),
        ("", None),
    ],
)
def test_the_time_in_a_name_is_read_as_utc(text: str, expected: int | None) -> None:
    assert name_time_ms(text) == expected


def test_the_logical_path_has_no_compression_suffix() -> None:
    path = rollout_path()
    assert logical_path(path) == logical_path(path + ".zst") == path


def test_only_the_folder_says_that_a_thread_is_archived() -> None:
    assert is_archived(rollout_path(archived=True))
    assert not is_archived(rollout_path())
    assert not is_archived("archived_sessions_old/x.jsonl")
    assert not is_archived("sessions/archived_sessions/x.jsonl")


def best(*paths: str, sizes: Sequence[int] = ()) -> str:
    """The thread's file of two: either is as large as the other if no sizes are given."""
    given = zip(paths, sizes or [1] * len(paths), strict=True)
    return max(precedence(path, size, THREAD_ID) for path, size in given).path


def test_an_active_file_beats_an_archived_one_of_any_date() -> None:
    old = rollout_path(started="2025-01-01T00-00-00")
    new = rollout_path(started="2026-01-01T00-00-00", archived=True)
    assert best(new, old, sizes=(9, 1)) == old


def test_a_later_name_beats_an_earlier_one_whatever_the_folder() -> None:
    early = "sessions/2030/01/01/" + rollout_name(started="2025-01-01T00-00-00")
    late = "sessions/2024/01/01/" + rollout_name(started="2025-01-01T00-00-01")
    assert best(early, late, sizes=(9, 1)) == late


def test_the_newest_segment_beats_the_file_it_replaced() -> None:
    first = rollout_path()
    segment = first.replace(".jsonl", f"_{FOREIGN_ID}.jsonl")
    assert best(first, segment, sizes=(9, 1)) == segment
    later = "sessions/2026/10/16/" + rollout_name(started="2026-10-16T00-00-00")
    assert best(segment, later) == later


def test_plain_beats_compressed_and_nothing_else() -> None:
    plain = rollout_path()
    assert best(plain, plain + ".zst") == plain
    later = rollout_path(started="2026-10-15T07-00-01") + ".zst"
    assert best(plain, later) == later


COPIES = (
    ".sync-conflict-20261102-101010-ABCDEFG",
    " (1)",
    " 2",
    " copy",
    " - Copy",
    "-LAPTOP",
    ".orig",
    "~",
    " (conflicted copy 2026-11-02 101010)",
    " (Ann's conflicted copy 2026-11-02)",
    "_conflict-20261102-101010",
    " (SFConflict ann@example.org 2026-11-02-10-10-10)",
    ".variant-1a2b",
    "[conflicted]",
)
"""What other programs add to a name before its ending."""


@pytest.mark.parametrize("added", COPIES)
def test_the_regular_file_beats_copies_whatever_is_in_them(added: str) -> None:
    regular = rollout_path()
    copy = regular.replace(".jsonl", f"{added}.jsonl")
    assert parsed(copy.rsplit("/", 1)[-1]).thread_id == THREAD_ID
    for mine in (regular, regular + ".zst", rollout_path(archived=True)):
        assert best(mine, copy, sizes=(1, 9)) == mine
    segment = regular.replace(".jsonl", f"_{FOREIGN_ID}{added}.jsonl")
    assert parsed(segment.rsplit("/", 1)[-1]).rollout_id == FOREIGN_ID
    assert best(regular, segment) == regular


@pytest.mark.parametrize(
    "path",
    [
        f"sessions/{rollout_name()}",
        f"sessions/backup/{rollout_name()}",
        f"sessions/2026/10/15 (1)/{rollout_name(started='2026-10-16T00-00-00')}",
        rollout_path().replace(THREAD_ID, FOREIGN_ID),
    ],
)
def test_the_regular_file_beats_one_in_another_place_or_of_another_name(path: str) -> None:
    assert best(rollout_path(), path, sizes=(1, 9)) == rollout_path()


def test_of_copies_that_with_more_in_it_counts() -> None:
    one, other = (rollout_path().replace(".jsonl", f" ({n}).jsonl") for n in (1, 2))
    assert best(one, other, sizes=(9, 1)) == one
    assert best(one, other, sizes=(1, 9)) == other
    assert best(one, other) == other


@CASES
@given(
    st.lists(
        st.builds(
            lambda second, archived, suffix: (
                rollout_path(started=f"2026-10-15T07-00-0{second}", archived=archived) + suffix
            ),
            st.integers(0, 9),
            st.booleans(),
            st.sampled_from(["", ".zst"]),
        ),
        unique=True,
        min_size=1,
    )
)
def test_precedence_leaves_no_tie_between_two_files(paths: list[str]) -> None:
    keys = [precedence(path, 1, THREAD_ID) for path in paths]
    assert len(set(keys)) == len(keys)
    assert [key.path for key in keys] == paths
