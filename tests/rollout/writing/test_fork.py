"""The file of a fork: what it begins with, where it is cut, and what is refused."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import DamagedCompression, HistoryIncomplete, TurnNotFound, TurnUnfinished
from rollout.files.scan import scan_home
from rollout.history.fork_points import LegacyForkPoints, PaginatedForkPoints
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.reader import LineReader, RolloutStream, open_rollout
from rollout.turns.item_refs import Position
from rollout.writing.fork import ForkPoint, plan_fork, write_fork
from rollout.writing.new_thread import NewThread
from tests.rollout.writing.forked import event, first, two_turns
from tests.samples.rollouts import (
    CORPUS,
    THREAD_ID,
    encode,
    rollout_path,
    write_rollout,
)
from tests.support.effort import is_full, sample

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
        turns.take(line, Position(0, number, 0), Position(0, number + 1, 0))
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


def forked(home: Path, path: Path, mode: str, **point: str) -> Path:
    """A fork of the rollout at ``path``, on the disk."""
    thread = new_thread(mode)
    fork = plan_fork(path, thread, ForkPoint(**point), lambda id_: file_of(home, id_))
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
    for path, mode in sample(corpus_threads(home)):
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
    assert count > (400 if is_full() else 40)


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


@pytest.mark.parametrize("paginated", [False, True])
def test_a_cut_at_a_turn_is_where_codex_cuts(home: Path, paginated: bool) -> None:
    lines = two_turns(paginated=paginated)
    path = home / write_rollout(home, lines)
    mode = "paginated" if paginated else "legacy"
    # Legacy: where the next turn begins. Paginated: behind the line that ends the turn.
    through, before, none = (
        lines_of(forked(home, path, mode, **point))
        for point in ({"through": "turn-1"}, {"before": "turn-2"}, {"before": "turn-1"})
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
def test_a_turn_that_is_cut_off_is_reported_so(home: Path, paginated: bool) -> None:
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
    fork = plan_fork(path, new_thread("legacy"), ForkPoint(), lambda _: None)
    target = home / "sessions" / "there.jsonl"
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_fork(fork, target, None)
    assert target.read_bytes() == b"mine"
    assert [file.name for file in target.parent.iterdir() if file.is_file()] == ["there.jsonl"]
