"""What we record and what the real Codex records is one thread to both."""

import asyncio
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
from rollout.persistence import LEGACY, MODES, PAGINATED
from rollout.replay import session_meta
from rollout.writer_lock import WriterLock
from state.listing import Query
from state.threads import open_store

from .codex_app import answers, call, end, start
from .mock_model import ANSWER, mock_model
from .talk import new_thread, turn

CODEX = os.environ.get("THREADKEEP_CODEX_BIN", "")
pytestmark = pytest.mark.skipif(not CODEX, reason="no THREADKEEP_CODEX_BIN")


@pytest.fixture(scope="module")
def config() -> Iterator[str]:
    """What makes Codex ask a model server of ours."""
    with mock_model() as text:
        yield text


def codex_exec(home: Path, config: str, *arguments: str) -> None:
    """Let Codex do a turn in a process of its own."""
    (home / "config.toml").write_text(config)
    done = subprocess.run(
        [CODEX, "exec", "--skip-git-repo-check", *arguments],
        env={**os.environ, "CODEX_HOME": str(home)},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


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

    codex_exec(home, config, "resume", id_, "more of it")

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
    page = Path(__file__).parents[1] / "docs" / "library.md"
    (program,) = re.findall(r"(?s)```python\n(.*?)```", page.read_text("utf-8"))
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
    codex_exec(home, config, "from Codex")

    async def ours() -> tuple[str, str]:
        async with open_store(home, index_path) as store:
            await store.index.catch_up()
            (row,) = (await store.list_threads(Query(all_sources=True))).rows
        return row["id"], row["history_mode"]

    id_, mode = asyncio.run(ours())
    asyncio.run(resumed(home, index_path, id_))
    codex_exec(home, config, "resume", id_, "more of it")
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
