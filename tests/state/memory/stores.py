"""Both kinds of stores, for the tests of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from state.memory.store import MemoryStore, open_memory_store
from state.thread_store import ThreadStore, open_store

Store = ThreadStore | MemoryStore


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Store]:
    """A store of a kind, which is empty."""
    if kind == "memory":
        async with open_memory_store() as memory:
            yield memory
        return
    (folder / "home").mkdir()
    async with open_store(folder / "home", folder / "index.sqlite3") as files:
        await files.index.catch_up()
        yield files


def turn_id(number: int) -> str:
    """The id of a turn of ``talk``."""
    return f"01a14000-0000-7000-8000-{number:012x}"


def child_of(parent: str) -> dict[str, Any]:
    """The source of a thread that another one has spawned."""
    return {"subagent": {"thread_spawn": {"parent_thread_id": parent, "depth": 1}}}


async def questions(store: Store, id_: str) -> list[list[str]]:
    """What users said and agents answered in each turn."""
    turns = await store.with_turns(id_, lambda told: told.all_turns())
    return [
        [
            item["text"] if item["type"] == "agentMessage" else item["content"][0]["text"]
            for item in each["items"]
        ]
        for each in turns
    ]
