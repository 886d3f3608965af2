"""A damaged compressed rollout is shown as far as it can be read, with the place where it breaks
off: by commands, by the service, and by searches."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from rollout.errors import DamagedCompression
from rollout.history.thread import open_history
from rollout.jsonl.reader import open_rollout
from rollout.schema.modes import LEGACY, PAGINATED
from tests.samples.histories import first_line, numbered, rollouts_by_id, spell
from tests.samples.homes import file_name, thread_id
from tests.samples.long_threads import FOLDER, content, head, put, turn_lines
from tests.samples.rollouts import response
from tests.support.app_client import Server
from tests.support.command import Cli, Inside

MODES = {1: LEGACY, 2: PAGINATED}
TURNS = 200


def cut_short(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def overwritten(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + b"\xff" * (len(data) - place)


def with_garbage(data: bytes) -> bytes:
    return data + b"garbage"


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": cut_short,
    "overwritten": overwritten,
    "garbage behind": with_garbage,
}


def long(number: int, mode: str) -> bytes:
    """A rollout of half a megabyte that does not compress well."""
    noise = random.Random(number)
    lines = [head(number, mode)]
    for at in range(TURNS):
        begun, *rest = turn_lines(number, mode, 1, first=at, bulk=0)
        lines += [begun, response(noise.randbytes(600).hex()), *rest]
    return spell(numbered(lines) if mode == PAGINATED else lines)


def damaged(home: Path, number: int, data: bytes, damage: Callable[[bytes], bytes]) -> Path:
    """A rollout that was compressed and then damaged."""
    path = home / FOLDER / f"{file_name(number)}.zst"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damage(zstandard.ZstdCompressor().compress(data)))
    return path


def offset_of(path: Path) -> int:
    """Where a rollout breaks off, found by reading it as a writer does."""
    buffer = memoryview(bytearray(2**20))

    def read() -> None:
        with open_rollout(path) as stream:
            while stream.readinto(buffer):
                pass

    with pytest.raises(DamagedCompression) as caught:
        read()
    return caught.value.offset


class Broken:
    """A home with a damaged thread of each mode, and one with what can be read of them."""

    def __init__(self, base: Path, damage: str) -> None:
        self.cli = Inside(base / "home", base)
        self.offsets: dict[int, int] = {}
        self.names: dict[int, str] = {}
        for number, mode in MODES.items():
            data = long(number, mode)
            path = damaged(self.cli.home, number, data, DAMAGES[damage])
            offset = self.offsets[number] = offset_of(path)
            assert 100_000 < offset <= len(data)
            self.names[number] = f"{FOLDER}/{path.name}"
            put(base / "plain", number, data[:offset])
        self.plain = Inside(base / "plain", base / "other")


@pytest.fixture(params=DAMAGES)
def broken(tmp_path: Path, request: pytest.FixtureRequest) -> Broken:
    (tmp_path / "other").mkdir()
    return Broken(tmp_path, request.param)


@pytest.fixture
def cut(tmp_path: Path) -> Broken:
    (tmp_path / "other").mkdir()
    return Broken(tmp_path, "cut short")


@pytest.mark.parametrize("number", MODES)
def test_a_damaged_thread_is_shown_and_exported_as_far_as_it_reads(
    broken: Broken, number: int, tmp_path: Path
) -> None:
    id_, name, offset = thread_id(number), broken.names[number], broken.offsets[number]
    printed = f"{name} breaks off at byte {offset:,} (damaged zstd: "
    ran = broken.cli.run("show", id_, "--json")
    plain = broken.plain.run("show", id_, "--json").json
    assert len(ran.json["thread"]["turns"]) > 50
    assert ran.json["thread"]["turns"] == plain["thread"]["turns"]
    assert ran.json["others"] == plain["others"]
    assert plain["damage"] == []
    (found,) = ran.json["damage"]
    assert (found["path"], found["offset"]) == (name, offset)
    assert found["reason"].startswith("damaged zstd: ")
    assert printed in ran.err
    assert f"threadkeep explain {id_}" in ran.err
    text = broken.cli.run("show", id_, "--last", "2")
    assert printed in text.out
    assert printed in text.err
    assert "cannot be read" not in text.out, "the damage is printed once"
    markdown = broken.cli.run("export", id_)
    assert printed in markdown.err
    assert "breaks off at byte" in markdown.out
    lines = broken.cli.run("export", id_, "--format", "jsonl")
    content = (broken.plain.home / FOLDER / file_name(number)).read_text()
    assert lines.out == content + ("" if content.endswith("\n") else "\n")
    assert printed in lines.err
    target = tmp_path / "out.json"
    exported = broken.cli.run("export", id_, "--output", str(target), "--json")
    assert exported.json["exported"][0]["damage"] == ran.json["damage"]
    assert printed in exported.err
    assert json.loads(target.read_text())["thread"]["turns"] == plain["thread"]["turns"]


def test_the_service_gives_the_turns_and_items_of_a_damaged_thread(cut: Broken) -> None:
    with Server(Cli(cut.cli.home, cut.cli.base), "--listen", "stdio://") as server:
        client = server.client.begin()
        for number in MODES:
            id_ = thread_id(number)
            turns = cut.plain.run("show", id_, "--json").json["thread"]["turns"]
            read = client.call("thread/read", threadId=id_, includeTurns=True)
            assert read["thread"]["turns"] == turns
            asked: dict[str, Any] = {"threadId": id_, "itemsView": "full", "limit": 3}
            assert client.call("thread/turns/list", **asked)["data"] == turns[:-4:-1]
        items = [item for turn in turns for item in turn["items"]][:100]
        page = client.call("thread/items/list", threadId=id_, limit=100)["data"]
        assert [each["item"] for each in page] == items
        some: dict[str, Any] = {"turnId": turns[1]["id"], "itemIds": [turns[1]["items"][0]["id"]]}
        (found,) = client.call("thread/items/read", threadId=id_, **some)["data"]
        assert found["item"] == turns[1]["items"][0]


def test_what_can_be_read_of_a_damaged_thread_is_found(cut: Broken) -> None:
    ids = {thread_id(number) for number in MODES}
    ran = cut.cli.run("search", '"answer 3"', "--json")
    assert {hit["thread"]["id"] for hit in ran.json["data"]} == ids
    assert all(hit["hits"][0]["turnId"] == "turn 3" for hit in ran.json["data"])
    assert (ran.json["damage"], ran.json["complete"]) == ([], True)
    cut.cli.run("search", f'"answer {TURNS - 1}"', status=1)


def test_a_raw_search_reports_what_it_could_not_read(cut: Broken) -> None:
    ran = cut.cli.run("search", "--raw", '"answer 3"', "--json")
    assert {hit["thread"]["id"] for hit in ran.json["data"]} == set(map(thread_id, MODES))
    printed = {(each["path"], each["offset"]) for each in ran.json["damage"]}
    assert printed == {(cut.names[number], cut.offsets[number]) for number in MODES}
    assert ran.json["complete"] is False
    nothing = cut.cli.run("search", "--raw", f'"answer {TURNS - 1}"', status=1)
    for number in MODES:
        where = f"{cut.names[number]} breaks off at byte {cut.offsets[number]:,}"
        assert where in nothing.err


def test_turns_are_counted_as_far_as_they_read(cut: Broken) -> None:
    ran = cut.cli.run("stats", "--turns", "--json", status=6)
    assert ran.json["turns"] == cut.plain.run("stats", "--turns", "--json").json["turns"]
    assert {each["path"] for each in ran.json["problems"]} == set(cut.names.values())


def test_a_history_that_begins_in_a_damaged_file_is_shown_as_far_as_both_read(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    base = damaged(home, 2, long(2, PAGINATED), cut_short)
    end = {"thread_id": thread_id(2), "end_ordinal_exclusive": TURNS * 5, "end_byte_offset": None}
    first = first_line(PAGINATED, id=thread_id(3), history_base=end)
    own = numbered([first, *turn_lines(3, PAGINATED, 1, first=900, bulk=0)], TURNS * 5)
    path = put(home, 3, spell(own))
    history = open_history(path, rollouts_by_id(home).get)
    assert history.missing is None
    assert [each.path for each in history.damage] == [base]
    ids = [turn.id for turn in history.turns]
    assert (ids[0], ids[-1]) == ("turn 0", "turn 900")
    assert 50 < len(ids) < TURNS
    put(home, 2, b"").unlink()
    base.write_bytes(base.read_bytes()[:50])
    history = open_history(path, rollouts_by_id(home).get)
    assert [turn.id for turn in history.turns] == ["turn 900"]
    assert "cut short" in str(history.missing)


def test_a_file_of_which_nothing_can_be_read_is_told_as_such(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    put(cli.home, 1, content(1, LEGACY, 1))
    path = damaged(cli.home, 7, long(7, LEGACY), lambda data: data[:60])
    name = f"{FOLDER}/{path.name}"
    for reference in thread_id(7), thread_id(7).upper(), str(path), name, name[:-4]:
        ran = cli.run("show", reference, status=7)
        assert f"nothing can be read from {name}: " in ran.err
        assert "threadkeep explain" in ran.err
    error = cli.run("export", thread_id(7), "--json", "-o", str(tmp_path / "x"), status=7).json
    assert error["error"]["kind"] == "thread_unreadable"
    assert "unreadable" in cli.run("explain", thread_id(7)).out
    cli.run("show", thread_id(8), status=3)
    with Server(Cli(cli.home, cli.base), "--listen", "stdio://") as server:
        refused = server.client.begin().fail("thread/read", threadId=thread_id(7))
    assert refused["message"] == f"thread not loaded: {thread_id(7)}"
    assert refused["data"]["kind"] == "thread_unreadable"
