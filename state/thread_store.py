"""The store of threads: what records them, reads them and lists them. What programs call.

Every change is made in the file first; the index follows it
(:mod:`state.recording.index_follower`), and where it cannot, sync finds it later.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from rollout.errors import NotAppendable, WriterActive
from rollout.files.layout import is_archived, logical_path, parse_uuid
from rollout.files.scan import check_home, stat_file
from rollout.files.writer_lock import LOCKS, WriterLock
from rollout.history.bare import BARE
from rollout.history.model_context import context_items
from rollout.history.thread import outline
from rollout.jsonl.parse import Item
from rollout.jsonl.sources import MemorySource, RolloutSource
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from rollout.writing.appender import RolloutAppender, timestamp
from rollout.writing.new_thread import NewThread, first_line, rollout_path
from rollout.writing.retention import fault_of
from state.edit.archive import archive, delete, unarchive
from state.edit.fork import fork_thread
from state.edit.git import git_facts
from state.edit.metadata import Changed, set_git_info, set_memory_mode, set_name
from state.errors import (
    RecorderClosed,
    StateError,
    ThreadArchived,
    ThreadExists,
    ThreadNotFound,
    file_errors,
)
from state.query.model import Page, Query
from state.query.rows import Row
from state.recording.index_follower import IndexFollower
from state.recording.recorder import RolloutRecorder
from state.recording.resume import named_files, resumable, stored_history, thread_file
from state.rollout_locator import rollout_locator
from state.thread_index import ThreadIndex, open_index
from state.turns.answers import Told
from state.turns.cache import Closed, TurnIndex
from state.turns.store import path_steps
from state.workers import Workers

_MOST_WRITERS: Final = 4
Result = TypeVar("Result")


class ThreadStore:
    """The threads of one home. Make one with :func:`open_store`."""

    def __init__(self, index: ThreadIndex, sqlite_home: Path | None = None) -> None:
        self.index = index
        self.home = index.home
        self._recorders: dict[str, RolloutRecorder] = {}
        self._closed = False
        self._sqlite_home = sqlite_home
        self._follower = IndexFollower(index)
        self._writers = Workers(_MOST_WRITERS)
        self.turns = TurnIndex(index)
        """What knows the turns of threads; see :meth:`with_turns`."""

    @property
    def live(self) -> list[str]:
        """The ids of the threads that are being recorded here, the oldest first."""
        return [id_ for id_, recorder in self._recorders.items() if not recorder.closed]

    def is_live(self, thread_id: str) -> bool:
        """Whether a thread is being recorded here."""
        recorder = self._recorders.get(thread_id)
        return recorder is not None and not recorder.closed

    @property
    def index_error(self) -> StateError | None:
        """Why the index is behind what was recorded; None when it is not known to be."""
        return self._follower.error

    def path_of(self, thread_id: str) -> Path:
        """Where a live thread has its file, or will have it.

        Raises:
            RecorderClosed: the thread is not live.
        """
        return self._recorder(thread_id).path

    async def create_thread(self, thread: NewThread) -> str:
        """Begin a thread, and give its id. It has no file before its first message from a user,
        or :meth:`persist_thread`; its lock is held from now on.

        Raises:
            FileUnusable: the home cannot be written.
            ThreadExists: there is one with its id.
            WriterActive: somebody is about to make one with its id.
        """
        if await self._indexed_path(self._id(thread.id)) is not None:
            raise ThreadExists(thread.id)
        lock = await self._lock(thread.id)
        meta = first_line(thread, timestamp(), None)
        paginated = thread.history_mode == PAGINATED
        path = rollout_path(thread.id, datetime.now())
        ordinal = thread.forked_from_ordinal_exclusive or 0 if paginated else None
        self._recorders[thread.id] = RolloutRecorder(
            thread.id,
            thread.history_mode,
            lock,
            RolloutAppender(self.home / path, new=True, next_ordinal=ordinal),
            MemorySource([meta]),
            self._writers,
            late=asyncio.create_task(_git(thread.cwd)),
            extended=thread.extended,
            written=partial(self._changed, path),
        )
        return thread.id

    async def resume_thread(self, thread_id: str) -> RolloutSource:
        """Go on with a stored thread: take its lock, turn a compressed file into a plain one, and
        number on. Gives what it holds, which follows what is appended.

        Raises:
            DamagedCompression: its file cannot be decompressed; it is left as it is.
            FileUnusable: the file or the home cannot be read or written.
            HistoryIncomplete: its history begins in a file that is not here.
            NotAppendable: nothing can follow what its file holds.
            ThreadArchived: take it out of the archive first.
            ThreadNotFound: there is none.
            UnsupportedHistory: it is written in an unknown way.
            WriterActive: somebody else is writing it.
        """
        thread_id = self._id(thread_id)
        find = rollout_locator(self.index)
        lock = await self._lock(thread_id)
        try:
            path = await self._path(thread_id)  # under the lock, so that it stays there
            if is_archived(path):
                raise ThreadArchived(thread_id)
            opened = await self.index.database.workers.finish(
                lambda: _typed(self.home / path, resumable, thread_id, find),
                undo=lambda opened: opened.history.close(),
            )
        except BaseException:
            lock.release()
            raise
        plain = logical_path(path)
        self._recorders[thread_id] = RolloutRecorder(
            thread_id,
            opened.mode,
            lock,
            RolloutAppender(self.home / plain, new=False, next_ordinal=opened.next_ordinal),
            opened.source,
            self._writers,
            began_at=opened.size,
            history=opened.history,
            written=partial(self._changed, plain),
        )
        if plain != path:
            self._follower.changed(path)
            self._follower.changed(plain)
        return opened.history

    async def append_items(self, thread_id: str, items: Sequence[Item]) -> None:
        """Record items of a live thread: ``{"type": …, "payload": …}``, as in rollouts. They are
        written behind the caller; :meth:`flush_thread` waits for it.

        Raises:
            NotAppendable: one of them is no item, or no JSON, or a ``session_meta``, of which a
                thread has its own; none is taken.
            RecorderClosed: the thread is not live.
        """
        recorder = self._recorder(thread_id)
        for item in items:
            if fault := fault_of(item):
                raise NotAppendable(recorder.path, fault)
        await recorder.append(items)

    async def persist_thread(self, thread_id: str) -> None:
        """Have the thread's file made, with all items so far.

        Raises:
            RecorderClosed: the thread is not live.
            RecorderFailed: it cannot be written now; everything waits.
        """
        await self._recorder(thread_id).persist()

    async def flush_thread(self, thread_id: str, *, durable: bool = False) -> None:
        """Return when all items so far are with the operating system, so that they outlive this
        process; ``durable``: on the disk. Those of a thread without a file go on waiting.

        Raises:
            RecorderClosed: the thread is not live.
            RecorderFailed: they cannot be written now; they wait, in order.
        """
        await self._recorder(thread_id).flush(durable=durable)

    async def shutdown_thread(self, thread_id: str) -> None:
        """Write what waits, and let others write the thread. One without a file leaves no trace.

        Raises:
            RecorderClosed: the thread is not live.
            RecorderFailed: what waits cannot be written; the thread is still live.
        """
        recorder = self._recorder(thread_id)
        await recorder.close()
        self._forget(recorder)

    async def discard_thread(self, thread_id: str) -> None:
        """Let others write the thread; what was not written is given up.

        Raises:
            RecorderClosed: the thread is not live.
        """
        recorder = self._recorder(thread_id)
        await recorder.discard()
        self._forget(recorder)

    async def load_history(self, thread_id: str) -> RolloutSource:
        """What a thread holds, archived ones too; close it after use. Of a live one, what is in
        its file, or what waits while it has none.

        Raises:
            DamagedCompression: its file cannot be decompressed.
            FileUnusable: its file cannot be read.
            HistoryIncomplete: it begins in a file that is not here.
            ThreadNotFound: there is none.
        """
        thread_id = self._id(thread_id)
        if thread_id in self.live:
            return self._recorders[thread_id].source
        path = self.home / await self._path(thread_id)
        return await self._read(partial(_typed, path, stored_history, rollout_locator(self.index)))

    async def with_context(
        self, thread_id: str, work: Callable[[Iterator[Fields]], Result]
    ) -> Result:
        """What ``work`` makes of the response items that a model is shown when the thread goes on
        (:func:`rollout.history.model_context.context_items`): ``list`` collects them. It is called
        in a thread, and they are read from the files as it takes them. A live thread without a
        file gets it.

        Raises:
            DamagedCompression, HistoryIncomplete, HistoryUnknown: they cannot be read.
            FileUnusable: a file of the history cannot be read.
            RecorderFailed: it has no file, and cannot get it.
            ThreadNotFound: there is none.
        """
        thread_id = await self._settle(thread_id)
        path = self.home / await self._path(thread_id)
        find = rollout_locator(self.index)
        return await self._read(partial(_typed, path, lambda _: work(context_items(path, find))))

    async def set_thread_name(self, thread_id: str, name: str) -> Changed:
        """Name a thread. One without a file gets it; so it is with all that follow.

        Raises:
            FileUnusable, InvalidName, ThreadArchived, ThreadNotFound: see
                :func:`state.edit.metadata.set_name`.
            RecorderFailed: it has no file, and cannot get it.
        """
        thread_id = await self._settle(thread_id)
        changed, _ = await set_name(self.index, thread_id, name, self._sqlite_home)
        return changed

    async def set_memory_mode(self, thread_id: str, mode: str) -> Changed:
        """Say whether memories may be made of a thread: see
        :func:`state.edit.metadata.set_memory_mode`."""
        thread_id = await self._settle(thread_id)
        return await set_memory_mode(
            self.index, thread_id, mode, self._sqlite_home, live=self._open_recorders()
        )

    async def update_thread_metadata(
        self, thread_id: str, git: Mapping[str, str | None]
    ) -> Changed:
        """Set git facts of a thread: see :func:`state.edit.metadata.set_git_info`."""
        thread_id = await self._settle(thread_id)
        changed, _ = await set_git_info(
            self.index, thread_id, git, self._sqlite_home, live=self._open_recorders()
        )
        return changed

    async def fork_thread(
        self,
        thread_id: str,
        *,
        last_turn: str | None = None,
        before_turn: str | None = None,
        source: str = "cli",
        cwd: str | None = None,
        thread_source: str | None = None,
        dry_run: bool = False,
    ) -> str:
        """Make a new thread that begins as another one did, which may go on being written by
        anybody: see :func:`state.edit.fork.fork_thread`. Gives its id; resume it to write it."""
        thread_id = await self._settle(thread_id)
        forked = await fork_thread(
            self.index,
            thread_id,
            last_turn=last_turn,
            before_turn=before_turn,
            source=source,
            cwd=cwd,
            thread_source=thread_source,
            dry_run=dry_run,
        )
        return forked.thread_id

    async def archive_thread(self, thread_id: str) -> list[str]:
        """Move a thread and what it has spawned into the archive; those that are live here are
        shut down, if nothing else stands in the way. Gives the ids of all that were moved.

        Raises: see :func:`state.edit.archive.archive`.
        """
        thread_id = await self._settle(thread_id)
        live = self._open_recorders()
        try:
            return await archive(self.index, thread_id, live, self._sqlite_home)
        finally:
            self._forget_closed()

    async def unarchive_thread(self, thread_id: str) -> list[str]:
        """Take a thread and what it has spawned out of the archive: see
        :func:`state.edit.archive.unarchive`."""
        return await unarchive(self.index, await self._settle(thread_id), self._sqlite_home)

    async def delete_thread(self, thread_id: str, *, purge: bool = False) -> list[str]:
        """Move a thread and what it has spawned into the trash, or ``purge`` them; those that
        are live here are shut down, if nothing else stands in the way. Gives the ids of all.

        Raises: see :func:`state.edit.archive.delete`.
        """
        thread_id = await self._settle(thread_id)
        live = self._open_recorders()
        try:
            return await delete(self.index, thread_id, live, self._sqlite_home, purge=purge)
        finally:
            self._forget_closed()

    async def check_unwritten(self, thread_id: str) -> None:
        """Return if nobody else is writing a thread.

        Raises:
            FileUnusable: the home cannot be written.
            ThreadNotFound: that is no id at all.
            WriterActive: somebody is.
        """
        thread_id = self._id(thread_id)
        if thread_id not in self.live:
            (await self._lock(thread_id)).release()

    async def read_thread(self, thread_id: str) -> Row:
        """The row of a thread that has a file.

        Raises:
            IndexBusy: another process holds the index.
            ThreadNotFound: there is none.
        """
        thread_id = self._id(thread_id)
        await self._follower.catch_up()
        await self._index_file(thread_id)
        return await self.index.thread(thread_id)

    async def lists_items(self, thread_id: str) -> bool:
        """Whether the items of a thread that has a file are listed apart from its turns. Those of
        legacy threads are not, as with Codex; but those of threads without a ``session_meta``, of
        which Codex knows nothing.

        Raises:
            FileUnusable: its file cannot be read.
            HistoryUnknown: it is written in an unknown way.
            IndexBusy: another process holds the index.
            ThreadNotFound: there is none.
        """
        row = await self.read_thread(thread_id)
        if row["history_mode"] != LEGACY:
            return True
        path = self.home / row["rollout_path"]
        plan = await self._read(partial(_typed, path, outline, rollout_locator(self.index)))
        return plan.mode == BARE

    async def with_turns(self, thread_id: str, work: Callable[[Told], Result]) -> Result:
        """What ``work`` makes of the turns that a thread with a file has now, archived ones too:
        most often one of the methods of :class:`state.turns.answers.Told`. It is called in a
        thread, maybe more than once.

        Raises:
            HistoryUnknown: the turns cannot be read.
            FileUnusable: a file of the history cannot be read.
            ThreadNotFound: there is none.
        """
        thread_id = self._id(thread_id)
        # The row need not be true to the file: the turns are.
        place = self.index.database.inline(path_steps(thread_id))
        if place is None or stat_file(self.home, place) is None:
            place = (await self.read_thread(thread_id))["rollout_path"]
        recorder = self._recorders.get(thread_id)
        since = recorder.began_at if recorder and not recorder.closed else None
        path = self.home / place
        while True:
            turns = self.turns
            try:
                return await turns.ask(thread_id, path, lambda folded: work(Told(folded, since)))
            except Closed:
                if self.turns is turns:
                    raise RuntimeError("this store is closed") from None

    async def list_threads(self, query: Query) -> Page:
        """A page of the threads that are indexed, live ones too when they have their file; see
        :meth:`state.thread_index.ThreadIndex.page`. ``await store.index.catch_up()`` once has all
        the home's threads indexed."""
        await self._follower.catch_up()
        return await self.index.page(query)

    async def close(self) -> None:
        """Shut all live threads down.

        Raises:
            RecorderFailed: what waits of one cannot be written, and is given up; all others were
                closed all the same.
        """
        self._closed = True
        async with AsyncExitStack() as stack:  # goes on after an error, and has it raised
            stack.push_async_callback(self._follower.close)
            stack.push_async_callback(self.turns.close)
            for thread_id in self.live:
                recorder = self._recorders[thread_id]
                stack.push_async_callback(recorder.discard)
                stack.push_async_callback(recorder.close)

    async def move_to(self, index: ThreadIndex) -> None:
        """Go on with another index of the same home, as this one was removed or is damaged. What
        is live stays so; the caller closes the old index."""
        old, self.index, self._follower = self._follower, index, IndexFollower(index)
        turns, self.turns = self.turns, TurnIndex(index)
        await turns.close()
        for recorder in self._open_recorders().values():
            self._changed(recorder.path.relative_to(self.home).as_posix())
        await old.give_up()

    def _changed(self, path: str) -> None:
        self._follower.changed(path)

    def _open_recorders(self) -> dict[str, RolloutRecorder]:
        return {id_: self._recorders[id_] for id_ in self.live}

    def _id(self, thread_id: str) -> str:
        """A thread's id as it is written.

        Raises:
            RuntimeError: this store is closed.
            ThreadNotFound: that is no id at all.
        """
        if self._closed:
            raise RuntimeError("this store is closed")
        known = parse_uuid(thread_id)
        if known is None:
            raise ThreadNotFound(str(thread_id))
        return known

    async def _settle(self, thread_id: str) -> str:
        """Have all of a live thread in its file, and any thread in the index: its id."""
        thread_id = self._id(thread_id)
        if thread_id in self.live:
            with suppress(RecorderClosed):  # by somebody else, just now
                await self._recorders[thread_id].persist()
            await self._follower.catch_up()
            if self._follower.error:
                raise self._follower.error
        else:
            await self._index_file(thread_id)
        return thread_id

    async def _index_file(self, thread_id: str) -> None:
        """Have a thread's file in the index, even if that has not come to it yet."""
        if await self._indexed_path(thread_id) is None:
            await self.index.refresh([await self._path(thread_id)])

    def _recorder(self, thread_id: str) -> RolloutRecorder:
        try:
            return self._recorders[self._id(thread_id)]
        except (KeyError, ThreadNotFound):
            raise RecorderClosed(str(thread_id)) from None

    def _forget(self, recorder: RolloutRecorder) -> None:
        if self._recorders.get(recorder.thread_id) is recorder:  # it may be live again by now
            del self._recorders[recorder.thread_id]

    def _forget_closed(self) -> None:
        """Forget the recorders that a move has shut down."""
        for recorder in [*self._recorders.values()]:
            if recorder.closed:
                self._forget(recorder)

    async def _lock(self, thread_id: str) -> WriterLock:
        if thread_id in self.live:
            raise WriterActive(thread_id, "this process")
        return await self.index.database.workers.finish(
            lambda: _typed(self.home / LOCKS, lambda _: WriterLock.acquire(self.home, thread_id)),
            undo=WriterLock.release,
        )

    async def _read(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives, done in a thread, which ends soon if the caller is cancelled."""
        return await self.index.database.workers.run(work)

    async def _path(self, thread_id: str) -> str:
        """Where a thread's file is, relative to the home: what the files' names tell, which is
        true at this moment, and what the index knows besides."""
        files = await self._read(partial(named_files, self.home, thread_id))
        known = await self._indexed_path(thread_id)
        if known is not None and (file := stat_file(self.home, known)):
            files.append(file)
        path = await self._read(partial(thread_file, self.home, thread_id, files))
        if path is None:
            raise ThreadNotFound(thread_id)
        return path

    async def _indexed_path(self, thread_id: str) -> str | None:
        database = self.index.database
        try:
            return database.inline(path_steps(thread_id)) or await database.query(
                path_steps(thread_id)
            )
        except StateError:
            return None  # a broken index keeps nobody from writing


def _typed(path: Path, work: Callable[..., Result], *arguments: Any) -> Result:
    """``work(path, …)`` with errors of the system that say what they are about."""
    with file_errors(path):
        return work(path, *arguments)


async def _git(cwd: str) -> dict[str, Any]:
    facts = await git_facts(cwd)
    return {"git": facts} if facts else {}


@asynccontextmanager
async def open_store(
    home: Path, index_path: Path, sqlite_home: Path | None = None
) -> AsyncGenerator[ThreadStore]:
    """The threads of ``home`` with the index at ``index_path``, which is made when need be. On
    the way out all live threads are shut down. ``sqlite_home`` is where Codex's own database
    lies, if not in the home (``CODEX_SQLITE_HOME``).

    Raises:
        HomeNotFound: there is no such folder.
        IndexTooNew, IndexDamaged, IndexUnavailable: as :func:`state.thread_index.open_index`.
        RecorderFailed: on the way out: see :meth:`ThreadStore.close`.
    """
    check_home(home)
    async with open_index(home, index_path) as index:
        store = ThreadStore(index, sqlite_home)
        try:
            yield store
        finally:
            await store.close()
