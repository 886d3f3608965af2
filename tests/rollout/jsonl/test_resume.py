"""Bytes that were changed in a part of a rollout that was read already, with as many others: a sync
notices what it can, the deep check finds all of it, and then everything is read again."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.jsonl import resume
from rollout.jsonl.resume import guard_of
from state.turns import checkpoint
from tests.samples.histories import numbered
from tests.samples.homes import encoded, thread_id
from tests.samples.long_threads import add, content, head, put, touch_later, turn_lines
from tests.samples.rollouts import event, response, user
from tests.support.command import Inside
from tests.support.effort import examples

OLD, NEW = b"swordfish", b"blackened"
SAMPLED = resume._BLOCK_BYTES * resume._MOST_BLOCKS
LATER = [event("user_message", message="said later")]


def guard(path: Path, end: int) -> str:
    with path.open("rb", buffering=0) as file:
        return guard_of(file, end)


def thread(cli: Inside, bulk: int) -> Path:
    """A legacy thread in which each kind of thing that is kept says the old word: its title, a
    message, the error of a turn. Each turn has so much besides."""
    lines = [head(1, "legacy"), user(f"my {OLD.decode()} one")]
    lines += turn_lines(1, "legacy", 30, bulk=bulk)
    for number in range(40, 70):
        error = {"message": f"refused {OLD.decode()} {number}", "codex_error_info": None}
        lines += [
            event("task_started", turn_id=f"turn {number}"),
            event("agent_message", message=f"the {OLD.decode()} of turn {number}"),
            response("x" * bulk),
            event("task_complete", turn_id=f"turn {number}", error=error),
        ]
    return put(cli.home, 1, encoded(lines))


def rewrite(path: Path, *, unseen: bool = False, append: bool = True) -> None:
    """Put the new word in the place of the old one; ``unseen``: only where no sample is taken."""
    old = path.read_bytes()
    before, changed = guard(path, len(old)), bytearray(old)
    at = old.find(OLD)
    while at >= 0:
        changed[at : at + len(OLD)] = NEW
        if unseen:
            with path.open("r+b") as file:
                file.write(changed)
            if guard(path, len(old)) != before:
                changed[at : at + len(OLD)] = OLD
        at = old.find(OLD, at + 1)
    assert NEW in changed
    with path.open("r+b") as file:  # in its place, as a program does that blanks out secrets
        file.write(changed)
    if append:
        add(path, LATER, "legacy")
    touch_later(path)


def hits(cli: Inside, word: bytes) -> int:
    ran = cli.run("search", word.decode(), "--all-sources", "--json", status=None)
    return sum(hit["matches"] for hit in ran.json["data"])


def known(cli: Inside) -> tuple[str, int, int, list[str]]:
    """The title, the hits of both words, and the errors of turns, as the index has them."""
    (listed,) = cli.run("list", "--json").json["data"]
    turns = cli.run("show", thread_id(1), "--json", "--last", "30").json["thread"]["turns"]
    errors = [turn["error"]["message"] for turn in turns if turn["error"]]
    return listed["preview"], hits(cli, OLD), hits(cli, NEW), errors


def truth(path: Path, cli: Inside) -> tuple[str, int, int, list[str]]:
    """The same from an index that was made just now."""
    fresh = Inside(cli.home, cli.base / "fresh")
    fresh.base.mkdir(exist_ok=True)
    fresh.run("backfill")
    return known(fresh)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.setattr(checkpoint, "AT_ONCE_BYTES", 0)  # so that the turns shown are kept ones
    return Inside(tmp_path / "home", tmp_path)


@pytest.mark.parametrize("append", [True, False])
def test_a_changed_middle_is_noticed_by_every_pass(cli: Inside, append: bool) -> None:
    path = thread(cli, bulk=4800)  # long enough for its turns to be kept
    before = known(cli)
    assert before[1:3] == (31, 0)
    rewrite(path, append=append)
    after = known(cli)
    assert after == truth(path, cli) != before
    assert (after[0], after[1]) == (before[0].replace("swordfish", "blackened"), 0)
    assert cli.run("verify", "--deep").out == ""


def test_other_bytes_of_the_same_number_are_noticed_by_the_time_alone(cli: Inside) -> None:
    path = thread(cli, bulk=40_000)
    assert path.stat().st_size > 4 * SAMPLED
    known(cli)
    rewrite(path, unseen=True, append=False)
    assert known(cli) == truth(path, cli)


def test_what_no_sample_shows_is_found_by_the_deep_check(cli: Inside) -> None:
    path = thread(cli, bulk=40_000)
    before = known(cli)
    rewrite(path, unseen=True)
    after = known(cli)
    assert (after[0], after[2]) == (before[0], 0)  # it cannot know
    assert cli.run("verify").out == ""
    findings = cli.run("verify", "--deep", "--json", status=1).json["findings"]
    assert {(each["code"], each["mend"]) for each in findings} >= {
        ("search_index_differs", "threadkeep repair --deep"),
        ("turns_differ", "threadkeep repair --deep"),
    }
    assert {each["threadId"] for each in findings} == {thread_id(1)}
    cli.run("repair", "--deep", "--apply")
    assert known(cli) == truth(path, cli)
    assert cli.run("verify", "--deep").out == ""


def test_a_forced_backfill_reads_all_of_a_file_that_has_grown(cli: Inside) -> None:
    path = thread(cli, bulk=40_000)
    known(cli)
    rewrite(path, unseen=True)
    cli.run("sync")
    cli.run("backfill", "--force")
    assert known(cli) == truth(path, cli)


def test_a_change_with_the_old_time_is_found_by_the_deep_check(cli: Inside) -> None:
    path = thread(cli, bulk=10)
    info = path.stat()
    before = known(cli)
    rewrite(path, append=False)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert known(cli)[0] == before[0]
    findings = cli.run("verify", "--deep", "--json", status=1).json["findings"]
    assert {each["code"] for each in findings} == {"column_differs", "search_index_differs"}
    cli.run("repair", "--deep", "--apply")
    assert known(cli) == truth(path, cli)


def test_a_changed_earlier_file_of_a_thread_is_noticed(cli: Inside) -> None:
    """A revert leaves several files: what was said in the first one is said in the thread."""
    first = put(cli.home, 1, content(1, "paginated", 3))
    whole = first.read_bytes()
    base = {
        "thread_id": thread_id(1),
        "end_ordinal_exclusive": whole.count(b"\n"),
        "end_byte_offset": len(whole),
    }
    second = put(cli.home, 1, b"", segment=2)
    lines = [head(1, "paginated", history_base=base)]
    lines += turn_lines(1, "paginated", 1, first=3)
    second.write_bytes(encoded(numbered(lines, whole.count(b"\n"))))
    assert hits(cli, b"question") == 4
    with first.open("r+b") as file:
        file.write(whole.replace(b"question 1", b"inquiry. 1"))
    touch_later(first)
    assert (hits(cli, b"question"), hits(cli, b"inquiry.")) == (3, 1)


@examples(25)
@given(st.integers(1, SAMPLED), st.data())
def test_every_byte_of_a_small_file_is_looked_at(
    tmp_path_factory: pytest.TempPathFactory, end: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(bytes(end))
    before = guard(path, end)
    with path.open("r+b") as file:
        file.seek(data.draw(st.integers(0, end - 1)))
        file.write(b"x")
    assert guard(path, end) != before


@examples(25)
@given(st.integers(SAMPLED + 1, 2**45), st.integers(1, 2**20))
def test_passes_that_ended_near_each_other_look_at_the_same_places(end: int, more: int) -> None:
    blocks, others = ([start for start, _ in resume._sample(at)] for at in (end, end + more))
    assert len(blocks) <= resume._MOST_BLOCKS + 1
    assert all(0 <= start < stop <= end for start, stop in resume._sample(end))
    assert blocks[-1] == end - resume._BLOCK_BYTES
    assert set(others[:-1]) <= {*blocks[:-1], *range(end, end + more)} or end + more >= 2 * end
