"""A store of threads in memory, with the interface of :class:`state.thread_store.ThreadStore`: for
tests of programs that record threads.

It has no file, no index and no lock. A thread is the bytes that its rollout would have, which are
written and read by the code that writes and reads files. The contract tests run on both stores.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeVar, Unpack

from rollout.errors import WriterActive
from rollout.history.model_context import context_items
from rollout.history.segments import source_meta
from rollout.history.thread import outline, reduce_parts
from rollout.jsonl.sources import MemorySource, RolloutSource
from rollout.schema.modes import LEGACY
from rollout.schema.strict import Fields
from rollout.writing.amend import amended_meta
from rollout.writing.appender import encoded, timestamp
from rollout.writing.fork import write_lines
from rollout.writing.new_thread import NewThread, rollout_path
from state.edit import metadata
from state.edit.fork import ForkOptions, fork_point, name_of_fork, plan_at_folder, settings_of_fork
from state.edit.git import git_facts
from state.edit.lineage import with_descendants
from state.edit.metadata import Changed
from state.errors import AlreadyArchived, NotArchived, StateError, ThreadArchived, ThreadExists
from state.memory.thread import MemoryRecorder, MemoryThread
from state.memory.threads import MemoryThreads
from state.query.model import Page, Query
from state.query.rows import Row
from state.recording.open_threads import OpenThreads
from state.recording.resume import OpenedThread, new_thread, next_ordinal
from state.turns.answers import TurnAnswers
from state.turns.checkpoint import TurnState
from state.workers import Workers

_MOST_READERS: Final = 4
Result = TypeVar("Result")


class MemoryStore(OpenThreads[MemoryRecorder]):
    """Threads in memory. Make one with :func:`open_memory_store`. Each method does what that of
    :class:`state.thread_store.ThreadStore` does, and raises the same errors, but for those of
    files, locks and Codex's database."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = MemoryThreads()
        self._workers = Workers(_MOST_READERS)

    @property
    def index_error(self) -> StateError | None:
        """None: there is no index that could be behind."""
        return None

    async def create_thread(self, thread: NewThread) -> str:
        """Begin a thread, which is listed from its first message from a user on."""
        if self._id(thread.id) in self._threads:
            raise ThreadExists(thread.id)
        self._check_not_live(thread.id)
        made = MemoryThread(thread.id, rollout_path(thread.id, datetime.now()))
        recorder = MemoryRecorder(new_thread(thread), made, self._add)
        self._recorders[thread.id] = recorder
        if git := await git_facts(thread.cwd):
            recorder.own.enrich(git=git)
        return thread.id

    async def resume_thread(self, thread_id: str) -> RolloutSource:
        """Continue a stored thread."""
        thread_id = self._id(thread_id)
        self._check_not_live(thread_id)
        thread = self._threads[thread_id]
        _check_active(thread)
        source = MemorySource(thread.items())
        history = self._threads.history(thread, source)
        mode = source_meta(thread.rollout).get("history_mode", LEGACY)
        ordinal = next_ordinal(source, mode, Path(thread.path))
        size = len(thread.rollout.content)
        opened = OpenedThread(thread_id, mode, source, ordinal, history, size)
        self._recorders[thread_id] = MemoryRecorder(opened, thread, self._add)
        return history

    async def load_history(self, thread_id: str) -> RolloutSource:
        """All that a thread holds."""
        thread_id = self._id(thread_id)
        if recorder := self._open_recorder(thread_id):
            return recorder.source
        thread = self._threads[thread_id]
        return self._threads.history(thread, MemorySource(thread.items()))

    async def with_context(
        self, thread_id: str, work: Callable[[Iterator[Fields]], Result]
    ) -> Result:
        """The result of ``work`` on what a model sees when the thread continues."""
        rollout = self._written_out(thread_id).rollout
        return await self._workers.run(lambda: work(context_items(rollout, self._threads.find)))

    async def set_thread_name(self, thread_id: str, name: str) -> Changed:
        """Name a thread. A live one is stored, here and in all that follow."""
        thread = self._written_out(thread_id)
        name = metadata.checked_name(name)
        _check_active(thread)
        thread.rename(name)
        return Changed(thread.id)

    async def set_memory_mode(self, thread_id: str, mode: str) -> Changed:
        """Say whether memories may be made of a thread."""
        thread = self._written_out(thread_id)
        metadata.check_memory_mode(mode)
        _check_active(thread)
        values = {"memory_mode": mode}
        return self._change(thread, values, values)

    async def update_thread_metadata(
        self, thread_id: str, git: Mapping[str, str | None]
    ) -> Changed:
        """Set git facts of a thread."""
        thread = self._written_out(thread_id)
        values, info = metadata.git_change(thread.row(), metadata.checked_git(git))
        return self._change(thread, values, {"git": info})

    async def fork_thread(self, thread_id: str, **options: "Unpack[ForkOptions]") -> str:
        """Make a new thread that begins as another one. Gives its id."""
        thread = self._written_out(thread_id)
        point = fork_point(options.get("last_turn"), options.get("before_turn"))
        _check_active(thread)
        row, meta, cwd = thread.row(), source_meta(thread.rollout), options.get("cwd")
        source, thread_source = options.get("source", "cli"), options.get("thread_source")
        new = settings_of_fork(row, meta, source, thread_source=thread_source, cwd=cwd)
        fork = plan_at_folder(thread.rollout, new, point, self._threads.find, cwd)
        if options.get("dry_run"):
            return new.id
        file = BytesIO()
        write_lines(fork, file, await git_facts(new.cwd))
        made = MemoryThread(new.id, rollout_path(new.id, datetime.now()))
        made.rename(name_of_fork(row))
        made.write(file.getvalue())
        self._add(made)
        return new.id

    async def archive_thread(self, thread_id: str) -> list[str]:
        """Archive a thread and what it has spawned. Gives the ids of all."""
        return self._move(self._written_out(thread_id), archived=True)

    async def unarchive_thread(self, thread_id: str) -> list[str]:
        """Take a thread and what it has spawned out of the archive."""
        return self._move(self._written_out(thread_id), archived=False)

    async def delete_thread(self, thread_id: str, *, purge: bool = False) -> list[str]:
        """Remove a thread and what it has spawned for good: there is no trash."""
        thread = self._written_out(thread_id)
        leaving = [*reversed(with_descendants(thread.id, self._threads.lineage()))]
        self._threads.check_independent(thread.id, leaving)
        for id_ in leaving:
            self._recorders.pop(id_, None)
            del self._threads[id_]
        return leaving

    async def check_unwritten(self, thread_id: str) -> None:
        """Return: nobody else writes threads of this process."""
        self._id(thread_id)

    async def read_thread(self, thread_id: str) -> Row:
        """The row of a stored thread, with the columns of a list."""
        return self._threads.listed(self._threads[self._id(thread_id)])

    async def lists_items(self, thread_id: str) -> bool:
        """Whether the items of a thread are listed apart from its turns."""
        return bool((await self.read_thread(thread_id))["history_mode"] != LEGACY)

    async def with_turns(self, thread_id: str, work: Callable[[TurnAnswers], Result]) -> Result:
        """The result of ``work`` on the present turns of a stored thread."""
        thread = self._threads[self._id(thread_id)]
        recorder = self._open_recorder(thread.id)

        def answer() -> Result:
            known = outline(thread.rollout, self._threads.find)
            reducer = known.new_reducer()
            reduce_parts(known.parts, reducer)
            since = recorder.began_at if recorder else None
            return work(TurnAnswers(TurnState(known, [], reducer), since))

        return await self._workers.run(answer)

    async def list_threads(self, query: Query) -> Page:
        """A page of the stored threads."""
        return self._threads.page(query)

    async def close(self) -> None:
        """End all recording."""
        self._closed = True
        self._recorders.clear()

    def _move(self, thread: MemoryThread, *, archived: bool) -> list[str]:
        if thread.archived == archived:
            raise (AlreadyArchived if archived else NotArchived)(thread.id)
        moved = [
            id_
            for id_ in reversed(with_descendants(thread.id, self._threads.lineage()))
            if self._threads[id_].archived != archived
        ]
        for id_ in moved:
            self._recorders.pop(id_, None)
            self._threads[id_].move(archived=archived)
        return moved

    def _change(
        self, thread: MemoryThread, values: Mapping[str, str | None], payload: Mapping[str, Any]
    ) -> Changed:
        row = thread.row()
        if row["history_mode"] != LEGACY:
            thread.override({key: value or "" for key, value in values.items()})
            return Changed(thread.id)
        line = amended_meta(thread.rollout, thread.id, {**metadata.repeated_meta(row), **payload})
        written = thread.write(encoded(line, timestamp(), None))
        if recorder := self._open_recorder(thread.id):
            recorder.own.append(written)
        return Changed(thread.id)

    def _add(self, thread: MemoryThread) -> None:
        self._threads[thread.id] = thread

    def _written_out(self, thread_id: str) -> MemoryThread:
        """A thread, which is stored now if it is live."""
        thread_id = self._id(thread_id)
        if recorder := self._open_recorder(thread_id):
            recorder.begin()
        return self._threads[thread_id]

    def _check_not_live(self, thread_id: str) -> None:
        if self.is_live(thread_id):
            raise WriterActive(thread_id, "this process")


def _check_active(thread: MemoryThread) -> None:
    if thread.archived:
        raise ThreadArchived(thread.id)


@asynccontextmanager
async def open_memory_store() -> AsyncGenerator[MemoryStore]:
    """A new, empty store in memory; what it holds is gone with it."""
    store = MemoryStore()
    try:
        yield store
    finally:
        await store.close()
