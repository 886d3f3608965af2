"""What we record and what the real Codex records is one thread to both."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import WriterActive
from rollout.files.writer_lock import WriterLock
from rollout.jsonl.sources import session_meta
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from state.query.model import Query
from state.thread_store import open_store
from tests import ROOT
from tests.codex.codex_app import Call, answers, call, codex_exec, end, start
from tests.codex.mock_model import mock_model
from tests.codex.model.deeds import ANSWER
from tests.samples.talk import new_thread, turn
from tests.state.codex.databases import Codex
from tests.support.command import Inside, thread_id, write_rollout

CODEX = os.environ.get("THREADKEEP_CODEX_BIN", "")
pytestmark = pytest.mark.skipif(not CODEX, reason="no THREADKEEP_CODEX_BIN")


@pytest.fixture(scope="module")
def config() -> Iterator[str]:
    """What makes Codex ask a model server of ours."""
    with mock_model() as text:
        yield text


def texts(turns: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """What was said in each turn of Codex's, and how it ended."""
    return [
        (
            turn["status"],
            [item.get("text") or item["content"][0]["text"] for item in turn["items"]],
        )
        for turn in turns
    ]


async def record(home: Path, index: Path, mode: str) -> str:
    """One turn in a thread of ours; shut down."""
    async with open_store(home, index) as store:
        id_ = await store.create_thread(new_thread(mode, cwd=str(home)))
        await store.append_items(id_, turn(mode, id_, 1, "first question", "first answer"))
        return id_


async def resumed(home: Path, index: Path, id_: str) -> list[dict[str, Any]]:
    """What a thread holds after we have added a turn."""
    async with open_store(home, index) as store:
        source = await store.resume_thread(id_)
        meta = session_meta(source)
        assert meta
        mode = meta["payload"].get("history_mode", LEGACY)
        await store.append_items(id_, turn(mode, id_, 9, "our question", "our answer"))
        await store.flush_thread(id_)
        return [item for _, item in source.items()]


@pytest.mark.parametrize("mode", MODES)
def test_codex_goes_on_with_a_thread_of_ours(
    mode: str, home: Path, index_path: Path, config: str
) -> None:
    id_ = asyncio.run(record(home, index_path, mode))
    listed, read, turns = answers(
        CODEX,
        home,
        [
            ("thread/list", {"limit": 10}),
            ("thread/read", {"threadId": id_}),
            ("thread/resume", {"threadId": id_}),
        ],
    )
    (thread,) = listed["result"]["data"]
    assert (thread["id"], thread["preview"]) == (id_, "first question")
    assert read["result"]["thread"]["historyMode"] == mode
    (before,) = answers(CODEX, home, [("thread/turns/list", {"threadId": id_})])
    told = texts(before["result"]["data"])
    assert told == [("completed", ["first question", "first answer"])]
    assert turns["result"]["thread"]["id"] == id_

    codex_exec(CODEX, home, config, "resume", id_, "more of it")

    after = asyncio.run(resumed(home, index_path, id_))
    if mode == PAGINATED:
        assert [item["ordinal"] for item in after] == list(range(len(after)))
    else:
        assert not any("ordinal" in item for item in after)
    # Resumed first: Codex shows of a paginated thread what it has taken into its database.
    ids = {"threadId": id_}
    _, turns = answers(CODEX, home, [("thread/resume", ids), ("thread/turns/list", ids)])
    assert sorted(texts(turns["result"]["data"])) == [
        ("completed", ["first question", "first answer"]),
        ("completed", ["more of it", ANSWER]),
        ("completed", ["our question", "our answer"]),
    ]


def test_codex_shows_what_the_program_in_the_documents_records(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    page = ROOT / "docs" / "library.md"
    program, _ = re.findall(r"(?s)```python\n(.*?)```", page.read_text("utf-8"))
    script = tmp_path / "example.py"
    script.write_text(program, "utf-8")
    subprocess.run([sys.executable, str(script), str(home), str(index_path)], check=True)
    listed, old = answers(CODEX, home, [("thread/list", {}), ("thread/list", {"archived": True})])
    (fork,), (thread,) = listed["result"]["data"], old["result"]["data"]
    assert (fork["name"], fork["preview"]) == ("Another way", "What is 2 + 2?")
    (read,) = answers(CODEX, home, [("thread/read", {"threadId": fork["id"]})])
    assert read["result"]["thread"]["forkedFromId"] == thread["id"]
    shown = [("thread/turns/list", {"threadId": each["id"]}) for each in (fork, thread)]
    one, two = (texts(turns["result"]["data"]) for turns in answers(CODEX, home, shown))
    assert one == [("completed", ["What is 2 + 2?", "4"])]
    assert sorted(two) == [("completed", ["And 3 + 3?", "6"]), *one]


def test_we_go_on_with_a_thread_of_codexs(home: Path, index_path: Path, config: str) -> None:
    codex_exec(CODEX, home, config, "from Codex")

    async def ours() -> tuple[str, str]:
        async with open_store(home, index_path) as store:
            await store.index.catch_up()
            (row,) = (await store.list_threads(Query(all_sources=True))).rows
        return row["id"], row["history_mode"]

    id_, mode = asyncio.run(ours())
    asyncio.run(resumed(home, index_path, id_))
    codex_exec(CODEX, home, config, "resume", id_, "more of it")
    (turns,) = answers(CODEX, home, [("thread/turns/list", {"threadId": id_})])
    assert sorted(texts(turns["result"]["data"])) == [
        ("completed", ["from Codex", ANSWER]),
        ("completed", ["more of it", ANSWER]),
        ("completed", ["our question", "our answer"]),
    ]

    async def history() -> list[dict[str, Any]]:
        async with open_store(home, index_path) as store:
            with closing(await store.load_history(id_)) as source:
                return [item for _, item in source.items()]

    held = asyncio.run(history())
    if mode == PAGINATED:
        assert [item["ordinal"] for item in held] == list(range(len(held)))


@pytest.mark.parametrize("mode", MODES)
def test_live_writers_exclude_each_other(mode: str, home: Path, index_path: Path) -> None:
    id_ = asyncio.run(record(home, index_path, mode))
    codex = start(CODEX, home)
    try:
        with WriterLock.acquire(home, id_):
            refused = call(codex, 1, "thread/resume", {"threadId": id_})
            assert "already has an active writer" in refused["error"]["message"]
        assert "result" in call(codex, 2, "thread/resume", {"threadId": id_})
        with pytest.raises(WriterActive) as ours:
            asyncio.run(resumed(home, index_path, id_))
        assert ours.value.holder
        assert ours.value.holder.startswith(f"pid {codex.pid} ({Path(CODEX).name} app-server")
    finally:
        end(codex)
    assert asyncio.run(resumed(home, index_path, id_))


def turn_id(number: int) -> str:
    return f"019a0000-0000-7000-9000-00000000000{number}"


def write_turns(home: Path, mode: str) -> None:
    """A thread of two turns, as Codex writes them."""
    path = write_rollout(home, 1, provider="mock", cwd="/tmp")
    first = json.loads(path.read_text("utf-8").splitlines()[0])
    first["payload"]["history_mode"] = mode
    lines = [first]
    for number in (1, 2):
        payloads: list[dict[str, object]] = [{"type": "task_started", "turn_id": turn_id(number)}]
        if mode == "legacy":
            payloads.append({"type": "user_message", "message": "ask", "images": []})
        else:
            part = {"type": "text", "text": "ask", "text_elements": []}
            item = {"type": "UserMessage", "id": f"item-{number}", "content": [part]}
            ids = {"thread_id": thread_id(1), "turn_id": turn_id(number)}
            payloads.append({"type": "item_completed", **ids, "item": item})
        payloads.append({"type": "task_complete", "turn_id": turn_id(number)})
        lines += [
            {"timestamp": first["timestamp"], "type": "event_msg", "payload": payload}
            for payload in payloads
        ]
    if mode == "paginated":
        keys = ("type", "payload")
        lines = [
            {"timestamp": line["timestamp"], "ordinal": n, **{key: line[key] for key in keys}}
            for n, line in enumerate(lines)
        ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


class Told:
    """A home with one thread that Codex has in its database, the command for it, and Codex."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.home = folder / "home"
        write_turns(self.home, mode)
        self.id = thread_id(1)
        self.cli = Inside(self.home, folder)
        self.codex = Codex(self.home / "state_5.sqlite")
        self.asked(("thread/resume", {"threadId": self.id}))

    def asked(self, *calls: Call) -> list[Any]:
        """What a Codex that is started for it answers: a result, or the message of an error."""
        found = answers(CODEX, self.home, calls)
        return [
            answer["error"]["message"] if "error" in answer else answer["result"]
            for answer in found
        ]

    def listed(self) -> list[list[str]]:
        """The ids that Codex lists: active and archived, by the files and by its database."""
        everything = {"modelProviders": [], "limit": 100}
        found = self.asked(
            *(
                ("thread/list", everything | {"archived": archived, "useStateDbOnly": only})
                for only in (False, True)
                for archived in (False, True)
            )
        )
        return [sorted(thread["id"] for thread in answer["data"]) for answer in found]

    def goes_on(self, id_: str) -> None:
        """Codex resumes, forks, archives and unarchives a thread that is active, and again."""
        named = {"threadId": id_}
        methods = ("resume", "fork", "archive", "unarchive", "resume", "archive", "unarchive")
        for method, told in zip(
            methods, self.asked(*((f"thread/{m}", named) for m in methods)), strict=True
        ):
            assert isinstance(told, dict), (method, told)
        forks = {row["id"] for row in self.codex.rows("SELECT id FROM threads")} - {id_, self.id}
        for fork in forks:
            self.asked(("thread/delete", {"threadId": fork}))


@pytest.fixture
def told(tmp_path: Path, mode: str) -> Told:
    return Told(tmp_path, mode)


@pytest.mark.parametrize("mode", MODES)
def test_codex_agrees_after_we_have_archived_and_unarchived(told: Told) -> None:
    id_, cli = told.id, told.cli
    named = {"threadId": id_}
    running = start(CODEX, told.home)  # does not mind that it is done beside it
    try:
        cli.run("archive", id_)
        read = call(running, 1, "thread/read", named)["result"]["thread"]
        refused = call(running, 2, "thread/resume", named)["error"]["message"]
        cli.run("unarchive", id_)
        assert "result" in call(running, 3, "thread/resume", named)
    finally:
        end(running)
    assert Path(read["path"]).parent == told.home / "archived_sessions"
    assert "is archived. Run `codex unarchive" in refused
    assert told.listed() == [[id_], [], [id_], []]
    told.goes_on(id_)
    cli.run("archive", id_)
    assert told.listed() == [[], [id_], [], [id_]]
    assert isinstance(told.asked(("thread/unarchive", named))[0], dict)
    told.goes_on(id_)
    told.asked(("thread/archive", named))
    cli.run("unarchive", id_)
    told.goes_on(id_)
    assert cli.run("codex-check").status == 0


@pytest.mark.parametrize("mode", MODES)
def test_codex_agrees_after_every_other_change_of_ours(told: Told, tmp_path: Path) -> None:
    id_, cli = told.id, told.cli
    cli.run("rename", id_, "a first name")
    (before,) = told.asked(("thread/read", {"threadId": id_}))
    assert before["thread"]["name"] == "a first name"
    cli.run("rename", id_, "a name")
    cli.run("git-info", id_, "--branch", "b", "--sha", "abc")
    cli.run("memory", id_, "disabled")
    forks = [
        cli.run("fork", id_, *options).lines[0]
        for options in ([], ["--through-turn", turn_id(1)], ["--before-turn", turn_id(1)])
    ]
    read, *resumed = told.asked(*(("thread/resume", {"threadId": each}) for each in (id_, *forks)))
    assert (read["thread"]["name"], read["thread"]["gitInfo"]["branch"]) == ("a name", "b")
    turns = [[each["id"] for each in answer["thread"]["turns"]] for answer in resumed]
    assert turns == [[turn_id(1), turn_id(2)], [turn_id(1)], []]
    (row,) = told.codex.rows("SELECT memory_mode, git_sha FROM threads WHERE id = ?", id_)
    assert row == {"memory_mode": "disabled", "git_sha": "abc"}
    for fork in forks:
        cli.run("archive", fork)
    assert isinstance(told.asked(("thread/unarchive", {"threadId": forks[0]}))[0], dict)
    cli.run("unarchive", forks[1])
    assert told.listed()[:2] == [sorted([id_, *forks[:2]]), [forks[2]]]
    flags = {row["id"]: row["archived"] for row in told.codex.rows("SELECT * FROM threads")}
    assert flags == {id_: 0, forks[0]: 0, forks[1]: 0, forks[2]: 1}

    mine = asyncio.run(record(told.home, tmp_path / "i.sqlite3", read["thread"]["historyMode"]))
    cli.run("archive", mine)
    assert isinstance(told.asked(("thread/unarchive", {"threadId": mine}))[0], dict)
    cli.run("archive", mine)
    cli.run("unarchive", mine)
    assert isinstance(told.asked(("thread/resume", {"threadId": mine}))[0], dict)

    cli.run("delete", *forks, id_, "--yes")
    cli.run("delete", mine, "--purge", "--yes")
    gone = [id_, mine, *forks]
    for answer in told.asked(*(("thread/read", {"threadId": each}) for each in gone)):
        assert "thread not loaded" in answer
    assert told.listed() == [[], [], [], []]
    assert told.codex.rows("SELECT id FROM threads") == []
    history = Codex(told.home / "thread_history_1.sqlite")
    if history.path.exists():
        assert history.rows("SELECT * FROM thread_turns") == []
        assert history.rows("SELECT * FROM thread_items") == []
