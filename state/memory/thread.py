"""A thread in memory: the bytes that its rollout would have, and who appends to them."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout.files.layout import parse_name
from rollout.files.move import archive_path
from rollout.files.stamp import FileStamp
from rollout.jsonl.parse import BadLine, Item, parse_line
from rollout.jsonl.reader import LineReader, MemoryRollout, open_rollout
from rollout.jsonl.resume import ResumePoint
from rollout.jsonl.sources import MemorySource, RolloutSource
from rollout.metadata.model import LONGEST_TEXT, initial_metadata
from rollout.metadata.outcomes import Extracted
from rollout.metadata.reducer import MetadataReducer
from rollout.writing.appender import encoded, encoded_lines
from rollout.writing.retention import begins_history
from state.recording.recorder import kept_items
from state.recording.resume import OpenedThread
from state.rows.home_config import DEFAULT_PROVIDER
from state.rows.thread_rows import thread_row


class MemoryThread:
    """The content of a thread's rollout, and what was set besides."""

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
        """The path that its file would have, relative to a home."""
        return archive_path(self._path) if self.archived else self._path

    def rename(self, name: str | None) -> None:
        self._name, self._row = name, None

    def override(self, values: Mapping[str, str]) -> None:
        """Set what a paginated rollout does not repeat."""
        self._overrides |= values
        self._row = None

    def move(self, *, archived: bool) -> None:
        self.archived, self._row = archived, None
        if not archived:
            self._mtime_ns = time.time_ns()  # as for a file, which Codex touches

    def write(self, lines: bytes) -> list[Item]:
        """Append whole lines. Gives the items that are read from them."""
        start = len(self.rollout.content)
        self.rollout.content += lines
        self._mtime_ns, self._row = time.time_ns(), None
        return self.items(start)

    def items(self, offset: int = 0) -> list[Item]:
        """The items of its lines from ``offset`` on."""
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
            reducer = MetadataReducer(initial_metadata(name), LONGEST_TEXT)
            with open_rollout(self.rollout) as stream:
                for line in LineReader().lines(stream):
                    reducer.apply(line)
            size = len(self.rollout.content)
            read = Extracted(
                self.path,
                ResumePoint(FileStamp(size, self._mtime_ns, 0), size, ""),
                reducer.metadata,
                reducer.tools,
                reducer.bad_lines,
                reducer.first_bad,
                usage=reducer.usage.usage(),
            )
            self._row = thread_row(read, self._name, DEFAULT_PROVIDER, self._overrides)
        return self._row


class MemoryRecorder:
    """Records one thread. Whatever it takes is written at once."""

    def __init__(
        self, opened: OpenedThread, thread: MemoryThread, stored: Callable[[MemoryThread], object]
    ) -> None:
        """``stored`` is called when a new thread gets its content."""
        assert isinstance(opened.source, MemorySource)
        self.thread_id = thread.id
        self.began_at = opened.size
        self.closed = False
        self.own = opened.source
        self._thread = thread
        self._stored = stored
        self._mode = opened.mode
        self._extended = opened.extended
        self._next_ordinal = opened.next_ordinal
        self._history = opened.history
        self._begun = opened.history is not None

    @property
    def path(self) -> Path:
        return Path(self._thread.path)

    @property
    def source(self) -> RolloutSource:
        """All that the thread holds."""
        return self._history or self.own

    async def append(self, items: Sequence[Item]) -> None:
        kept = kept_items(items, self._mode, extended=self._extended)
        if self._begun:
            self.own.append(self._write(kept))
            return
        for item in kept:
            encoded(item, "", None)  # raises now, not when the thread is stored
        self.own.append(kept)
        if any(map(begins_history, kept)):
            self.begin()

    async def persist(self) -> None:
        self.begin()

    async def flush(self, *, durable: bool = False) -> None:
        pass

    async def close(self) -> None:
        self.closed = True

    discard = close

    def begin(self) -> None:
        """Store a new thread, with all items so far."""
        if not self._begun:
            self._begun = True
            self.own = MemorySource(self._write([item for _, item in self.own.items()]))
            self._stored(self._thread)

    def _write(self, items: Sequence[Item]) -> list[Item]:
        lines = encoded_lines(items, self._next_ordinal)
        if self._next_ordinal is not None:
            self._next_ordinal += len(lines)
        return self._thread.write(b"".join(lines))
