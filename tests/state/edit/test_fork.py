"""Forks: what they begin with, where they are cut, and what is refused."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import DamagedCompression, HistoryIncomplete, TurnNotFound, TurnUnfinished
from rollout.files.scan import scan_home
from rollout.files.writer_lock import WriterLock
from rollout.history.fork_points import LegacyForkPoints, PaginatedForkPoints
from rollout.history.item_refs import Place
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.reader import LineReader, RolloutStream, open_rollout
from rollout.metadata.session_index import append_name, read_names
from rollout.writing.fork import Cut, plan_fork, write_fork
from rollout.writing.new_thread import NewThread
from state.edit.fork import Forked, fork_thread
from state.errors import ThreadArchived, ThreadNotFound, UnsupportedHistory
from state.thread_index import open_index
from tests.samples.rollouts import (
    CORPUS,
    FOREIGN_ID,
    THREAD_ID,
    encode,
    rollout_path,
    write_rollout,
)

Record = dict[str, Any]


def lines_of(path: Path) -> list[Record]:
    """Every line that can be read, with the byte behind it under a key of its own."""
    found = []
    with open_rollout(path) as stream:
        for line in LineReader().lines(stream):
            value = parse_line(line) if isinstance(line, Line) else None
            if isinstance(line, Line) and value is not None and not isinstance(value, BadLine):
                found.append(value | {"behind": line.offset + len(line.data) + 1})
    return found


def file_of(home: Path, rollout_id: str) -> Path | None:
    """A base is found by the rollout id in its name."""
    found = sorted(home.glob(f"*/**/*{rollout_id}.jsonl*"))
    return found[0] if found else None


def history(home: Path, path: Path) -> list[Record]:
    """What a paginated thread holds: its base below the cut, then its own lines."""
    own = lines_of(path)
    meta = next(line["payload"] for line in own if line["type"] == "session_meta")
    spliced: list[Record] = []
    if base := meta.get("history_base"):
        held = file_of(home, base["thread_id"])
        assert held is not None
        spliced = [r for r in history(home, held) if r["ordinal"] < base["end_ordinal_exclusive"]]
        assert spliced[-1]["behind"] == base["end_byte_offset"]
        assert spliced[-1]["ordinal"] == base["end_ordinal_exclusive"] - 1
    for line in own:
        last = spliced[-1]["ordinal"] if spliced else -1
        if isinstance(line.get("ordinal"), int) and line["ordinal"] > last:
            spliced.append(line)
    return spliced


def plain(lines: list[Record]) -> list[Record]:
    return [{key: value for key, value in line.items() if key != "behind"} for line in lines]


def turn_ids(lines: list[Record], mode: str) -> list[str]:
    turns = LegacyForkPoints() if mode == "legacy" else PaginatedForkPoints()
    for number, line in enumerate(lines):
        turns.take(line, Place(0, number, 0), Place(0, number + 1, 0))
    return [turn.id for turn in turns.turns]


def new_thread(mode: str, source: str = THREAD_ID) -> NewThread:
    return NewThread(
        cwd="/w",
        originator="tests",
        cli_version="0.169.0",
        source="cli",
        history_mode=mode,
        forked_from_id=source,
    )


def forked(home: Path, path: Path, mode: str, **cut: str) -> Path:
    """A fork of the rollout at ``path``, on the disk."""
    thread = new_thread(mode)
    fork = plan_fork(path, thread, Cut(**cut), lambda id_: file_of(home, id_))
    target = home / "sessions/2026/11/21" / f"rollout-2026-11-21T00-00-00-{thread.id}.jsonl"
    write_fork(fork, target, None)
    return target


def corpus_threads(home: Path) -> Iterator[tuple[Path, str]]:
    for file in scan_home(home):
        path = home / file.path
        try:
            lines = lines_of(path)
        except DamagedCompression:
            continue  # refused, which is another test
        metas = [line for line in lines if line.get("type") == "session_meta"]
        mode = metas[0]["payload"].get("history_mode", "legacy") if metas else ""
        if mode in ("legacy", "paginated"):
            yield path, mode


def test_every_thread_of_the_corpus_forks_at_every_turn(tmp_path: Path) -> None:
    home = shutil.copytree(CORPUS, tmp_path / "home")
    count = 0
    for path, mode in list(corpus_threads(home)):
        whole = lines_of(path) if mode == "legacy" else history(home, path)
        ids = turn_ids(whole, mode)
        check_fork(home, path, mode, whole, forked(home, path, mode))
        count += 1
        if len(set(ids)) < len(ids):
            continue
        for number, id_ in enumerate(ids):
            fork = forked(home, path, mode, before=id_)
            check_fork(home, path, mode, whole, fork, ids[:number])
            count += 1
    assert count > 400


def read_some(stream: RolloutStream) -> bytes:
    buffer = bytearray(65536)
    return bytes(buffer[: stream.readinto(memoryview(buffer)) or 0])


def check_fork(
    home: Path,
    path: Path,
    mode: str,
    whole: list[Record],
    fork: Path,
    ids: list[str] | None = None,
) -> None:
    """The fork begins as the source does, and has just these turns."""
    own = lines_of(fork)
    first = own[0]["payload"]
    assert first["id"] == fork.name[-42:-6]
    assert (first["forked_from_id"], first["history_mode"]) == (THREAD_ID, mode)
    if mode == "legacy":
        begun = fork.read_bytes().partition(b"\n")[2]
        with open_rollout(path) as stream:
            content = b"".join(iter(lambda: read_some(stream), b""))
        lines = zip(begun.splitlines(True), content.splitlines(True), strict=False)
        left = begun[sum(len(line) for line, other in lines if line == other) :]
        # What is said to a turn that was cut off, in two lines.
        assert left.strip() == b"" or left.strip().count(b"\n") == 1
        found = turn_ids(plain(own)[1:], mode)
    else:
        ordinals = [line["ordinal"] for line in own]
        assert ordinals == list(range(ordinals[0], ordinals[0] + len(own)))
        spliced = plain(history(home, fork))
        inherited = len(spliced) - len(own)
        assert spliced[:inherited] == plain(whole)[:inherited]
        found = turn_ids(spliced, mode)
    if ids is not None:
        assert found == ids
    elif mode == "paginated" and found:
        assert found == turn_ids(whole, mode)


def event(kind: str, ordinal: int | None = None, **payload: Any) -> dict[str, Any]:
    line = {"timestamp": "2026-10-15T07:00:08.296Z"}
    numbered: dict[str, Any] = {} if ordinal is None else {"ordinal": ordinal}
    return line | numbered | {"type": "event_msg", "payload": {"type": kind, **payload}}


def first(id_: str = THREAD_ID, ordinal: int | None = None, **more: Any) -> dict[str, Any]:
    payload = {"id": id_, "timestamp": "2026-10-15T07:00:00.000Z", "cwd": "/w"}
    payload |= {"originator": "o", "cli_version": "0.169.0", "source": "cli", **more}
    line: dict[str, Any] = {"timestamp": "2026-10-15T07:00:00.000Z"}
    line |= {} if ordinal is None else {"ordinal": ordinal}
    return line | {"type": "session_meta", "payload": payload}


def two_turns(*, paginated: bool, finished: bool = True) -> list[dict[str, Any]]:
    number = iter(range(100))

    def next_() -> int | None:
        return next(number) if paginated else None

    lines = [first(ordinal=next_(), history_mode="paginated" if paginated else "legacy")]
    for id_ in ("turn-1", "turn-2"):
        lines.append(event("task_started", next_(), turn_id=id_, root_turn_id=id_, started_at=5))
        lines.append(event("user_message", next_(), message=f"ask {id_}", odd={"kept": 1}))
        lines.append(event("task_complete", next_(), turn_id=id_))
        lines.append(
            event("thread_settings_applied", next_(), thread_id=THREAD_ID, thread_settings={"n": 1})
        )
    return lines if finished else lines[:-2]


@pytest.mark.parametrize("paginated", [False, True])
def test_a_cut_at_a_turn_is_where_codex_cuts(home: Path, paginated: bool) -> None:
    lines = two_turns(paginated=paginated)
    path = home / write_rollout(home, lines)
    mode = "paginated" if paginated else "legacy"
    # Legacy: where the next turn begins. Paginated: behind the line that ends the turn.
    through, before, none = (
        lines_of(forked(home, path, mode, **cut))
        for cut in ({"through": "turn-1"}, {"before": "turn-2"}, {"before": "turn-1"})
    )
    if not paginated:
        assert plain(through)[1:] == plain(before)[1:] == lines[:5]
        assert plain(none)[1:] == lines[:1]
        return
    ends = [line["behind"] for line in lines_of(path)]
    for fork, ordinal in ((through, 4), (before, 5)):
        base = fork[0]["payload"]["history_base"]
        assert base == {
            "thread_id": THREAD_ID,
            "end_ordinal_exclusive": ordinal,
            "end_byte_offset": ends[ordinal - 1],
        }
        assert fork[0]["ordinal"] == fork[0]["payload"]["forked_from_ordinal_exclusive"] == ordinal
    assert "history_base" not in none[0]["payload"]
    assert [line["ordinal"] for line in none] == [0, 1]
    assert before[1]["payload"]["thread_id"] == before[0]["payload"]["id"]


@pytest.mark.parametrize("paginated", [False, True])
def test_a_turn_that_is_cut_off_is_told_so(home: Path, paginated: bool) -> None:
    path = home / write_rollout(home, two_turns(paginated=paginated, finished=False))
    mode = "paginated" if paginated else "legacy"
    *_, words, end = lines_of(forked(home, path, mode))
    assert words["payload"]["content"][0]["text"].startswith("<turn_aborted>")
    aborted = {"type": "turn_aborted", "root_turn_id": "turn-2", "turn_id": "turn-2"}
    assert end["payload"] == aborted | {"started_at": 5, "reason": "interrupted"}
    with pytest.raises(TurnUnfinished):
        forked(home, path, mode, through="turn-2")
    whole = lines_of(forked(home, path, mode, through="turn-1"))
    assert "turn_aborted" not in json.dumps(whole)


def test_a_turn_that_is_not_there_or_was_rolled_back_is_refused(home: Path) -> None:
    lines = [*two_turns(paginated=False), event("thread_rolled_back", num_turns=1)]
    path = home / write_rollout(home, lines)
    for id_ in ("turn-2", "turn-3", "rollout-1"):
        with pytest.raises(TurnNotFound):
            forked(home, path, "legacy", through=id_)


def test_a_turn_without_an_id_goes_with_what_was_sent_with_it(home: Path) -> None:
    def message(text: str) -> dict[str, Any]:
        part = {"type": "input_text", "text": text}
        payload = {"type": "message", "role": "user", "content": [part]}
        return {"timestamp": "t", "type": "response_item", "payload": payload}

    lines = [first()]
    for text in ("a", "b"):
        lines += [message(text), event("user_message", message=text)]
        lines.append(event("agent_message", message=f"on {text}"))
    path = home / write_rollout(home, lines)
    assert plain(lines_of(forked(home, path, "legacy", before="rollout-5")))[1:] == lines[:4]
    assert plain(lines_of(forked(home, path, "legacy", through="rollout-2")))[1:] == lines[:4]


def test_damage_and_what_is_not_known_is_copied_byte_for_byte(home: Path) -> None:
    lines = [encode(line) for line in two_turns(paginated=False)]
    lines[3:3] = [b"{torn", b'\xff{"type": 1}', b"\0\0\0", b'{"type":"new_kind","x":[1,  2]}']
    data = b"\r\n".join(lines)  # and no newline at the end
    path = home / write_rollout(home, data)
    fork = forked(home, path, "legacy").read_bytes()
    assert fork.partition(b"\n")[2] == data + b"\n"
    path.write_bytes(data + b'\n{"timestamp":"now","ty')
    fork = forked(home, path, "legacy").read_bytes()
    assert fork.partition(b"\n")[2] == data + b"\n"


def test_a_compressed_source_is_read(home: Path) -> None:
    path = home / write_rollout(home, two_turns(paginated=False), rollout_path() + ".zst")
    fork = forked(home, path, "legacy", through="turn-1")
    assert plain(lines_of(fork))[1:] == two_turns(paginated=False)[:5]


def test_forks_of_forks_name_the_file_that_holds_the_cut(home: Path) -> None:
    path = home / write_rollout(home, two_turns(paginated=True))
    one = forked(home, path, "paginated")
    two = forked(home, one, "paginated", through="turn-1")
    base = lines_of(two)[0]["payload"]["history_base"]
    assert (base["thread_id"], base["end_ordinal_exclusive"]) == (THREAD_ID, 4)
    three = forked(home, one, "paginated")
    base = lines_of(three)[0]["payload"]["history_base"]
    assert base["thread_id"] == one.name[-42:-6]
    assert turn_ids(history(home, three), "paginated") == ["turn-1", "turn-2"]
    path.unlink()
    with pytest.raises(HistoryIncomplete, match="not here"):
        forked(home, three, "paginated")


def test_a_history_that_leads_back_to_itself_is_refused(home: Path) -> None:
    base = {"thread_id": THREAD_ID, "end_ordinal_exclusive": 3, "end_byte_offset": 9}
    line = first(ordinal=3, history_mode="paginated", history_base=base)
    path = home / write_rollout(home, [line])
    with pytest.raises(HistoryIncomplete, match="back to itself"):
        forked(home, path, "paginated")


def test_nothing_is_overwritten_and_nothing_left_behind(home: Path) -> None:
    path = home / write_rollout(home, two_turns(paginated=False))
    fork = plan_fork(path, new_thread("legacy"), Cut(), lambda _: None)
    target = home / "sessions" / "there.jsonl"
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_fork(fork, target, None)
    assert target.read_bytes() == b"mine"
    assert [file.name for file in target.parent.iterdir() if file.is_file()] == ["there.jsonl"]


def fork_it(home: Path, index_path: Path, reference: str, **cut: Any) -> tuple[Forked, Any, Any]:
    """A fork, its row, and the row when the index is made anew."""

    async def work() -> tuple[Forked, Any, Any]:
        async with open_index(home, index_path) as index:
            await index.sync()
            fork = await fork_thread(index, reference, **cut)
            row = await index.details(fork.thread_id)
            assert not await index.pending()
        async with open_index(home, index_path.with_name("other.sqlite3")) as index:
            await index.sync()
            return fork, row, await index.details(fork.thread_id)

    return asyncio.run(work())


@pytest.mark.parametrize("paginated", [False, True])
def test_a_fork_is_a_thread_with_a_name_and_a_row(
    home: Path, index_path: Path, paginated: bool
) -> None:
    source = write_rollout(home, two_turns(paginated=paginated))
    before = (home / source).read_bytes()
    append_name(home, THREAD_ID, "the name")
    fork, row, anew = fork_it(home, index_path, THREAD_ID, last_turn="turn-1")
    assert (fork.name, row["name"], fork.indexed) == ("the name", "the name", True)
    assert (row["id"], row["forked_from_id"]) == (fork.thread_id, THREAD_ID)
    assert row["preview"] == "ask turn-1"
    assert {**row, "row_id": 0} == {**anew, "row_id": 0}
    assert (home / source).read_bytes() == before
    with WriterLock.acquire(home, fork.thread_id):
        assert (home / fork.path).is_file()


@pytest.mark.parametrize("cwd", ["", "C:\\work", "relative", "/a\0b"])
def test_a_fork_says_of_folder_and_provider_what_its_source_says(
    home: Path, index_path: Path, cwd: str
) -> None:
    lines = two_turns(paginated=False)
    lines[0]["payload"]["cwd"] = cwd
    assert "model_provider" not in lines[0]["payload"]
    write_rollout(home, lines)
    (home / "config.toml").write_text('model_provider = "mine"\n')
    fork, row, _ = fork_it(home, index_path, THREAD_ID)
    assert (row["model_provider"], row["cwd"]) == ("mine", cwd)
    told = json.loads((home / fork.path).read_bytes().splitlines()[0])["payload"]
    assert told["cwd"] == cwd
    assert "model_provider" not in told


def test_a_paginated_fork_without_a_name_is_called_like_its_source_begins(
    home: Path, index_path: Path
) -> None:
    lines = two_turns(paginated=True)
    write_rollout(home, lines)
    fork, row, _ = fork_it(home, index_path, THREAD_ID)
    assert fork.name == row["name"] == "ask turn-1"
    assert read_names(home)[fork.thread_id].name == "ask turn-1"


def test_git_facts_are_those_of_now_without_credentials(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    for words in (
        ["init", "-q", "-b", "trunk", str(folder)],
        ["-C", str(folder), "remote", "add", "origin", "https://me:secret@host.invalid/x.git"],
    ):
        subprocess.run(["git", *words], check=True)
    write_rollout(home, [first(cwd=str(folder)), *two_turns(paginated=False)[1:]])
    _, row, _ = fork_it(home, index_path, THREAD_ID)
    assert (row["git_branch"], row["git_origin_url"]) == ("trunk", "https://host.invalid/x.git")


@pytest.mark.parametrize(
    ("mode", "archived", "error"),
    [
        ("legacy", True, ThreadArchived),
        ("lunar", False, UnsupportedHistory),
        (None, False, UnsupportedHistory),
    ],
)
def test_what_codex_would_not_fork_is_refused_and_nothing_changes(
    home: Path, index_path: Path, mode: str | None, archived: bool, error: type[Exception]
) -> None:
    lines = [first(history_mode=mode), *two_turns(paginated=False)[1:]]
    write_rollout(home, lines, rollout_path(archived=archived))
    before = sorted(home.rglob("*"))
    with pytest.raises(error):
        fork_it(home, index_path, THREAD_ID)
    with pytest.raises(ThreadNotFound):
        fork_it(home, index_path, FOREIGN_ID)
    assert sorted(home.rglob("*")) == before
