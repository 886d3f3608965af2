"""A store of threads in memory, with the interface of :class:`state.thread_store.ThreadStore`: for
tests of programs that record threads.

It has no file, no index and no lock. What a thread holds are the bytes that its rollout would have,
and they are written and read by what reads and writes files: the same items are kept, and history,
turns, forks and rows are made of them by the same rules. The contract tests run on both.
"""

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeVar

from rollout.errors import NotAppendable, WriterActive
from rollout.files.layout import parse_name, parse_uuid
from rollout.files.move import archive_path
from rollout.files.stamp import FileStamp
from rollout.history.model_context import context_items
from rollout.history.segments import SplicedSource, history_parts, source_meta
from rollout.history.thread import outline, reduce_parts
from rollout.jsonl.parse import BadLine, Item, parse_line
from rollout.jsonl.reader import LineReader, MemoryRollout, open_rollout
from rollout.jsonl.resume import ResumePoint
from rollout.jsonl.sources import MemorySource, RolloutSource, session_meta
from rollout.metadata.extract import Extracted
from rollout.metadata.model import BEGINS_ELSEWHERE, LONGEST_TEXT, initial_metadata
from rollout.metadata.reducer import MetadataReducer
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.session_source import thread_spawn
from rollout.schema.strict import Fields
from rollout.writing.amend import amended_meta
from rollout.writing.appender import encoded, encoded_lines, last_ordinal, timestamp
from rollout.writing.fork import write_lines
from rollout.writing.new_thread import NewThread, first_line, rollout_path
from rollout.writing.retention import begins_history, fault_of, persisted
from state.db.derived_columns import Facet, searchable
from state.db.location import cwd_key, spellings
from state.edit.fork import fork_point, name_of_fork, plan_at_folder, settings_of_fork
from state.edit.git import git_facts
from state.edit.lineage import LineageNode, with_descendants
from state.edit.metadata import (
    GIT_FIELDS,
    Changed,
    check_memory_mode,
    checked_git,
    checked_name,
    git_with,
    repeated_meta,
)
from state.errors import (
    AlreadyArchived,
    HasDependents,
    NotArchived,
    RecorderClosed,
    StateError,
    ThreadArchived,
    ThreadExists,
    ThreadNotFound,
)
from state.query.listing import fits, page_of
from state.query.model import Page, Query
from state.query.rows import COLUMNS, Row
from state.sync.home_config import DEFAULT_PROVIDER
from state.sync.openings import base_id, show_opening
from state.sync.thread_rows import thread_row
from state.turns.answers import Told
from state.turns.checkpoint import TurnState
from state.workers import Workers

_MOST_READERS: Final = 4
Result = TypeVar("Result")


class MemoryStore:
    """Threads in memory. Make one with :func:`open_memory_store`. Each method does what that of
    :class:`state.thread_store.ThreadStore` does; what it raises for files and locks is not
    raised."""

    def __init__(self) -> None:
        self._threads: dict[str, _Thread] = {}
        """Those that would have a file."""
        self._recorders: dict[str, _Recorder] = {}
        self._workers = Workers(_MOST_READERS)
        self._closed = False

    @property
    def live(self) -> list[str]:
        """The ids of the threads that are being recorded, the oldest first."""
        return list(self._recorders)

    def is_live(self, thread_id: str) -> bool:
        """Whether a thread is being recorded."""
        return thread_id in self._recorders

    @property
    def index_error(self) -> StateError | None:
        """None: there is no index that could be behind."""
        return None

    def path_of(self, thread_id: str) -> Path:
        """Where a live thread would have its file, relative to a home.

        Raises:
            RecorderClosed: the thread is not live.
        """
        return Path(self._recorder(thread_id).thread.path)

    async def create_thread(self, thread: NewThread) -> str:
        """Begin a thread, and give its id. It is not listed before its first message from a user,
        or :meth:`persist_thread`.

        Raises:
            ThreadExists: there is one with its id.
            WriterActive: one with its id is live.
        """
        if self._id(thread.id) in self._threads:
            raise ThreadExists(thread.id)
        self._check_unwritten(thread.id)
        made = _Thread(thread.id, rollout_path(thread.id, datetime.now()))
        meta = first_line(thread, timestamp(), None)
        paginated = thread.history_mode == PAGINATED
        recorder = _Recorder(
            made,
            thread.history_mode,
            MemorySource([meta]),
            next_ordinal=thread.forked_from_ordinal_exclusive or 0 if paginated else None,
            extended=thread.extended,
        )
        self._recorders[thread.id] = recorder
        if git := await git_facts(thread.cwd):
            recorder.source.enrich(git=git)
        return thread.id

    async def resume_thread(self, thread_id: str) -> RolloutSource:
        """Go on with a stored thread. Gives what it holds, which follows what is appended.

        Raises:
            HistoryIncomplete: its history begins in a thread that is not here.
            NotAppendable: nothing can follow what it holds.
            ThreadArchived: take it out of the archive first.
            ThreadNotFound: there is none.
            WriterActive: it is live.
        """
        thread_id = self._id(thread_id)
        self._check_unwritten(thread_id)
        thread = self._stored(thread_id)
        if thread.archived:
            raise ThreadArchived(thread_id)
        source = MemorySource(thread.items())
        history = self._whole(thread, source)
        mode = source_meta(thread.rollout).get("history_mode", LEGACY)
        ordinal = None
        if mode == PAGINATED:
            try:
                last = last_ordinal(source)
            except LookupError as error:
                raise NotAppendable(Path(thread.path), str(error)) from error
            ordinal = 0 if last is None else last + 1
        self._recorders[thread_id] = _Recorder(
            thread,
            mode,
            source,
            next_ordinal=ordinal,
            history=history,
            began_at=len(thread.rollout.content),
        )
        return history

    async def append_items(self, thread_id: str, items: Sequence[Item]) -> None:
        """Record items of a live thread: ``{"type": …, "payload": …}``, as in rollouts.

        Raises:
            NotAppendable: one of them is no item, or no JSON, or a ``session_meta``, of which a
                thread has its own; none is taken.
            RecorderClosed: the thread is not live.
        """
        recorder = self._recorder(thread_id)
        for item in items:
            if fault := fault_of(item):
                raise NotAppendable(Path(recorder.thread.path), fault)
        if recorder.append(items):
            self._begin(recorder)

    async def persist_thread(self, thread_id: str) -> None:
        """Have the thread stored, with all items so far.

        Raises:
            RecorderClosed: the thread is not live.
        """
        self._begin(self._recorder(thread_id))

    async def flush_thread(self, thread_id: str, *, durable: bool = False) -> None:
        """Nothing waits: this only checks that the thread is live.

        Raises:
            RecorderClosed: it is not.
        """
        self._recorder(thread_id)

    async def shutdown_thread(self, thread_id: str) -> None:
        """End the recording. A thread that was not stored leaves no trace.

        Raises:
            RecorderClosed: the thread is not live.
        """
        del self._recorders[self._recorder(thread_id).thread.id]

    async def discard_thread(self, thread_id: str) -> None:
        """End the recording. Nothing waits that could be given up, but of a thread that was not
        stored.

        Raises:
            RecorderClosed: the thread is not live.
        """
        await self.shutdown_thread(thread_id)

    async def load_history(self, thread_id: str) -> RolloutSource:
        """What a thread holds, archived ones too.

        Raises:
            HistoryIncomplete: it begins in a thread that is not here.
            ThreadNotFound: there is none.
        """
        thread_id = self._id(thread_id)
        if thread_id in self._recorders:
            return self._recorders[thread_id].history
        thread = self._stored(thread_id)
        return self._whole(thread, MemorySource(thread.items()))

    async def with_context(
        self, thread_id: str, work: Callable[[Iterator[Fields]], Result]
    ) -> Result:
        """What ``work``, called in a thread, makes of the response items that a model is shown
        when the thread goes on (:func:`rollout.history.model_context.context_items`).

        Raises:
            HistoryIncomplete, HistoryUnknown: they cannot be read.
            ThreadNotFound: there is none.
        """
        rollout = self._settled(thread_id).rollout
        return await self._workers.run(lambda: work(context_items(rollout, self._find)))

    async def set_thread_name(self, thread_id: str, name: str) -> Changed:
        """Name a thread. A live one is stored; so it is with all that follow.

        Raises: see :func:`state.edit.metadata.set_name`.
        """
        thread = self._settled(thread_id)
        name = checked_name(name)
        if thread.archived:
            raise ThreadArchived(thread.id)
        thread.name = name
        return Changed(thread.id)

    async def set_memory_mode(self, thread_id: str, mode: str) -> Changed:
        """Say whether memories may be made of a thread: see
        :func:`state.edit.metadata.set_memory_mode`."""
        thread = self._settled(thread_id)
        check_memory_mode(mode)
        if thread.archived:
            raise ThreadArchived(thread.id)
        facts = {"memory_mode": mode}
        return self._change(thread, facts, facts)

    async def update_thread_metadata(
        self, thread_id: str, git: Mapping[str, str | None]
    ) -> Changed:
        """Set git facts of a thread: see :func:`state.edit.metadata.set_git_info`."""
        thread = self._settled(thread_id)
        given = checked_git(git)
        facts = {GIT_FIELDS[field][0]: value for field, value in given.items()}
        return self._change(thread, facts, {"git": git_with(thread.row(), given)})

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
        """Make a new thread that begins as another one did: see
        :func:`state.edit.fork.fork_thread`.
        Gives its id; resume it to write it."""
        thread = self._settled(thread_id)
        cut = fork_point(last_turn, before_turn)
        if thread.archived:
            raise ThreadArchived(thread.id)
        row, meta = thread.row(), source_meta(thread.rollout)
        begun = settings_of_fork(row, meta, source, thread_source=thread_source, cwd=cwd)
        fork = plan_at_folder(thread.rollout, begun, cut, self._find, cwd)
        if dry_run:
            return begun.id
        file = BytesIO()
        write_lines(fork, file, await git_facts(begun.cwd))
        made = _Thread(begun.id, rollout_path(begun.id, datetime.now()))
        made.name = name_of_fork(row)
        made.write(file.getvalue())
        self._threads[begun.id] = made
        return begun.id

    async def archive_thread(self, thread_id: str) -> list[str]:
        """Archive a thread and what it has spawned; those that are live are shut down. Gives the
        ids of all that were archived.

        Raises:
            AlreadyArchived, ThreadNotFound: see :func:`state.edit.archive.archive`.
        """
        return self._move(self._settled(thread_id), archived=True)

    async def unarchive_thread(self, thread_id: str) -> list[str]:
        """Take a thread and what it has spawned out of the archive.

        Raises:
            NotArchived, ThreadNotFound: see :func:`state.edit.archive.unarchive`.
        """
        return self._move(self._settled(thread_id), archived=False)

    async def delete_thread(self, thread_id: str, *, purge: bool = False) -> list[str]:
        """Remove a thread and what it has spawned, for good: there is no trash. Gives the ids of
        all.

        Raises:
            DependedOn, ThreadNotFound: see :func:`state.edit.archive.delete`.
        """
        thread = self._settled(thread_id)
        leaving = [*reversed(with_descendants(thread.id, self._known()))]
        for other in self._threads.values():
            if other.id in leaving:
                continue
            row = other.row()
            if base_id(row["history_base"] or "") in leaving:
                raise HasDependents(thread.id, other.id, "has its history begin in it")
            if row["attached_thread_parent_id"] in leaving:
                raise HasDependents(thread.id, other.id, "is attached to it")
        for id_ in leaving:
            self._recorders.pop(id_, None)
            del self._threads[id_]
        return leaving

    async def check_unwritten(self, thread_id: str) -> None:
        """Return: nobody else writes threads of this process.

        Raises:
            ThreadNotFound: that is no id at all.
        """
        self._id(thread_id)

    async def read_thread(self, thread_id: str) -> Row:
        """The row of a thread that is stored, with the columns of a list.

        Raises:
            ThreadNotFound: there is none.
        """
        return _listed(self._shown(self._stored(self._id(thread_id))))

    async def lists_items(self, thread_id: str) -> bool:
        """Whether the items of a thread are listed apart from its turns.

        Raises:
            ThreadNotFound: there is none.
        """
        return bool((await self.read_thread(thread_id))["history_mode"] != LEGACY)

    async def with_turns(self, thread_id: str, work: Callable[[Told], Result]) -> Result:
        """What ``work``, called in a thread, makes of the turns that a stored thread has now.

        Raises:
            HistoryUnknown: the turns cannot be read.
            ThreadNotFound: there is none.
        """
        thread = self._stored(self._id(thread_id))
        recorder = self._recorders.get(thread.id)

        def told() -> Result:
            known = outline(thread.rollout, self._find)
            fold = known.new_reducer()
            reduce_parts(known.parts, fold)
            return work(Told(TurnState(known, [], fold), recorder.began_at if recorder else None))

        return await self._workers.run(told)

    async def list_threads(self, query: Query) -> Page:
        """A page of the threads that are stored; see :func:`state.query.listing.page_steps`.

        Raises:
            InvalidCursor: the query's cursor is not one of this list.
        """
        place = query.decoded_cursor()
        key = f"{query.sort_key}_ms"
        rows = {row["id"]: row for row in self._selected(query)}
        found = sorted(((row[key], id_) for id_, row in rows.items()), reverse=query.descending)
        if place is not None:
            at = (place.key_ms, place.thread_id)
            found = [each for each in found if (each < at) == query.descending and each != at]
        more = found[: query.limit + 1]
        return page_of(query, more, {id_: _listed(rows[id_]) for _, id_ in more})

    async def close(self) -> None:
        """End all recording."""
        self._closed = True
        self._recorders.clear()

    def _shown(self, thread: "_Thread") -> dict[str, Any]:
        """The row of a thread, with what it begins with where another one has that."""
        row = thread.row()
        if not row["flags"] & BEGINS_ELSEWHERE:
            return row
        row, base = dict(row), row
        seen: set[str] = set()
        while base["flags"] & BEGINS_ELSEWHERE and base["id"] not in seen:
            seen.add(base["id"])
            source = self._threads.get(base_id(base["history_base"]) or "")
            if source is None:
                break
            base = source.row()
        show_opening(row, str(base["preview"]))
        return row

    def _selected(self, query: Query) -> Iterator[Row]:
        rows = [self._shown(thread) for thread in self._threads.values()]
        kin = self._kin(query)
        folders = None
        if query.cwds is not None:
            folders = {cwd_key(each) for cwd in query.cwds for each in spellings(cwd)}
        excluded = {parse_uuid(id_) for id_ in query.excluded_ids}
        included = None
        if query.included_ids is not None:
            included = {parse_uuid(id_) for id_ in query.included_ids}
        for row in rows:
            if (
                fits(query, Facet.decode(row["facet"]))
                and (kin is None or row["id"] in kin)
                and (folders is None or row["cwd_key"] in folders)
                and row["id"] not in excluded
                and (included is None or row["id"] in included)
                and (query.search is None or searchable(query.search) in row["search_text"])
            ):
                yield row

    def _kin(self, query: Query) -> set[str] | None:
        """The threads that the query's one has spawned; None if it names none."""
        wanted = parse_uuid(query.parent_id or query.ancestor_id)
        if wanted is None:
            return None
        known = self._known()
        if wanted not in known:
            return {id_ for id_, parent in self._parents().items() if parent == wanted}
        return set(
            known[wanted].spawned if query.parent_id else with_descendants(wanted, known)[1:]
        )

    def _known(self) -> dict[str, LineageNode]:
        known = {id_: LineageNode(thread.archived, 0) for id_, thread in self._threads.items()}
        for child, parent in sorted(self._parents().items()):
            if parent in known:
                known[parent].spawned.append(child)
        return known

    def _parents(self) -> dict[str, str]:
        rows = [thread.row() for thread in self._threads.values()]
        return {
            row["id"]: row["parent_thread_id"]
            for row in rows
            if row["parent_thread_id"] and thread_spawn(row["source"]) is not None
        }

    def _move(self, thread: "_Thread", *, archived: bool) -> list[str]:
        if thread.archived == archived:
            raise (AlreadyArchived if archived else NotArchived)(thread.id)
        moved = [
            id_
            for id_ in reversed(with_descendants(thread.id, self._known()))
            if self._threads[id_].archived != archived
        ]
        for id_ in moved:
            self._recorders.pop(id_, None)
            self._threads[id_].move(archived=archived)
        return moved

    def _change(
        self, thread: "_Thread", facts: Mapping[str, str | None], payload: Mapping[str, Any]
    ) -> Changed:
        row = thread.row()
        if row["history_mode"] != LEGACY:
            thread.override({key: value or "" for key, value in facts.items()})
            return Changed(thread.id)
        line = amended_meta(thread.rollout, thread.id, {**repeated_meta(row), **payload})
        written = thread.write(encoded(line, timestamp(), None))
        if recorder := self._recorders.get(thread.id):
            recorder.source.append(written)
        return Changed(thread.id)

    def _begin(self, recorder: "_Recorder") -> None:
        recorder.begin()
        self._threads[recorder.thread.id] = recorder.thread

    def _whole(self, thread: "_Thread", own: MemorySource) -> RolloutSource:
        """What a thread holds, with what its history begins with."""
        meta = session_meta(own)
        if meta is None or meta["payload"].get("history_base") is None:
            return own
        bases: list[tuple[RolloutSource, int]] = []
        for part in history_parts(thread.rollout, self._find)[:-1]:
            base = MemorySource(self._threads[part.rollout_id].items())
            end = part.end_ordinal
            behind = (at for at, item in base.items() if end is not None and item["ordinal"] >= end)
            bases.append((base, next(behind, len(base))))
        return SplicedSource(bases, own)

    def _find(self, rollout_id: str) -> Path | None:
        thread = self._threads.get(rollout_id)
        return thread.rollout if thread else None

    def _id(self, thread_id: str) -> str:
        if self._closed:
            raise RuntimeError("this store is closed")
        known = parse_uuid(thread_id)
        if known is None:
            raise ThreadNotFound(str(thread_id))
        return known

    def _stored(self, thread_id: str) -> "_Thread":
        try:
            return self._threads[thread_id]
        except KeyError:
            raise ThreadNotFound(thread_id) from None

    def _settled(self, thread_id: str) -> "_Thread":
        """A thread, which is stored if it is live."""
        thread_id = self._id(thread_id)
        if thread_id in self._recorders:
            self._begin(self._recorders[thread_id])
        return self._stored(thread_id)

    def _recorder(self, thread_id: str) -> "_Recorder":
        try:
            return self._recorders[self._id(thread_id)]
        except (KeyError, ThreadNotFound):
            raise RecorderClosed(str(thread_id)) from None

    def _check_unwritten(self, thread_id: str) -> None:
        if thread_id in self._recorders:
            raise WriterActive(thread_id, "this process")


class _Thread:
    """A thread: the content of its rollout, and what was set besides."""

    def __init__(self, thread_id: str, path: str) -> None:
        self.id = thread_id
        self.rollout = MemoryRollout.named(path)
        self.archived = False
        self._path = path
        self._name: str | None = None
        self._overrides: dict[str, str] = {}
        self._mtime_ns = 0
        self._row: dict[str, Any] | None = None

    @property
    def path(self) -> str:
        """Where its file would be, relative to a home."""
        return archive_path(self._path) if self.archived else self._path

    @property
    def name(self) -> str | None:
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name, self._row = name, None

    def override(self, facts: Mapping[str, str]) -> None:
        """Set what a paginated rollout never says again."""
        self._overrides |= facts
        self._row = None

    def move(self, *, archived: bool) -> None:
        self.archived, self._row = archived, None
        if not archived:
            self._mtime_ns = time.time_ns()  # as with the file, which Codex touches

    def write(self, lines: bytes) -> list[Item]:
        """Append whole lines; gives them as they read."""
        start = len(self.rollout.content)
        self.rollout.content += lines
        self._mtime_ns, self._row = time.time_ns(), None
        return self.items(start)

    def items(self, offset: int = 0) -> list[Item]:
        """What its lines hold from ``offset`` on."""
        with open_rollout(self.rollout) as stream:
            stream.seek(offset)
            lines = [*LineReader().lines(stream, offset)]
        read = [None if isinstance(line, BadLine) else parse_line(line) for line in lines]
        return [item for item in read if item is not None and not isinstance(item, BadLine)]

    def row(self) -> dict[str, Any]:
        """All columns of its row."""
        if self._row is None:
            name = parse_name(self._path)
            assert name is not None
            fold = MetadataReducer(initial_metadata(name), LONGEST_TEXT)
            with open_rollout(self.rollout) as stream:
                for line in LineReader().lines(stream):
                    fold.apply(line)
            size = len(self.rollout.content)
            read = Extracted(
                self.path,
                ResumePoint(FileStamp(size, self._mtime_ns, 0), size, ""),
                fold.metadata,
                fold.tools,
                fold.bad_lines,
                fold.first_bad,
            )
            self._row = thread_row(read, self._name, DEFAULT_PROVIDER, self._overrides)
        return self._row


class _Recorder:
    """A thread that is live."""

    def __init__(
        self,
        thread: _Thread,
        mode: str,
        source: MemorySource,
        *,
        next_ordinal: int | None,
        extended: bool = False,
        history: RolloutSource | None = None,
        began_at: int = 0,
    ) -> None:
        self.thread = thread
        self.source = source
        self.began_at = began_at
        self._mode = mode
        self._next_ordinal = next_ordinal
        self._extended = extended
        self._history = history
        self._begun = history is not None

    @property
    def history(self) -> RolloutSource:
        """What the thread holds."""
        return self._history or self.source

    def append(self, items: Sequence[Item]) -> bool:
        """Take items: whether the thread is to be stored from now on, if it was not.

        Raises:
            NotAppendable: an item is no JSON; none is taken.
        """
        kept = [
            kept
            for item in items
            if (kept := persisted(item, self._mode, extended=self._extended)) is not None
        ]
        if self._begun:
            self.source.append(self._write(kept))
            return False
        for item in kept:
            encoded(item, "", None)  # raises now, not when the thread is stored
        self.source.append(kept)
        return any(map(begins_history, kept))

    def begin(self) -> None:
        """Have what waits stored."""
        if not self._begun:
            self._begun = True
            self.source = MemorySource(self._write([item for _, item in self.source.items()]))

    def _write(self, items: Sequence[Item]) -> list[Item]:
        lines = encoded_lines(items, self._next_ordinal)
        if self._next_ordinal is not None:
            self._next_ordinal += len(lines)
        return self.thread.write(b"".join(lines))


def _listed(row: Mapping[str, Any]) -> Row:
    return {name: row[name] for name in COLUMNS.split(", ")}


@asynccontextmanager
async def open_memory_store() -> AsyncGenerator[MemoryStore]:
    """A new and empty store in memory; what it holds is gone with it."""
    store = MemoryStore()
    try:
        yield store
    finally:
        await store.close()
