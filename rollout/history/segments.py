"""A history that is in several files: a paginated thread's own, and those that it begins in
(docs/rollout-format.md#history-across-files)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout.errors import DamagedCompression, HistoryIncomplete
from rollout.files.layout import parse_name, parse_uuid
from rollout.jsonl.parse import Item, Line, object_of
from rollout.jsonl.reader import LineFilter, LineReader, RolloutStream, open_rollout
from rollout.jsonl.sources import FileSource, RolloutSource

Find = Callable[[str], Path | None]
"""Gives the file that has a rollout id in its name; None if there is none."""


@dataclass(frozen=True, slots=True)
class Part:
    """One physical file of a thread's history, and the ordinals of it that count."""

    path: Path
    rollout_id: str = ""
    end_ordinal: int | None = None
    """The first that does not count; None if all do."""
    end_offset: int | None = None
    """Where those that count end, in bytes of the content, as the next file says."""


def source_meta(path: Path) -> dict[str, Any]:
    """The payload of the first ``session_meta`` in a rollout.

    Raises:
        DamagedCompression: the file is damaged before it.
        HistoryIncomplete: there is none.
        OSError: the file cannot be read.
    """
    with open_rollout(path) as stream:
        return meta_in(stream, path, LineReader())


def meta_in(stream: RolloutStream, path: Path, reader: LineReader) -> dict[str, Any]:
    """As :func:`source_meta`, for the file at ``path`` that is open."""
    for line in reader.lines(stream):
        item = object_of(line) or {}
        payload = item.get("payload")
        if item.get("type") == "session_meta" and isinstance(payload, dict):
            return payload
    raise HistoryIncomplete(path, "it has no session_meta, as files of the first versions")


def history_parts(path: Path, find: Find) -> list[Part]:
    """The files that the history of the thread at ``path`` is in, the oldest first.

    Raises:
        DamagedCompression: the thread's own file is damaged before its ``session_meta``.
        HistoryIncomplete: one of them is not here, or cannot be one.
        OSError: one of them cannot be read.
    """
    parts, missing = known_parts(path, find)
    if missing is not None:
        raise missing
    return parts


def known_parts(path: Path, find: Find) -> tuple[list[Part], HistoryIncomplete | None]:
    """As :func:`history_parts`, but without those that are not here, and why they are not. Raises
    HistoryIncomplete only if the thread's own file has no ``session_meta``."""
    parts: list[Part] = []
    seen: set[str] = set()
    end: int | None = None
    offset: int | None = None
    while True:
        name = parse_name(path.name)
        rollout_id = name.rollout_id if name else None
        if rollout_id is None:
            reason = "its name does not end in an id, so that nothing can name it"
            return parts[::-1] or [Part(path)], HistoryIncomplete(path, reason)
        if rollout_id in seen:
            return parts[::-1], HistoryIncomplete(path, "its history leads back to itself")
        seen.add(rollout_id)
        try:
            base = source_meta(path).get("history_base")
        except HistoryIncomplete as error:
            if not parts:
                raise
            return parts[::-1], error
        except DamagedCompression as error:
            if not parts:
                raise
            return parts[::-1], HistoryIncomplete(path, str(error))
        parts.append(Part(path, rollout_id, end, offset))
        if base is None:
            return parts[::-1], None
        match base:
            case {"thread_id": str(base_id), "end_ordinal_exclusive": int(end)}:
                found = find(parse_uuid(base_id) or base_id)
                offset = base.get("end_byte_offset")
                offset = offset if isinstance(offset, int) else None
            case _:
                return parts[::-1], HistoryIncomplete(path, "its history_base cannot be read")
        if found is None:
            reason = f"its history begins in rollout {base_id}, which is not here"
            return parts[::-1], HistoryIncomplete(path, reason)
        path = found


def records(path: Path, needs: LineFilter | None = None) -> Iterator[tuple[Item, int, int]]:
    """Lines that can be read, each with the bytes where it begins and where the next one does."""
    with open_rollout(path) as stream:
        for line in LineReader().lines(stream, 0, needs):
            if isinstance(line, Line) and (item := object_of(line)) is not None:
                yield item, line.offset, line.offset + len(line.data) + line.ended


class SplicedSource:
    """The lines of other files that a history begins in, and then its own: a
    :class:`rollout.jsonl.sources.RolloutSource`. Its own may grow; those of others never change.
    What the other files say of their threads, their ``session_meta``, is passed over."""

    def __init__(self, earlier: Sequence[tuple[RolloutSource, int]], own: RolloutSource) -> None:
        """``earlier`` are the others in order, each with how many lines of it count."""
        self._own = own
        self._earlier = earlier
        self._inherited = sum(count for _, count in self._earlier)

    @classmethod
    def of_files(cls, parts: Sequence[Part], own: RolloutSource) -> "SplicedSource":
        """The history in ``parts``, those of :func:`history_parts`; the last is the ``own`` one.
        Raises DamagedCompression if one of them is damaged, and OSError if one of them cannot be
        read."""
        earlier: list[tuple[FileSource, int]] = []
        try:
            for part in parts[:-1]:
                source = FileSource(part.path)
                earlier.append((source, _count(source, part)))
        except BaseException:
            for source, _ in earlier:
                source.close()
            raise
        return cls(earlier, own)

    def __len__(self) -> int:
        return self._inherited + len(self._own)

    def items(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        end = len(self) if end is None else min(end, len(self))
        first = 0
        for source, count in self._earlier:
            for index, item in source.items(max(start - first, 0), min(count, max(end - first, 0))):
                if item.get("type") != "session_meta":
                    yield first + index, item
            first += count
        for index, item in self._own.items(max(start - first, 0), max(end - first, 0)):
            yield first + index, item

    def backwards(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Item]]:
        end = len(self) if end is None else min(end, len(self))
        first = self._inherited
        for index, item in self._own.backwards(max(start - first, 0), max(end - first, 0)):
            yield first + index, item
        for source, count in reversed(self._earlier):
            first -= count
            last = min(count, max(end - first, 0))
            for index, item in source.backwards(max(start - first, 0), last):
                if item.get("type") != "session_meta":
                    yield first + index, item

    def enrich(self, **facts: object) -> None:
        self._own.enrich(**facts)

    def close(self) -> None:
        for source, _ in self._earlier:
            source.close()
        self._own.close()


def _count(source: FileSource, part: Part) -> int:
    """How many lines of an inherited file count: those before the byte that the next file names,
    if the ordinals on both sides of it agree."""
    end = part.end_ordinal
    if end is None:
        return len(source)
    if part.end_offset is not None:
        at = source.lines_before(part.end_offset)
        before = next((_ordinal(item) for _, item in source.backwards(0, at)), -1)
        after = next((_ordinal(item) for _, item in source.items(at)), end)
        if before < end <= after:
            return at
    return next((index for index, item in source.items() if _ordinal(item) >= end), len(source))


def _ordinal(item: Item) -> int:
    ordinal = item.get("ordinal")
    return ordinal if isinstance(ordinal, int) else -1


def raw_lines(parts: Sequence[Part]) -> Iterator[bytes]:
    """The lines, each with a newline, in order, as far as they read: of files that the history
    begins in those that count, without what these say of their own threads; of the last file all.
    Raises OSError if a file cannot be read."""
    for part in parts[:-1]:
        yield from _inherited(part)
    with open_rollout(parts[-1].path, []) as stream:
        for line in LineReader().lines(stream):
            if isinstance(line, Line):
                yield bytes(line.data) + b"\n"


def _inherited(part: Part) -> Iterator[bytes]:
    with open_rollout(part.path, []) as stream:
        for line in LineReader().lines(stream):
            if not isinstance(line, Line) or (item := object_of(line)) is None:
                continue
            if part.end_ordinal is not None and _ordinal(item) >= part.end_ordinal:
                return
            if item.get("type") != "session_meta":
                yield bytes(line.data) + b"\n"
