"""The store of threads, which programs call to record, change, read and list them.

Each change is made in the file first. The index follows (:mod:`state.recording.index_follower`);
where it cannot, the next sync finds the change.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

from rollout.errors import WriterActive
from rollout.files.layout import is_archived, logical_path
from rollout.files.scan import check_home, stat_file
from rollout.files.writer_lock import LOCKS, WriterLock
from rollout.history.model_context import context_items
from rollout.history.thread import outline
from rollout.jsonl.sources import RolloutSource
from rollout.schema.modes import LEGACY
from rollout.schema.strict import Fields
from rollout.turns.bare import BARE
from state.edit.archive import move_thread
from state.edit.git import git_facts
from state.edit.metadata import Changed, set_git_info, set_memory_mode, set_name
from state.edit.move_plan import Action
from state.errors import RecorderClosed, StateError, ThreadArchived, ThreadExists, file_errors
from state.query.model import ANY, Page, Query
from state.query.rows import Row
from state.recording.index_follower import IndexFollower
from state.recording.open_threads import OpenThreads
from state.recording.recorder import RolloutRecorder
from state.recording.resume import OpenedThread, new_thread, stored_history, stored_thread
from state.recording.thread_files import current_path, ensure_indexed, indexed_path, path_steps
from state.rollout_locator import rollout_locator
from state.thread_index import ThreadIndex, open_index
from state.turns.answers import TurnAnswers
from state.turns.cache import Closed, TurnIndex
from state.workers import Workers

if TYPE_CHECKING:  # what makes threads loads pydantic, which whoever only reads does without
    from rollout.writing.new_thread import NewThread
    from state.edit.fork import ForkOptions

_MOST_WRITERS: Final = 4
Result = TypeVar("Result")


class ThreadStore(OpenThreads[RolloutRecorder]):
    """The threads of one home. Make one with :func:`open_store`.

    Whatever reads or writes a thread may raise, besides what its method names:
        DamagedCompression: a file of its history cannot be decompressed; it is left as it is.
        FileUnusable: a file or the home cannot be read or written.
        HistoryIncomplete, HistoryUnknown: a file of its history is missing, or written in an
            unknown way.
        IndexBusy: another process holds the index.
        RecorderFailed: the thread is live, and the file that it lacks cannot be written.
        ThreadNotFound: there is no such thread.
    """

    def __init__(self, index: ThreadIndex, sqlite_home: Path | None = None) -> None:
        super().__init__()
        self.index = index
        self.home = index.home
        self._sqlite_home = sqlite_home
        self._follower = IndexFollower(index)
        self._writers = Workers(_MOST_WRITERS)
        self.turns = TurnIndex(index)
        """The index of the turns of threads; see :meth:`with_turns`."""

    @property
    def index_error(self) -> StateError | None:
        """Why the index is behind the recorded files; None if it is not known to be."""
        return self._follower.error

    async def create_thread(self, thread: "NewThread") -> str:
        """Begin a thread. Gives its id. It gets a file with its first message from a user, or by
        :meth:`persist_thread`; its lock is held from now on. Raises ThreadExists if there is one,
        and WriterActive if somebody else is creating a thread with it."""
        from rollout.writing.new_thread import rollout_path

        if await indexed_path(self.index, self._id(thread.id)) is not None:
            raise ThreadExists(thread.id)
        lock = await self._lock(thread.id)
        path = rollout_path(thread.id, datetime.now())
        self._recorders[thread.id] = RolloutRecorder(
            new_thread(thread),
            self.home / path,
            lock,
            self._writers,
            lambda: self._follower.changed(path),
            asyncio.create_task(_git(thread.cwd)),
        )
        return thread.id

    async def resume_thread(self, thread_id: str) -> RolloutSource:
        """Continue a stored thread: take its lock, and turn a compressed file into a plain one.
        Gives all that it holds, which grows with what is appended.

        Raises:
            NotAppendable: nothing can follow what its file holds.
            ThreadArchived: take it out of the archive first.
            UnsupportedHistory: it is written in an unknown way.
            WriterActive: somebody else is writing it.
        """
        thread_id = self._id(thread_id)
        find = rollout_locator(self.index)
        lock = await self._lock(thread_id)
        try:
            path = await current_path(self.index, thread_id)  # the lock keeps it there
            if is_archived(path):
                raise ThreadArchived(thread_id)
            opened = await self.index.database.workers.finish(
                lambda: _typed(self.home / path, stored_thread, thread_id, find),
                undo=OpenedThread.close,
            )
        except BaseException:
            lock.release()
            raise
        plain = logical_path(path)
        recorder = RolloutRecorder(
            opened, self.home / plain, lock, self._writers, lambda: self._follower.changed(plain)
        )
        self._recorders[thread_id] = recorder
        if plain != path:
            self._follower.changed(path)
            self._follower.changed(plain)
        return recorder.source

    async def load_history(self, thread_id: str) -> RolloutSource:
        """All that a thread holds, also an archived one; close it after use. Of a live thread it
        is what is in its file, or, without a file, what it was given."""
        thread_id = self._id(thread_id)
        if recorder := self._open_recorder(thread_id):
            return recorder.source
        path = self.home / await current_path(self.index, thread_id)
        return await self._read(path, stored_history, rollout_locator(self.index))

    async def with_context(
        self, thread_id: str, work: Callable[[Iterator[Fields]], Result]
    ) -> Result:
        """The result of ``work`` on the response items that a model sees when the thread continues
        (:func:`rollout.history.model_context.context_items`): ``list`` collects them. It runs in a
        worker thread and reads the items from the files as it takes them. A live thread without a
        file gets one."""
        thread_id = await self._written_out(thread_id)
        path = self.home / await current_path(self.index, thread_id)
        find = rollout_locator(self.index)
        return await self._read(path, lambda _: work(context_items(path, find)))

    async def set_thread_name(self, thread_id: str, name: str) -> Changed:
        """Name a thread, as :func:`state.edit.metadata.set_name` does. A live thread without a file
        gets one, here and in all that follow."""
        thread_id = await self._written_out(thread_id)
        changed, _ = await set_name(self.index, thread_id, name, self._sqlite_home)
        return changed

    async def set_memory_mode(self, thread_id: str, mode: str) -> Changed:
        """Say whether memories may be made of a thread: see
        :func:`state.edit.metadata.set_memory_mode`."""
        thread_id = await self._written_out(thread_id)
        return await set_memory_mode(
            self.index, thread_id, mode, self._sqlite_home, live=self._open_recorders()
        )

    async def update_thread_metadata(
        self, thread_id: str, git: Mapping[str, str | None]
    ) -> Changed:
        """Set git facts of a thread: see :func:`state.edit.metadata.set_git_info`."""
        thread_id = await self._written_out(thread_id)
        changed, _ = await set_git_info(
            self.index, thread_id, git, self._sqlite_home, live=self._open_recorders()
        )
        return changed

    async def fork_thread(self, thread_id: str, **options: "Unpack[ForkOptions]") -> str:
        """Make a new thread that begins as another one, which anybody may keep writing: see
        :func:`state.edit.fork.fork_thread`. Gives its id; resume it to write it."""
        from state.edit.fork import fork_thread

        thread_id = await self._written_out(thread_id)
        return (await fork_thread(self.index, thread_id, **options)).thread_id

    async def archive_thread(self, thread_id: str) -> list[str]:
        """Move a thread and what it has spawned into the archive; live ones are shut down, if
        nothing else stands in the way. Gives the ids of all that were moved: see
        :func:`state.edit.archive.move_thread`, as for the next two."""
        return await self._move(thread_id, Action.ARCHIVE)

    async def unarchive_thread(self, thread_id: str) -> list[str]:
        """Take a thread and what it has spawned out of the archive."""
        return await self._move(thread_id, Action.UNARCHIVE)

    async def delete_thread(self, thread_id: str, *, purge: bool = False) -> list[str]:
        """Move a thread and what it has spawned into the trash, or ``purge`` them; live ones are
        shut down, if nothing else stands in the way."""
        return await self._move(thread_id, Action.PURGE if purge else Action.DELETE)

    async def check_unwritten(self, thread_id: str) -> None:
        """Return if nobody else is writing a thread. Raises WriterActive if somebody is."""
        thread_id = self._id(thread_id)
        if not self.is_live(thread_id):
            (await self._lock(thread_id)).release()

    async def read_thread(self, thread_id: str) -> Row:
        """The row of a thread that has a file."""
        thread_id = self._id(thread_id)
        await self._follower.catch_up()
        await ensure_indexed(self.index, thread_id)
        return await self.index.thread(thread_id)

    async def lists_items(self, thread_id: str) -> bool:
        """Whether the items of a thread that has a file are listed apart from its turns: not those
        of legacy threads, as in Codex, but those of threads without a ``session_meta``, which Codex
        does not know."""
        row = await self.read_thread(thread_id)
        if row["history_mode"] != LEGACY:
            return True
        path = self.home / row["rollout_path"]
        return (await self._read(path, outline, rollout_locator(self.index))).mode == BARE

    async def with_turns(self, thread_id: str, work: Callable[[TurnAnswers], Result]) -> Result:
        """The result of ``work`` on the present turns of a thread that has a file, also of an
        archived one: most often of a method of :class:`state.turns.answers.TurnAnswers`. It runs
        in a worker thread, maybe more than once."""
        thread_id = self._id(thread_id)
        # The rest of the row may be out of date: the turns are read from the file.
        known = self.index.database.inline(path_steps(thread_id))
        if not known or stat_file(self.home, known) is None:
            known = (await self.read_thread(thread_id))["rollout_path"]
        recorder = self._open_recorder(thread_id)
        since = recorder.began_at if recorder else None
        path = self.home / known
        while True:
            turns = self.turns
            try:
                return await turns.ask(
                    thread_id, path, lambda state: work(TurnAnswers(state, since))
                )
            except Closed:
                if self.turns is turns:
                    raise RuntimeError("this store is closed") from None

    async def holding(self, row: Row, query: Query = ANY) -> "tuple[ThreadStore, Row]":
        """The store of the home that has the files of the thread of a row of what ``query`` sees,
        and its row there: this one, and the same row."""
        return self, row

    async def list_threads(self, query: Query) -> Page:
        """A page of the indexed threads, among them live ones that have a file; see
        :meth:`state.thread_index.ThreadIndex.page`. To index all threads of the home, call
        ``await store.index.catch_up()`` once."""
        await self._follower.catch_up()
        return await self.index.page(query)

    async def close(self) -> None:
        """Shut all live threads down. Raises RecorderFailed if items of one cannot be written, and
        are dropped; the others are closed."""
        self._closed = True
        async with AsyncExitStack() as stack:  # an error does not stop it, and is raised at the end
            stack.push_async_callback(self._follower.close)
            stack.push_async_callback(self.turns.close)
            for recorder in self._open_recorders().values():
                stack.push_async_callback(recorder.discard)
                stack.push_async_callback(recorder.close)

    async def move_to(self, index: ThreadIndex) -> None:
        """Use another index of the same home, because this one was removed or is damaged. Live
        threads stay live; the caller closes the old index."""
        old, self.index, self._follower = self._follower, index, IndexFollower(index)
        turns, self.turns = self.turns, TurnIndex(index)
        await turns.close()
        for recorder in self._open_recorders().values():
            self._follower.changed(recorder.path.relative_to(self.home).as_posix())
        await old.give_up()

    async def _move(self, thread_id: str, action: Action) -> list[str]:
        thread_id = await self._written_out(thread_id)
        with self._lent_recorders() as live:
            return await move_thread(
                self.index, thread_id, action, live=live, sqlite_home=self._sqlite_home
            )

    async def _written_out(self, thread_id: str) -> str:
        """Write all of a live thread to its file, and any thread to the index. Gives its id."""
        thread_id = self._id(thread_id)
        if recorder := self._open_recorder(thread_id):
            with suppress(RecorderClosed):  # by somebody else, just now
                await recorder.persist()
            await self._follower.catch_up()
            if self._follower.error:
                raise self._follower.error
        else:
            await ensure_indexed(self.index, thread_id)
        return thread_id

    async def _lock(self, thread_id: str) -> WriterLock:
        if self.is_live(thread_id):
            raise WriterActive(thread_id, "this process")
        return await self.index.database.workers.finish(
            lambda: _typed(self.home / LOCKS, lambda _: WriterLock.acquire(self.home, thread_id)),
            undo=WriterLock.release,
        )

    async def _read(self, path: Path, work: Callable[..., Result], *arguments: Any) -> Result:
        """``work(path, …)`` in a worker thread, which stops soon if the caller is cancelled."""
        return await self.index.database.workers.run(partial(_typed, path, work, *arguments))


def _typed(path: Path, work: Callable[..., Result], *arguments: Any) -> Result:
    """``work(path, …)``, with the system's errors raised as ours."""
    with file_errors(path):
        return work(path, *arguments)


async def _git(cwd: str) -> dict[str, Any]:
    facts = await git_facts(cwd)
    return {"git": facts} if facts else {}


@asynccontextmanager
async def open_store(
    home: Path, index_path: Path, sqlite_home: Path | None = None
) -> AsyncGenerator[ThreadStore]:
    """The threads of ``home``, with the index at ``index_path``, which is created if it does not
    exist. On the way out all live threads are shut down. ``sqlite_home`` is the folder of Codex's
    own database, if that is not the home (``CODEX_SQLITE_HOME``). Raises HomeNotFound if there is
    no such folder, what :func:`state.thread_index.open_index` raises, and on the way out what
    :meth:`ThreadStore.close` raises."""
    check_home(home)
    async with open_index(home, index_path, sqlite_home) as index:
        store = ThreadStore(index, sqlite_home)
        try:
            yield store
        finally:
            await store.close()
