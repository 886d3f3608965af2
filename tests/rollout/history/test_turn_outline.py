"""The outline of a turn: files that were changed, commands that failed, the prompt, tokens."""

from pathlib import Path
from typing import Any

import pytest

import rollout.history.turn_outline
from rollout.errors import RolloutError
from rollout.history.transcript import Transcript, open_transcript
from rollout.history.turn_outline import (
    LONGEST,
    FailedCommand,
    OutlinePass,
    TurnOutline,
    prompt_of,
    turn_outline,
)
from rollout.items.patches import ChangedFile, files_of_changes, files_of_patch, merged
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.usage.copies import usage_of_copies
from tests.rollout.history.tool_lines import (
    FREEFORM,
    PATCH,
    SCRIPT,
    Fields,
    custom,
    function,
    gave,
    lines_of,
)
from tests.samples.histories import numbered, recorded, rollouts_by_id, spell
from tests.samples.homes import thread_id
from tests.samples.long_threads import content, head, nobody, put, said
from tests.samples.rollouts import CORPUS, event, response, user
from tests.support.each import each
from tests.support.effort import sample


def outlines(path: Path) -> list[TurnOutline]:
    """The outlines of all turns of the thread in one file, by a pass over it."""
    with open_transcript(path, nobody) as transcript:
        return [found for _, found in OutlinePass(transcript).outlines()]


def outline(home: Path, mode: str, *lines: Fields) -> TurnOutline:
    """The outline of a turn with these lines."""
    (found,) = outlines(put(home, 1, lines_of(mode, [*lines])))
    return found


def one_by_one(transcript: Transcript) -> list[TurnOutline]:
    """The outlines of all turns, each made of all that is in the turn; without tokens."""
    return [
        turn_outline(transcript.entries(number), prompt_of(transcript.beginning(number)))
        for number in range(len(transcript.turns))
    ]


def test_a_pass_over_real_files_finds_what_is_in_their_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_id = rollouts_by_id(CORPUS)

    def finds_the_same(path: Path) -> None:
        try:
            transcript = open_transcript(path, by_id.get)
        except RolloutError:
            return
        with transcript:
            right = one_by_one(transcript)
            for most in 10_000, 1:  # lines that are kept; of the others each is read again
                monkeypatch.setattr(rollout.history.turn_outline, "_MOST_LINES", most)
                first = OutlinePass(transcript)
                found = [each for _, each in first.outlines()]
                assert [each._replace(tokens=None) for each in found] == right
                assert [TurnOutline.load(*each.dump()) for each in found] == found
            if not found:
                return
            last = len(found) - 1
            for begin in {0, last // 2, last}:
                again = OutlinePass(transcript, mark=first.mark)
                assert [each for _, each in again.outlines(begin)] == found[begin:]
            only = OutlinePass(transcript).outlines(0, {last})
            assert [*only] == [(last, found[last])]

    each(sample(by_id.values()), finds_the_same)


def test_the_turns_of_a_thread_used_what_the_thread_did() -> None:
    by_id = rollouts_by_id(CORPUS)
    equal = 0

    def used_as_much(path: Path) -> None:
        nonlocal equal
        try:
            transcript = open_transcript(path, by_id.get)
        except RolloutError:
            return
        with transcript:
            told = sum(found.tokens or 0 for _, found in OutlinePass(transcript).outlines())
            files = [part.path for part in transcript.parts]
        used = usage_of_copies(CORPUS, [path.relative_to(CORPUS).as_posix()]).rows.values()
        of_thread = sum(sums.total for sums in used)
        if "thread_rolled_back" in str(path.read_bytes()) or len(files) > 1:
            return  # what was taken back was used, too; and other files may be the thread's
        assert told == of_thread
        equal += told > 0

    paths = [path for path in by_id.values() if path.suffix == ".jsonl"]
    each(paths, used_as_much)
    assert equal > 50


def test_turns_of_a_reverted_thread_used_what_they_did_and_those_of_a_base_nothing(
    tmp_path: Path,
) -> None:
    base = put(tmp_path, 1, spell(numbered([head(1, PAGINATED), *told_turns(1, 0, 3)])))
    lines = base.read_bytes().splitlines(keepends=True)
    cut = next(at for at, line in enumerate(lines) if b'"turn 2"' in line)
    place = {"thread_id": thread_id(1), "end_ordinal_exclusive": cut}
    place["end_byte_offset"] = sum(map(len, lines[:cut]))
    for number, used in (1, [100, 200, 300]), (2, [None, None, 300]):
        first = head(number, PAGINATED, history_base=place)
        own = spell(numbered([first, *told_turns(number, 2, 1, before=300)], cut))
        path = put(tmp_path, number, own, segment=9)
        with open_transcript(path, {thread_id(1): base}.get) as transcript:
            found = [each.tokens for _, each in OutlinePass(transcript).outlines()]
        assert found == used


def told_turns(number: int, first: int, count: int, before: int = 0) -> list[Fields]:
    """Turns of a paginated thread, of which each uses 100 tokens more than the one before."""
    lines: list[Fields] = []
    for at in range(first, first + count):
        used = 100 * (at + 1)
        before += used
        info = {"total_token_usage": counts(before), "last_token_usage": counts(used)}
        lines += [
            event("task_started", turn_id=f"turn {at}"),
            event("token_count", info=info),
            event("task_complete", turn_id=f"turn {at}"),
        ]
    return lines


def counts(tokens: int) -> Fields:
    return {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}


def test_codex_says_the_same_of_files_and_exit_codes() -> None:
    by_id = rollouts_by_id(CORPUS)
    seen = 0

    def said_the_same(id_: str) -> None:
        nonlocal seen
        kind = "read" if id_ in recorded()["read"] else "projected_read"
        name = recorded()[kind][id_]["path"]
        (path,) = (path for path in (CORPUS / name, CORPUS / f"{name}.zst") if path.exists())
        with open_transcript(path, by_id.get) as transcript:
            found = {
                transcript.turns[at].id: told for at, told in OutlinePass(transcript).outlines()
            }
        # Of a history in several files, Codex has projected only the last one.
        for turn in recorded()["read" if kind == "read" else "projected_turns"][id_]["data"]:
            ours = found[turn["id"]]
            of_codex = turn_outline((item, False) for item in turn["items"])
            assert set(ours.failures) >= set(of_codex.failures)
            if kind != "read":  # in legacy threads Codex shows no command
                assert ours.files == of_codex.files
                commands = [each for each in ours.failures if "patch" not in each.command]
                assert commands == [*of_codex.failures]
            seen += len(of_codex.files) + len(of_codex.failures)

    each([*recorded()["read"], *recorded()["projected_turns"]], said_the_same)
    assert seen > 5


CHANGED = ChangedFile("run.sh", "added", 1)
NOT_FOUND = "apply_patch verification failed"
FILES: dict[str, tuple[list[Fields], TurnOutline]] = {
    "a patch": (
        [custom("apply_patch", PATCH), gave("Success. Updated")],
        TurnOutline("", (CHANGED,)),
    ),
    "a patch by a command": (
        [
            function("shell", {"command": ["bash", "-lc", SCRIPT]}),
            gave('{"output":"Success","metadata":{"exit_code":0}}'),
        ],
        TurnOutline("", (CHANGED,)),
    ),
    "a patch that failed": (
        [custom("apply_patch", PATCH), gave(NOT_FOUND, kind="custom_tool_call_output")],
        TurnOutline("", (), (FailedCommand("apply_patch run.sh"),)),
    ),
    "a patch that failed with an exit code": (
        [function("shell", {"command": ["apply_patch", PATCH]}), gave(FREEFORM)],
        TurnOutline("", (), (FailedCommand("apply_patch run.sh", 3),)),
    ),
    "a patch without an end": ([custom("apply_patch", PATCH)], TurnOutline("")),
    "a command that failed": (
        [function("exec_command", {"cmd": "make\n  all"}), gave(FREEFORM)],
        TurnOutline("", (), (FailedCommand("make all", 3),)),
    ),
    "a command that ran": (
        [function("exec_command", {"cmd": "make"}), gave(FREEFORM.replace("code: 3", "code: 0"))],
        TurnOutline(""),
    ),
    "a command that prints the end of another": (
        [function("exec_command", {"cmd": "make"}), gave("x" * 600 + FREEFORM)],
        TurnOutline(""),
    ),
    "a long output": (
        [
            function("shell", {"command": ["make"]}),
            gave(f'{{"output":"{"x" * 9000}","metadata":{{"exit_code":2}}}}'),
        ],
        TurnOutline("", (), (FailedCommand("make", 2),)),
    ),
    "a command without an end": ([function("exec_command", {"cmd": "make"})], TurnOutline("")),
    "a tool that failed": (
        [function("look", {}), gave('{"content":"no","success":false}')],
        TurnOutline(""),
    ),
}


@pytest.mark.parametrize("mode", [LEGACY, PAGINATED])
@pytest.mark.parametrize("name", FILES)
def test_calls_without_an_item_tell_of_files_and_failures(
    name: str, mode: str, tmp_path: Path
) -> None:
    lines, expected = FILES[name]
    assert outline(tmp_path, mode, *lines)._replace(prompt="") == expected


def done(kind: str, **fields: Any) -> Fields:
    return said(1, "t", kind, **fields)


def command_item(id_: str, status: str, **fields: Any) -> Fields:
    facts = {"cwd": "file:///w", "parsed_cmd": [], "source": "agent", "status": status}
    return done("CommandExecution", id=id_, command=["bash", "-lc", "make"], **facts, **fields)


def patch_item(id_: str, status: str | None, changes: Fields) -> Fields:
    return done("FileChange", id=id_, changes=changes, **({"status": status} if status else {}))


UPDATE = {"type": "update", "unified_diff": "@@ -1,2 +1,2 @@\n-a\n-b\n+c\n d\n"}


def test_items_tell_of_files_and_failures(tmp_path: Path) -> None:
    found = outline(
        tmp_path,
        PAGINATED,
        command_item("c1", "completed", exit_code=0),
        command_item("c2", "failed", exit_code=2),
        command_item("c3", "declined"),
        command_item("c4", "in_progress"),
        patch_item("p1", "completed", {"/a": UPDATE, "/b": {"type": "add", "content": "x\ny"}}),
        patch_item("p2", "completed", {"/b": UPDATE | {"move_path": "/c"}}),
        patch_item("p3", "failed", {"/d": UPDATE}),
        patch_item("p4", "declined", {"/d": {"type": "delete", "content": "x\n"}}),
        patch_item("p5", None, {"/e": UPDATE}),
        patch_item("p6", "completed", {"/f": {"type": "delete", "content": "x\n"}}),
    )
    assert found == TurnOutline(
        "do it",
        (
            ChangedFile("/a", "changed", 1, 2),
            ChangedFile("/c", "added", 3, 2),
            ChangedFile("/f", "deleted", 0, 1),
        ),
        (
            FailedCommand("make", 2),
            FailedCommand("make"),
            FailedCommand("apply_patch /d"),
            FailedCommand("apply_patch /d"),
        ),
    )


def test_what_several_patches_did_to_a_file_is_told_once() -> None:
    changed, gone = ChangedFile("a", "changed", 1, 2), ChangedFile("a", "deleted", 0, 3)
    added, moved = ChangedFile("a", "added", 4), ChangedFile("b", "moved", 1, 1, "a")
    assert merged([changed, changed]) == (ChangedFile("a", "changed", 2, 4),)
    assert merged([added, changed]) == (ChangedFile("a", "added", 5, 2),)
    assert merged([added, gone]) == (ChangedFile("a", "deleted", 4, 3),)
    assert merged([gone, added]) == (ChangedFile("a", "changed", 4, 3),)
    assert merged([added, moved]) == (ChangedFile("b", "added", 5, 1),)
    assert merged([moved, changed._replace(path="b")]) == (ChangedFile("b", "moved", 2, 3, "a"),)
    assert merged([moved, ChangedFile("c", "moved", 0, 0, "b")]) == (
        ChangedFile("c", "moved", 1, 1, "a"),
    )


def test_a_patch_and_a_diff_are_counted_line_by_line() -> None:
    text = (
        "*** Begin Patch\n*** Update File: a b.py\r\n*** Move to: c.py\n@@\n--- x\n+++ y\n z\n"
        "*** Delete File: d\n*** Add File: e\n+\n+1\n*** End Patch"
    )
    assert [*files_of_patch(text)] == [
        ChangedFile("c.py", "moved", 1, 1, "a b.py"),
        ChangedFile("d", "deleted"),
        ChangedFile("e", "added", 2),
    ]
    kind = {"type": "update", "move_path": None}
    for diff in "@@ -1 +1 @@\n--- x\n+++ y\n", "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n":
        change = {"path": "a", "kind": kind, "diff": diff}
        assert [*files_of_changes([change])] == [ChangedFile("a", "changed", 1, 1)]


def test_a_prompt_is_one_line_of_what_the_user_wrote(tmp_path: Path) -> None:
    def prompt(*lines: Fields) -> str:
        begin, end = event("task_started", turn_id="t"), event("task_complete", turn_id="t")
        path = put(tmp_path, 1, spell([head(1, LEGACY), begin, *lines, end]))
        return outlines(path)[0].prompt

    assert prompt(user("# IDE\nfile\n## My request for Codex:\n\n  do   it \nnow")) == "do it"
    assert prompt(user(" ", images=["data:image/png;base64,AAAA"])) == "[image]"
    assert prompt(user("\x1b[31m\n\x1b[1mred\u202e")) == "red"
    huge = prompt(user("word " * 400_000))
    assert len(huge) <= LONGEST
    assert huge.startswith("word word")
    assert huge.endswith("…")
    assert prompt(event("context_compacted")) == "the history was compacted here"
    assert prompt(response("x")) == ""


def test_a_thread_of_the_first_versions_has_an_outline(tmp_path: Path) -> None:
    lines = [
        {"id": thread_id(1), "timestamp": "2025-08-10T09:00:00.123Z"},
        *(
            each["payload"]
            for each in (
                response("make it", "user"),
                function("shell", {"command": ["bash", "-lc", "make"]}),
                gave(FREEFORM),
                function("shell", {"command": ["bash", "-lc", SCRIPT]}, "d"),
                gave('{"output":"Success","metadata":{"exit_code":0}}', "d"),
            )
        ),
    ]
    found = outlines(put(tmp_path, 1, spell(lines)))
    assert found == [TurnOutline("make it", (CHANGED,), (FailedCommand("make", 3),))]


@pytest.mark.parametrize("mode", [LEGACY, PAGINATED])
def test_what_was_rolled_back_counts_nowhere(mode: str, tmp_path: Path) -> None:
    path = put(tmp_path, 1, content(1, mode, 2))
    before = outlines(path)
    failed = [function("exec_command", {"cmd": "make"}), gave(FREEFORM)]
    begin = event("task_started", turn_id="gone")
    more = [begin, user("no"), *failed, event("thread_rolled_back", num_turns=1)]
    data = path.read_bytes()
    if mode == PAGINATED:
        return
    path.write_bytes(data + spell(more))
    assert outlines(path) == before
