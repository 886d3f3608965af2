"""What Codex's picker sees of a file: against the recorded lists, and at each measured bound."""

import re
from pathlib import Path
from typing import Any

import pytest

from rollout.files.layout import misplacement
from rollout.metadata.codex_picker import Head, Obstacle, read_head
from rollout.schema.session_source import INTERACTIVE_KINDS
from tests.samples.gold import exchanges
from tests.samples.rollouts import (
    CORPUS,
    FOREIGN_ID,
    THREAD_ID,
    RolloutLine,
    agent,
    content,
    corpus_rollouts,
    encode,
    envelope,
    event,
    item,
    meta,
    response,
    text_part,
    user,
    write_rollout,
)

BAD_BYTE = encode(agent("X")).replace(b"X", b"\xff")
FILLER = response("x")


def head(tmp_path: Path, *lines: RolloutLine, suffix: str = "") -> Head:
    path = write_rollout(tmp_path, content(*lines), f"rollout-x.jsonl{suffix}")
    return read_head(tmp_path / path)


def shown(path: str, seen: Head) -> bool:
    """Whether the default list shows the file, as the gold's configuration has it."""
    return (
        not seen.obstacles
        and seen.meta is not None
        and misplacement(path) is None
        and not path.startswith("archived_sessions/")
        and seen.meta.kind in INTERACTIVE_KINDS
        and not seen.meta.attached
        and seen.meta.provider in (None, "mock")
    )


def test_the_default_list_of_codex_holds_just_the_files_that_the_scan_shows() -> None:
    recorded = [
        thread["path"].partition("/.codex/")[2]
        for _, response in exchanges("list_sort_created_at_desc.json")
        for thread in response["result"]["data"]
    ]
    ours = [path for path in corpus_rollouts() if shown(path, read_head(CORPUS / path))]
    assert len(recorded) == 147
    assert sorted(path.removesuffix(".zst") for path in ours) == sorted(recorded)


@pytest.mark.parametrize(
    "filler",
    [FILLER, b"{oops", envelope("strange", {}), event("strange")],
    ids=["items", "garbage", "unknown lines", "unknown events"],
)
def test_a_message_is_found_up_to_the_210th_record(tmp_path: Path, filler: RolloutLine) -> None:
    assert head(tmp_path, meta(), *[filler] * 208, user("hi")).obstacles == ()
    lines: list[RolloutLine] = [meta(), *[filler] * 209]
    (found,) = head(tmp_path, *lines, user("hi")).obstacles
    assert found.code == "beyond_scan_depth"
    assert found.offset == len(content(*lines))


def test_blank_lines_are_no_records(tmp_path: Path) -> None:
    assert head(tmp_path, meta(), *[b"", b" \t\r"] * 300, user("hi")).obstacles == ()


def test_the_session_meta_is_found_up_to_the_tenth_record(tmp_path: Path) -> None:
    assert head(tmp_path, *[FILLER] * 9, meta(), user("hi")).obstacles == ()
    assert head(tmp_path, user("hi"), *[FILLER] * 8, meta()).obstacles == ()
    late: list[list[RolloutLine]] = [
        [*[FILLER] * 10, meta(), user("hi")],
        [user("hi"), *[FILLER] * 9, meta()],
    ]
    for lines in late:
        (found,) = head(tmp_path, *lines).obstacles
        assert found.code == "beyond_scan_depth"
        assert found.offset == content(*lines).index(b'{"timestamp":', found.offset)
        assert b'"session_meta"' in content(*lines)[found.offset : found.offset + 80]


def test_a_byte_that_is_not_utf_8_ends_the_scan_unless_all_is_known_by_then(
    tmp_path: Path,
) -> None:
    assert head(tmp_path, meta(), user("hi"), BAD_BYTE).obstacles == ()
    assert head(tmp_path, meta(), *[FILLER] * 48, user("hi"), BAD_BYTE).obstacles == ()
    lines: list[RolloutLine] = [meta(), FILLER, BAD_BYTE, user("hi")]
    (found,) = head(tmp_path, *lines).obstacles
    assert (found.code, found.offset) == ("unreadable_line", content(*lines).index(b"\xff"))


@pytest.mark.parametrize("key", ["id", "timestamp", "cwd", "originator", "cli_version"])
def test_a_session_meta_must_have_what_codex_requires(tmp_path: Path, key: str) -> None:
    line = meta()
    del line["payload"][key]
    (found,) = head(tmp_path, line, user("hi")).obstacles
    why = f"Codex can read no session_meta: a session_meta without {key}"
    assert found == Obstacle("unreadable_line", why, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"session_id": 5},
        {"cwd": 5},
        {"git": 5},
        {"dynamic_tools": 5},
        {"id": "abc"},
        {"source": {"x": 1}},
    ],
    ids=str,
)
def test_one_wrong_type_loses_the_session_meta(tmp_path: Path, fields: dict[str, Any]) -> None:
    seen = head(tmp_path, meta(**fields) if "id" not in fields else meta("abc"), user("hi"))
    assert [found.code for found in seen.obstacles] == ["unreadable_line"]
    assert seen.meta is None


@pytest.mark.parametrize(
    "fields",
    [
        {"model_provider": None},
        {"source": None},
        {"timestamp": "soon"},
        {"cwd": ""},
        {"cwd": "relative"},
        {"history_mode": "paginated"},
    ],
    ids=str,
)
def test_what_codex_puts_up_with_in_a_session_meta(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert head(tmp_path, meta(**fields), user("hi")).obstacles == ()


def test_the_first_session_meta_decides_the_history_mode(tmp_path: Path) -> None:
    strange = meta(history_mode="strange")
    (found,) = head(tmp_path, strange, meta(), user("hi")).obstacles
    what = 'history_mode is "strange", which Codex does not know'
    assert found == Obstacle("unknown_history_mode", what, 0)
    (found,) = head(tmp_path, meta(history_mode=None), user("hi")).obstacles
    assert found.text.startswith("history_mode is null")
    assert head(tmp_path, meta(), strange, user("hi")).obstacles == ()


def test_the_first_session_meta_is_what_the_filters_go_by(tmp_path: Path) -> None:
    seen = head(tmp_path, meta(), meta(source="exec", cwd="/two"), user("hi")).meta
    assert seen is not None
    assert (seen.kind, seen.cwd) == ("cli", "/work/demo")


def test_a_side_thread_is_one_that_was_forked_and_attached(tmp_path: Path) -> None:
    seen = head(tmp_path, meta(attached_thread=True, forked_from_id=FOREIGN_ID), user("hi")).meta
    assert seen is not None
    assert seen.attached
    seen = head(tmp_path, meta(attached_thread=True), user("hi")).meta
    assert seen is not None
    assert not seen.attached


@pytest.mark.parametrize(
    "line",
    [
        user("", images=["data:x"]),
        user("", local_images=["/x.png"]),
        item("UserMessage", text_part("hi")),
        item("UserMessage", {"type": "image", "image_url": "data:x"}),
    ],
    ids=["image", "local image", "item", "image item"],
)
def test_what_counts_as_a_message(tmp_path: Path, line: RolloutLine) -> None:
    assert head(tmp_path, meta(), line).obstacles == ()


@pytest.mark.parametrize(
    "line",
    [
        user("  "),
        user("ctx\n## My request for Codex:\n "),
        user(5),
        response("hi", "user"),
        agent("hi"),
        item("UserMessage", text_part(" ")),
    ],
    ids=["blank", "marker only", "number", "response", "agent", "blank item"],
)
def test_what_does_not(tmp_path: Path, line: RolloutLine) -> None:
    (found,) = head(tmp_path, meta(), line).obstacles
    assert (found.code, found.offset) == ("empty_preview", None)


def test_a_message_in_a_line_that_codex_drops(tmp_path: Path) -> None:
    line = event("thread_goal_updated", goal={"objective": "ship"})
    (found,) = head(tmp_path, meta(), line).obstacles
    assert (found.code, found.offset) == ("unreadable_line", len(content(meta())))


def test_a_byte_order_mark_costs_the_line_it_stands_in(tmp_path: Path) -> None:
    marked = b"\xef\xbb\xbf" + encode(meta())
    (found,) = head(tmp_path, marked, user("hi")).obstacles
    assert found.offset == 0
    assert found.text.endswith("a byte order mark")
    assert head(tmp_path, marked, meta(), user("hi")).obstacles == ()


def test_files_that_give_nothing(tmp_path: Path) -> None:
    for data in (b"", b"\n \n"):
        write_rollout(tmp_path, data, "rollout-x.jsonl")
        (found,) = read_head(tmp_path / "rollout-x.jsonl").obstacles
        assert found == Obstacle("unreadable", "it is empty", 0)
    (found,) = read_head(tmp_path / "nowhere.jsonl").obstacles
    assert found.text == "cannot be read: No such file or directory"
    (tmp_path / "rollout-x.jsonl.zst").write_bytes(b"garbage")
    assert read_head(tmp_path / "rollout-x.jsonl.zst").obstacles[0].code == "unreadable"


def test_a_file_of_the_first_versions_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    bare = {"id": THREAD_ID, "timestamp": "2025-08-10T09:00:00.123Z", "instructions": None}
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    codes = [found.code for found in head(tmp_path, bare, message).obstacles]
    assert codes == ["bare_era"]
    codes = [found.code for found in head(tmp_path, user("hi")).obstacles]
    assert codes == ["unreadable_line"]


def test_a_compressed_file_is_read_as_a_plain_one(tmp_path: Path) -> None:
    assert head(tmp_path, meta(), user("hi"), suffix=".zst").obstacles == ()


@pytest.mark.parametrize(
    ("path", "clause"),
    [
        (f"sessions/2026/1/2/rollout-2026-10-15T07-00-00-{THREAD_ID}.jsonl", None),
        (f"sessions/2026/1/2/rollout-2026-10-15T07-00-00-{THREAD_ID.upper()}.jsonl.zst", None),
        (f"sessions/1/1/1/rollout-2026-10-15T07-00-00-{THREAD_ID}_{FOREIGN_ID}.jsonl", None),
        (f"archived_sessions/rollout-2026-10-15T07-00-00-{THREAD_ID}.jsonl", None),
        (f"sessions/rollout-2026-10-15T07-00-00-{THREAD_ID}.jsonl", "is neither in"),
        (f"sessions/a/b/c/rollout-2026-10-15T07-00-00-{THREAD_ID}.jsonl", "is neither in"),
        (f"archived_sessions/1/rollout-2026-10-15T07-00-00-{THREAD_ID}.jsonl", "is neither in"),
        (f"sessions/1/1/1/rollout-2026-10-15T07:00:00-{THREAD_ID}.jsonl", "contain a time"),
        ("sessions/1/1/1/rollout-2026-10-15T07-00-00-backup.jsonl", "thread id"),
        (f"sessions/1/1/1/rollout-2026-10-15T07-00-00-copy-{THREAD_ID}.jsonl", "thread id"),
    ],
)
def test_where_the_scan_looks(path: str, clause: str | None) -> None:
    found = misplacement(path)
    assert found is None if clause is None else re.search(clause, found or "")
