"""Threads of the first Codex versions, which have no ``session_meta``: the service gives what
``show`` reads, and searches find it. Codex 0.169 refuses all of them: -32603 for turns, and -32601
for items, as of legacy threads."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.history.segments import Part
from rollout.history.thread import open_history, reduce_file, reduce_part
from rollout.schema.strict import Fields
from rollout.turns.bare import BARE, BareReducer
from tests.cli.server.test_turns import walked
from tests.samples.homes import encoded, event, thread_id, write
from tests.samples.long_threads import all_turns, in_store
from tests.samples.rollouts import CORPUS
from tests.support.app_client import Client, Server
from tests.support.command import Cli, Inside

STAMP = "2026-05-28T20:00:00.000Z"


def said(role: str, text: str) -> Fields:
    kind = "input_text" if role == "user" else "output_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def bare(*texts: str) -> list[dict[str, Any]]:
    """The lines of a thread: questions and answers, one after the other."""
    talk = [said("assistant" if at % 2 else "user", text) for at, text in enumerate(texts)]
    states: list[dict[str, Any]] = [{"record_type": "state"}]
    return [{"id": thread_id(1), "timestamp": STAMP, "instructions": None}, *states, *talk, *states]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A home with those of the corpus."""
    home = tmp_path / "home"
    for month in "07", "08", "09":
        for folder in (CORPUS / "sessions/2025" / month).iterdir():
            shutil.copytree(folder, home / "sessions/2025" / month / folder.name)
    return Inside(home, tmp_path)


def first_ids(home: Path) -> list[str]:
    """Those that begin as the first versions did."""
    found = []
    for path in sorted(home.rglob("rollout-*")):
        line = json.loads(path.read_bytes().split(b"\n")[0])
        if "payload" not in line:
            found.append(line["id"])
    return found


def test_the_service_gives_what_show_reads(cli: Cli) -> None:
    ids = first_ids(cli.home)
    assert len(ids) == 12
    with Server(Cli(cli.home, cli.base), "--listen", "stdio://") as server:
        client = server.client.begin()
        for id_ in ids:
            _check(client, id_, cli.run("show", id_, "--json").json["thread"]["turns"])
        legacy = next(id_ for id_ in cli.ids("--all", "--all-sources") if id_ not in ids)
        assert client.fail("thread/items/list", threadId=legacy)["code"] == -32601


def _check(client: Client, id_: str, turns: list[Fields]) -> None:
    assert sum(len(turn["items"]) for turn in turns)
    read = client.call("thread/read", threadId=id_, includeTurns=True)["thread"]
    assert (read["turns"], read["historyMode"]) == (turns, "legacy")
    full = {"threadId": id_, "itemsView": "full", "limit": 1}
    assert walked(client, "thread/turns/list", sortDirection="asc", **full) == turns
    assert walked(client, "thread/turns/list", **full) == turns[::-1]
    (last,) = client.call("thread/turns/list", threadId=id_, limit=1)["data"]
    kinds = [item["type"] for item in last["items"]]
    assert kinds in (["userMessage"], ["userMessage", "agentMessage"])
    every = [(turn["id"], item) for turn in turns for item in turn["items"]]
    for direction in "asc", "desc":
        paged = walked(client, "thread/items/list", threadId=id_, limit=2, sortDirection=direction)
        assert [(each["turnId"], each["item"]) for each in paged] == every
        every.reverse()
    turn_id, item = every[-1]
    some = client.call("thread/items/read", threadId=id_, turnId=turn_id, itemIds=[item["id"]])
    assert [each["item"] for each in some["data"]] == [item]


def test_what_was_said_is_found_with_its_turn(cli: Cli) -> None:
    id_ = "86f98a0f-72da-4e01-9026-5b43f5e559cb"
    turns = cli.run("show", id_, "--json").json["thread"]["turns"]
    (hit,) = cli.run("search", '"reply 120 to"', "--all-sources", "--json").json["data"]
    assert hit["thread"]["id"] == id_
    (place,) = hit["hits"]
    assert (place["kind"], place["turnId"]) == ("agentMessage", turns[0]["id"])
    assert place["itemId"] in [item["id"] for item in turns[0]["items"]]
    cli.run("search", "environment_context", "--all-sources", status=1)


def test_an_index_of_an_earlier_version_has_what_was_said_read_again(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    write(cli.home, 1, encoded(bare("the question", "the answer")))
    cli.run("search", "answer")
    with closing(sqlite3.connect(cli.index)) as connection, connection:  # as v0004 left it
        connection.execute("UPDATE fulltext_threads SET mode = ''")
        connection.execute("DELETE FROM fulltext_documents")
    cli.run("search", "answer", status=1)
    with closing(sqlite3.connect(cli.index)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v0004'")
    assert cli.run("search", "answer").lines


def test_one_that_grows_is_read_anew(tmp_path: Path) -> None:
    """Also if what is added makes it another thread's history."""
    home, index = tmp_path / "home", tmp_path / "i.sqlite3"
    path = write(home, 1, encoded(bare("first question", "first answer")))

    async def grown(store: Any) -> list[list[str]]:
        found = []
        for lines in (
            [],
            [said("user", "second question"), said("assistant", "second answer")],
            [{"timestamp": STAMP, "type": "session_meta", "payload": {"id": thread_id(1)}}],
            [event(STAMP, "user_message", message="third question")],
        ):
            with path.open("ab") as file:
                file.write(encoded(lines))
            turns = await all_turns(store, 1)
            found.append([turn["id"] for turn in turns])
        return found

    assert in_store(home, index, grown) == [
        ["rollout-2"],
        ["rollout-2", "rollout-5"],
        [],
        ["rollout-0"],
    ]


def test_a_long_one_is_kept_in_the_index_and_read_again(tmp_path: Path) -> None:
    home, index = tmp_path / "home", tmp_path / "i.sqlite3"
    texts = [f"{'question' if at % 2 == 0 else 'answer'} {at} {'x' * 500}" for at in range(1200)]
    path = write(home, 1, encoded(bare(*texts)))
    first = in_store(home, index, lambda store: all_turns(store, 1))
    again = in_store(home, index, lambda store: all_turns(store, 1))
    assert first == again
    assert len(first) == 600
    assert open_history(path, lambda _: None).mode == BARE


def test_a_reducer_goes_on_from_where_it_was_saved(tmp_path: Path) -> None:
    lines = bare("a", "b", "c", "d")
    path, rest = tmp_path / "a", tmp_path / "b"
    path.write_bytes(encoded(lines))
    whole = BareReducer()
    reduce_file(path, whole)
    for at in range(len(lines)):
        path.write_bytes(encoded(lines[:at]))
        rest.write_bytes(b"\n" * path.stat().st_size + encoded(lines[at:]))
        begun = BareReducer()
        reduce_file(path, begun)
        resumed = BareReducer(begun.dump(), begun.turns)
        reduce_part(Part(rest), 0, resumed, offset=path.stat().st_size)
        assert resumed.turns == whole.turns
