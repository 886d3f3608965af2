"""Both stores come to the same, whatever is done with them."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import RolloutError
from rollout.schema.modes import MODES
from state.errors import (
    StateError,
    ThreadNotFound,
)
from state.query.model import Query
from tests.samples.homes import thread_id
from tests.samples.talk import event, new_thread, turn
from tests.state.memory.stores import Store, child_of, opened, questions, turn_id
from tests.support.effort import examples

STEPS = st.tuples(
    st.sampled_from(
        [
            *("create", "create", "turn", "turn", "turn", "end", "resume", "fork", "fork through"),
            *("archive", "unarchive", "delete", "name", "git", "memory", "spawn", "roll back"),
        ]
    ),
    st.integers(0, 5),
    st.sampled_from(MODES),
)


class Run:
    """Does steps with a store, and keeps what is to be the same of every store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ids: list[str] = []
        self.turns = 0

    async def step(self, name: str, at: int, mode: str) -> object:
        """What came of a step."""
        store = self.store
        if name == "create" or not self.ids:
            id_ = thread_id(len(self.ids))
            self.ids.append(await store.create_thread(new_thread(mode, id=id_)))
            return None
        id_ = self.ids[at % len(self.ids)]
        match name:
            case "turn" | "roll back":
                row_mode = await self.mode(id_)
                self.turns += 1
                items = turn(row_mode, id_, self.turns, f"question {self.turns}", "answer")
                rolled = [event("thread_rolled_back", num_turns=1)]
                await store.append_items(id_, items if name == "turn" else rolled)
                await store.flush_thread(id_)
            case "end":
                await store.shutdown_thread(id_)
            case "resume":
                return len(await store.resume_thread(id_))
            case "fork" | "fork through":
                through = None if name == "fork" else turn_id(max(self.turns, 1))
                self.ids.append(await store.fork_thread(id_, last_turn=through))
            case "archive":
                return self.numbers(await store.archive_thread(id_))
            case "unarchive":
                return self.numbers(await store.unarchive_thread(id_))
            case "delete":
                return self.numbers(await store.delete_thread(id_))
            case "name":
                await store.set_thread_name(id_, f"name {at}")
            case "git":
                await store.update_thread_metadata(id_, {"branch": f"b{at}", "sha": None})
            case "memory":
                await store.set_memory_mode(id_, "disabled")
            case "spawn":
                made = thread_id(len(self.ids))
                fields = {"id": made, "source": child_of(id_), "parent_thread_id": id_}
                self.ids.append(await store.create_thread(new_thread(mode, **fields)))
        return None

    async def mode(self, id_: str) -> str:
        """The history mode of a live thread."""
        history = await self.store.load_history(id_)
        return next(
            str(item["payload"]["history_mode"])
            for _, item in history.items()
            if item["type"] == "session_meta"
        )

    def numbers(self, ids: list[str]) -> list[int]:
        """Ids as numbers, as those of forks differ."""
        return [self.ids.index(id_) for id_ in ids]

    async def outcome(self) -> list[Any]:
        """What the store holds."""
        found: list[Any] = [self.numbers(self.store.live)]
        for archived in (False, True):
            rows = (await self.store.list_threads(Query(archived=archived, all_sources=True))).rows
            found.append(sorted(self.numbers([row["id"] for row in rows])))
        for id_ in self.ids:
            try:
                row = await self.store.read_thread(id_)
            except ThreadNotFound:
                found.append(None)
                continue
            told = {key: row[key] for key in row if key not in UNEQUAL}
            told["forked_from_id"] = self.numbers(
                [row["forked_from_id"]] if row["forked_from_id"] else []
            )
            history = [item["type"] for _, item in (await self.store.load_history(id_)).items()]
            context = [item["role"] for item in await self.store.with_context(id_, list)]
            found.append((told, history, context, await questions(self.store, id_)))
        return found


UNEQUAL = {
    *("id", "session_id", "rollout_path", "forked_from_id", "parent_thread_id", "source"),
    *("created_at_ms", "updated_at_ms", "recency_at_ms", "size_bytes", "mtime_ns", "inode"),
}


@given(st.lists(STEPS, max_size=15))
@examples(25)
def test_both_come_to_the_same(steps: list[tuple[str, int, str]]) -> None:
    async def outcome(kind: str) -> list[Any]:
        with tempfile.TemporaryDirectory() as folder:
            async with opened(kind, Path(folder)) as store:
                run = Run(store)
                came: list[Any] = []
                for step in steps:
                    try:
                        came.append(await run.step(*step))
                    except (StateError, RolloutError) as error:
                        came.append(type(error))
                return [came, await run.outcome()]

    assert asyncio.run(outcome("memory")) == asyncio.run(outcome("files"))
