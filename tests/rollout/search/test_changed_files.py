"""Which files a rollout says were changed, in all eras of Codex's rollouts, and the patches."""

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.jsonl.marks import MarkedLines
from rollout.jsonl.parse import Line
from rollout.jsonl.reader import LineReader, MemoryRollout, Skipping, open_rollout
from rollout.search.changed_files import Change, changes_in
from rollout.search.extract import EarlierMessages, read_thread_messages
from rollout.search.patches import ChangePlace, Patch, read_patches
from tests.samples.rollouts import CORPUS, corpus_rollouts

TIME = "2026-11-12T15:53:14.694Z"
TIME_MS = 1794498794694
DONE = "Success. Updated the following files:\nM src/app.py\nA docs/New page.md\n"
NAME = "rollout-2026-11-12T15-53-14-01a1d076-9481-7f92-83be-0071a85bade5.jsonl"
DIFF = "@@ -1 +1 @@\n-old\n+new\n"
UPDATE = {"type": "update", "unified_diff": DIFF, "move_path": None}


def line(payload: object, kind: str = "response_item", **more: object) -> str:
    return json.dumps({"timestamp": TIME, **more, "type": kind, "payload": payload}) + "\n"


def output(text: object, call_id: str = "c") -> dict[str, object]:
    return {"type": "custom_tool_call_output", "call_id": call_id, "output": text}


def applied(changes: object, call_id: str = "c", **more: object) -> dict[str, object]:
    event = {"type": "patch_apply_end", "call_id": call_id, "changes": changes}
    return {**event, "stdout": DONE, "stderr": "", "success": True, "status": "completed", **more}


def meta(**more: object) -> str:
    return line({"id": NAME[28:-6], "cwd": "/w", **more}, "session_meta")


def changes(home: Path, *lines: str) -> list[Change]:
    (home / NAME).write_text("".join(lines), "utf-8")
    return changes_in(home, [NAME]).changes


def told(found: Iterable[Change]) -> list[tuple[str, str]]:
    return [(change.path, change.kind) for change in found]


def patches(home: Path, found: Sequence[Change]) -> list[Patch]:
    places = [ChangePlace(each.path, each.file, each.offset) for each in found]
    patches = [*read_patches(home, [NAME], places)]
    without = [*read_patches(home, [NAME], places, diffs=False)]
    assert without == [each._replace(diff=None) for each in patches]
    return patches


# -- what was changed --------------------------------------------------------------------------


def test_patches_of_all_eras_are_found_once_each() -> None:
    found = {path: changes_in(CORPUS, [path]).changes for path in corpus_rollouts()}
    assert sorted(change for each in found.values() for change in told(each)) == [
        ("/home/dev/projects/gamma/notes_1424.txt", "added"),
        ("/home/dev/projects/gamma/notes_73.txt", "added"),
        ("/home/dev/projects/gamma/notes_735.txt", "added"),
        ("notes_122.txt", "added"),
        ("notes_148.txt", "added"),
    ]


def test_the_patches_of_all_eras_can_be_read() -> None:
    content = "+first line\n+second line — ünïcode"
    for path in corpus_rollouts():
        for change in changes_in(CORPUS, [path]).changes:
            place = ChangePlace(change.path, change.file, change.offset)
            (patch,) = read_patches(CORPUS, [path], [place])
            assert (patch.path, patch.kind, patch.diff) == (change.path, "added", content)
            assert patch.at_ms == change.at_ms
            assert (patch.turn_id is None) == (change.path[0] != "/")


@pytest.mark.parametrize(
    "given",
    [
        DONE,
        f"Exit code: 0\nWall time: 0 seconds\nOutput:\n{DONE}",
        json.dumps({"output": DONE, "metadata": {"exit_code": 0}}),
        {"content": DONE, "success": True},
        [{"type": "input_text", "text": DONE}],
    ],
)
def test_what_the_tool_printed_names_the_files(tmp_path: Path, given: object) -> None:
    assert changes(tmp_path, line(output(given))) == [
        Change("src/app.py", "changed", TIME_MS, 0, 0),
        Change("docs/New page.md", "added", TIME_MS, 0, 0),
    ]


def test_a_patch_that_has_an_event_counts_once(tmp_path: Path) -> None:
    changed = {"/w/src/app.py": UPDATE, "/w/docs/New page.md": {"type": "add", "content": "a\n"}}
    event = line(applied(changed), "event_msg")
    kinds = [("/w/src/app.py", "changed"), ("/w/docs/New page.md", "added")]
    assert told(changes(tmp_path, event, line(output(DONE)))) == kinds
    # A script that prints what its patch did is another call.
    assert told(changes(tmp_path, event, line(output(DONE, "script")))) == kinds
    again = changes(tmp_path, event, line(output(DONE)), line(output(DONE, "other")))
    assert told(again) == [*kinds, ("src/app.py", "changed"), ("docs/New page.md", "added")]


def test_the_item_of_a_patch_names_its_files(tmp_path: Path) -> None:
    changed = {"/w/a": {"type": "delete", "content": ""}}
    item = {"type": "FileChange", "id": "c", "changes": changed, "stdout": DONE}
    ended = {"type": "item_completed", "turn_id": "t"}
    done = line({**ended, "item": {**item, "status": "completed"}}, "event_msg")
    assert told(changes(tmp_path, done)) == [("/w/a", "deleted")]
    assert changes(tmp_path, line({**ended, "item": item}, "event_msg")) == []
    for status in ("failed", "declined"):
        failed = line({**ended, "item": {**item, "status": status}}, "event_msg")
        assert changes(tmp_path, failed) == []


def test_of_a_moved_file_both_names_are_known(tmp_path: Path) -> None:
    moved = {"/w/old.py": {**UPDATE, "move_path": "/w/new.py"}}
    found = changes(tmp_path, line(applied(moved), "event_msg"))
    assert told(found) == [("/w/old.py", "moved"), ("/w/new.py", "moved")]
    diff = f"{DIFF}\n\nMoved to: /w/new.py"
    assert [patch.diff for patch in patches(tmp_path, found)] == [diff, diff]


def test_what_only_mentions_a_file_has_not_changed_it(tmp_path: Path) -> None:
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": DONE}]}
    failed = output("Failed to find context in src/app.py")
    called = {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Update File: app.py"}
    begun = applied({"/w/a": UPDATE}, type="patch_apply_begin")
    refused = applied({"/w/a": UPDATE}, success=False, status="failed")
    lines = [*map(line, (said, failed, called)), line(begun, "event_msg")]
    assert changes(tmp_path, *lines, line(refused, "event_msg")) == []


def test_a_patch_that_failed_has_changed_nothing_though_a_later_one_did(tmp_path: Path) -> None:
    refused = line(applied({"/w/src/app.py": UPDATE}, success=False, status="failed"), "event_msg")
    found = changes(tmp_path, refused, line(output("no")), line(output(DONE, "d")))
    assert told(found) == [("src/app.py", "changed"), ("docs/New page.md", "added")]


@pytest.mark.parametrize(
    "changed",
    [
        {"/w/a": {"add": {"content": "x"}}, "/w/b": {"update": {"unified_diff": DIFF}}},
        {"/w/a": {"type": "add", "content": "x"}, "/w/b": UPDATE},
    ],
)
def test_changes_are_read_as_older_versions_have_them(tmp_path: Path, changed: object) -> None:
    found = changes(tmp_path, line(applied(changed), "event_msg"))
    assert told(found) == [("/w/a", "added"), ("/w/b", "changed")]
    assert [patch.diff for patch in patches(tmp_path, found)] == ["+x", DIFF]


@pytest.mark.parametrize("changed", [{}, {"/w/a": None}, {"/w/a": {"type": 1}}, [], "x", 3])
def test_odd_changes_are_no_error(tmp_path: Path, changed: object) -> None:
    found = changes(tmp_path, line(applied(changed), "event_msg"))
    assert [patch.diff for patch in patches(tmp_path, found)] in ([], [None])


# -- what is another thread's ------------------------------------------------------------------


def turn(turn_id: str) -> str:
    return line({"type": "task_started", "turn_id": turn_id}, "event_msg")


def test_what_a_fork_was_given_is_its_parents(tmp_path: Path) -> None:
    older, newer = "01a1d076-0000-7000-8000-000000000001", "01a1d077-0000-7000-8000-000000000001"
    copied = line(applied({"/w/a": UPDATE}), "event_msg"), line(output(DONE))
    own = line(applied({"/w/b": UPDATE}, "d"), "event_msg")
    parent = line({"id": older, "cwd": "/w"}, "session_meta")
    lines = meta(forked_from_id=older), parent, turn(older), *copied
    assert changes(tmp_path, *lines) == []
    assert told(changes(tmp_path, *lines, turn(newer), own)) == [("/w/b", "changed")]
    assert told(changes(tmp_path, meta(), *copied, own))[0] == ("/w/a", "changed")


def test_what_a_subagent_was_given_is_its_parents(tmp_path: Path) -> None:
    begin = meta(history_mode="paginated", subagent_history_start_ordinal=3)
    lines = [
        line(applied({f"/w/{number}": UPDATE}, str(number)), "event_msg", ordinal=number)
        for number in range(1, 5)
    ]
    assert told(changes(tmp_path, begin, *lines)) == [("/w/3", "changed"), ("/w/4", "changed")]


# -- the patches -------------------------------------------------------------------------------

PATCH = (
    "*** Begin Patch\n*** Update File: src/app.py\n@@\n-old\n+new\n"
    "*** Add File: docs/New page.md\n+# New\n*** End Patch"
)


@pytest.mark.parametrize(
    "call",
    [
        {"type": "custom_tool_call", "name": "apply_patch", "input": PATCH},
        {"type": "function_call", "name": "apply_patch", "arguments": json.dumps({"input": PATCH})},
        {
            "type": "function_call",
            "name": "shell",
            "arguments": json.dumps({"command": ["bash", "-lc", f"apply_patch <<'E'\n{PATCH}\nE"]}),
        },
    ],
)
def test_a_patch_without_an_event_is_in_its_call(tmp_path: Path, call: dict[str, Any]) -> None:
    found = changes(tmp_path, line({**call, "call_id": "c"}), line(output(DONE)))
    assert [(patch.path, patch.diff) for patch in patches(tmp_path, found)] == [
        ("src/app.py", "@@\n-old\n+new"),
        ("docs/New page.md", "+# New"),
    ]


def test_a_patch_that_is_not_there_any_more_is_left_out(tmp_path: Path) -> None:
    found = changes(tmp_path, meta(), line(applied({"/w/a": UPDATE}), "event_msg"))
    assert len(patches(tmp_path, found)) == 1
    (tmp_path / NAME).write_text(meta() + line(applied({"/w/b": UPDATE}), "event_msg"))
    assert patches(tmp_path, found) == []
    (tmp_path / NAME).write_text("x" * 40)
    assert patches(tmp_path, found) == []
    (tmp_path / NAME).unlink()
    assert patches(tmp_path, found) == []


def test_an_output_whose_call_is_missing_has_no_patch(tmp_path: Path) -> None:
    found = changes(tmp_path, line(output(DONE)))
    assert [patch.diff for patch in patches(tmp_path, found)] == [None, None]


# -- files as a whole and in parts -------------------------------------------------------------

TALK = line({"type": "message", "role": "assistant", "content": []})
LINES = [
    TALK,
    line(output("x" * 3_000)),
    line(output(DONE)),
    line(output("y" * 700 + DONE, "d")),
    line(applied({"/w/src/app.py": UPDATE, "/w/docs/New page.md": UPDATE}), "event_msg"),
    line(applied({"/w/a": UPDATE}, "e", success=False), "event_msg"),
    "\n",
    "no object, but Success. Updated the following files:\n",
]


@given(st.lists(st.sampled_from(LINES), max_size=12), st.integers(512, 2_000))
def test_marked_lines_are_those_that_hold_the_mark(lines: list[str], buffer_bytes: int) -> None:
    """Whatever fits into the buffer, and wherever it ends."""
    data = "".join(lines).encode()
    mark = b"Success. Updated the following files:"
    found: list[tuple[int, bytes | None]] = []

    def take(each: Line) -> None:
        found.append((each.offset, bytes(each.data) or None))

    rollout = MemoryRollout.named(NAME)
    rollout.content = bytearray(data)
    reader = LineReader(buffer_bytes)
    reader.marked = MarkedLines(mark, take)
    expected, offset = [], 0
    for each in data.splitlines():
        if mark in each:
            expected.append((offset, each))
        offset += len(each) + 1
    for needs in (None, Skipping(_EVERY)):
        found.clear()
        with open_rollout(rollout) as stream:
            assert len([*reader.lines(stream, 0, needs)]) >= 0
        assert [at for at, _ in found] == [at for at, _ in expected]
        for (_, given_data), (_, each) in zip(found, expected, strict=True):
            assert given_data == each or (given_data is None and len(each) >= buffer_bytes / 2)


_EVERY = re.compile(rb"\{")


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=10), st.data())
def test_a_pass_that_goes_on_finds_what_one_pass_does(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], data: st.DataObject
) -> None:
    home = tmp_path_factory.getbasetemp() / f"{zlib.crc32(''.join(lines).encode()):x}"
    home.mkdir(exist_ok=True)
    begin = [meta(), turn("01a1d077-0000-7000-8000-000000000001")]
    lines = [each for each in lines if each != LINES[-1]]
    cut = data.draw(st.integers(0, len(lines)))
    whole = changes(home, *begin, *lines)
    changes(home, *begin, *lines[:cut])
    first = read_thread_messages(home, NAME, lambda _: None)
    assert first.resume.guard
    with (home / NAME).open("a") as file:
        file.write("".join(lines[cut:]))
    state = json.loads(json.dumps(first.state))
    earlier = EarlierMessages(first.resume, first.mode, first.files, state, frozenset(), 0)
    then = read_thread_messages(home, NAME, lambda _: None, earlier)
    assert then.added
    assert [*first.changes, *then.changes] == whole
    assert changes_in(home, [NAME], first.resume.end).changes == [*first.changes]


def test_a_line_longer_than_the_buffer_is_read_again(tmp_path: Path) -> None:
    long = line(output("z" * 400_000 + DONE))
    assert told(changes(tmp_path, TALK, long, TALK)) == [
        ("src/app.py", "changed"),
        ("docs/New page.md", "added"),
    ]


def test_a_line_that_has_not_ended_may_still_grow(tmp_path: Path) -> None:
    assert changes(tmp_path, meta(), line(output(DONE)).removesuffix("\n")) == []


def test_noise_has_no_changes(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\0\n" + DONE.encode() + b"{" * 1000)
    assert changes_in(tmp_path, [NAME]).changes == []
    with pytest.raises(OSError, match="gone"):
        changes_in(tmp_path, ["gone.jsonl"])
