"""The turns of whole threads, from one file or from those that a history is spliced of
(docs/rollout-format.md#history-across-files)."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rollout.errors import Damage, DamagedCompression, HistoryIncomplete, HistoryUnknown
from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.history.segments import Find, Part, known_parts, source_meta
from rollout.jsonl.parse import BadLine, Item, Line, parse_line
from rollout.jsonl.reader import LineReader, RolloutStream, open_rollout
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.turns.bare import BARE, BareReducer
from rollout.turns.item_reader import ItemReader
from rollout.turns.item_refs import ItemRef, Position
from rollout.turns.legacy import LegacyReducer
from rollout.turns.paginated import PaginatedReducer
from rollout.turns.turn import LineReducer, Turn, TurnReducer

_SKIPPED_BYTES: Final = 2**16
AnyReducer = LegacyReducer | PaginatedReducer | BareReducer


@dataclass(frozen=True, slots=True)
class ThreadTurns:
    """The turns of a thread, and where the items in them are."""

    mode: str
    parts: list[Part]
    turns: Sequence[Turn]
    orphans: list[Turn]
    """Items of turns that do not exist, or of none."""
    missing: HistoryIncomplete | None
    """Why the turns that the history begins with are not here, if they are not."""
    damage: list[Damage] = field(default_factory=list)
    """Where files of the history break off."""

    def reader(self) -> ItemReader:
        """Gives the items; use it in a ``with``."""
        return ItemReader([part.path for part in self.parts], self.mode)

    def refs(self) -> Iterator[tuple[Turn, ItemRef]]:
        """All items of the thread in the order of their first lines, each with its turn."""
        if self.mode != PAGINATED:
            every_turn = (*self.orphans, *self.turns)
            yield from ((turn, ref) for turn in every_turn for ref in turn.items)
            return
        every = (_by_ordinal(turn) for turn in (*self.turns, *self.orphans))
        for _, _, turn, ref in heapq.merge(*every, key=lambda entry: entry[:2]):
            yield turn, ref


def _by_ordinal(turn: Turn) -> Iterator[tuple[int, str, Turn, ItemRef]]:
    for ref in turn.items:
        yield ref.ordinal, turn.id, turn, ref


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of a thread's history before its lines are read."""

    mode: str
    parts: list[Part]
    missing: HistoryIncomplete | None
    shown_from: int
    """The first ordinal that is the thread's own to show."""

    def new_reducer(self) -> AnyReducer:
        """A reducer that has seen no line yet."""
        if self.mode == LEGACY:
            return LegacyReducer()
        if self.mode == BARE:
            return BareReducer()
        return PaginatedReducer(shown_from=self.shown_from)


def outline(path: Path, find: Find) -> Outline:
    """How the history of the thread is made up whose rollout is at ``path``; ``find`` gives the
    files that it begins in. One without a ``session_meta`` is :data:`rollout.turns.bare.BARE`.
    Raises HistoryUnknown if its history mode is not known, and OSError if a file cannot be read."""
    try:
        meta = source_meta(path)
    except (DamagedCompression, HistoryIncomplete):  # the rest is shown all the same
        return Outline(BARE, [Part(path)], None, 0)
    mode = meta.get("history_mode", LEGACY)
    if mode == LEGACY:
        return Outline(mode, [Part(path)], None, 0)
    if mode != PAGINATED:
        raise HistoryUnknown(path, mode)
    parts, missing = known_parts(path, find)
    if meta.get("attached_thread") is True:
        # The thread that it is attached to shows the rest; here only the model gets it.
        parts, missing = parts[-1:], None
    start = meta.get("subagent_history_start_ordinal")
    return Outline(mode, parts, missing, start if isinstance(start, int) else 0)


def open_history(path: Path, find: Find) -> ThreadTurns:
    """The turns of the thread whose rollout is at ``path``, as far as it reads: see
    :func:`outline`."""
    known = outline(path, find)
    reducer = known.new_reducer()
    damage: list[Damage] = []
    reduce_parts(known.parts, reducer, damage)
    orphans = [*reducer.orphans.values()]
    return ThreadTurns(known.mode, known.parts, reducer.turns, orphans, known.missing, damage)


def bare_if_empty(history: ThreadTurns) -> ThreadTurns:
    """A legacy history without turns, read as one of the first versions: its response items are all
    that there is. Any other history is returned unchanged. Raises OSError if its file cannot be
    read."""
    if history.turns or history.mode != LEGACY:
        return history
    reducer = BareReducer()
    reduce_file(history.parts[-1].path, reducer, damage=[])
    if history.orphans and not reducer.turns:
        return history
    return replace(history, mode=BARE, turns=reducer.turns, orphans=[])


def reduce_parts(
    parts: Sequence[Part], reducer: TurnReducer, damage: list[Damage] | None = None
) -> None:
    """As :func:`reduce_part`, for each file of a history."""
    for number, part in enumerate(parts):
        reduce_part(part, number, reducer, damage=damage)


def reduce_part(
    part: Part,
    number: int,
    reducer: TurnReducer,
    *,
    offset: int = 0,
    end: int | None = None,
    torn: bool = True,
    pause: Callable[[], None] | None = None,
    damage: list[Damage] | None = None,
) -> int:
    """Feed ``reducer`` the lines that count of one file of a history, from ``offset`` on and before
    the byte ``end``; gives where the last line that has ended does.

    A last line without a newline counts if it can be read, as for Codex; whoever saves the state
    of the reducer says ``torn=False``, for such a line may still be written. ``pause`` is called
    before each read; what it raises ends the work. Of ``damage`` see
    :func:`rollout.jsonl.reader.open_rollout`.

    Raises:
        DamagedCompression: the file is damaged, and no ``damage`` given.
        OSError: it cannot be read.
    """
    with open_rollout(part.path, damage) as stream:
        pass_to(stream, part.path, offset)
        if pause or end is not None:
            stream = _Section(stream, None if end is None else end - offset, pause)
        reached = reduce_stream(
            stream,
            reducer,
            LineReader(),
            file=number,
            offset=offset,
            end_ordinal=part.end_ordinal,
            torn=torn,
        )
    if part.end_ordinal is not None and isinstance(reducer, PaginatedReducer):
        reducer.end_part(part.end_ordinal)
    return reached


def reduce_file(path: Path, reducer: TurnReducer, damage: list[Damage] | None = None) -> None:
    """As :func:`reduce_part`, for a file that is a history of its own."""
    reduce_part(Part(path), 0, reducer, damage=damage)


def reduce_stream(
    stream: RolloutStream,
    reducer: LineReducer,
    reader: LineReader,
    *,
    file: int = 0,
    offset: int = 0,
    end_ordinal: int | None = None,
    torn: bool = True,
) -> int:
    """As :func:`reduce_part`, for an open file that is at ``offset``."""
    for line in reader.lines(stream, offset, reducer):
        if reader.passed:
            reducer.pass_over(reader.passed, reader.highest)
            reader.passed = 0
        if not isinstance(line, Line) or not (line.ended or torn):
            continue
        item = parse_line(line)
        if item is None or isinstance(item, BadLine):
            continue
        if end_ordinal is not None and _number(item) >= end_ordinal:
            break
        give(reducer, item, line, file)
    reducer.pass_over(reader.passed, reader.highest)
    return reader.end_offset


def give(reducer: LineReducer, item: Item, line: Line, file: int = 0) -> None:
    """Have a reducer take a line, which holds ``item``."""
    offset, number = line.offset, _number(item)
    before = Position(file, offset, number)
    reducer.take(item, before, Position(file, offset + len(line.data) + 1, number + 1))


def _number(item: Item) -> int:
    ordinal = item.get("ordinal")
    return ordinal if isinstance(ordinal, int) else 0


class _Section:
    """A stream that ends after so many bytes, and calls a function before each read."""

    def __init__(
        self, stream: RolloutStream, left: int | None, pause: Callable[[], None] | None
    ) -> None:
        self._stream, self._left, self._pause = stream, left, pause
        self.seek, self.fileno = stream.seek, stream.fileno

    def readinto(self, buffer: memoryview, /) -> int | None:
        if self._pause:
            self._pause()
        got = self._stream.readinto(buffer[: self._left])
        if self._left is not None:
            self._left -= got or 0
        return got


def pass_to(stream: RolloutStream, path: Path, offset: int) -> None:
    """Have the stream of the file at ``path``, which was just opened, continue at ``offset``."""
    if not path.name.endswith(COMPRESSED_SUFFIX):
        stream.seek(offset)
        return
    buffer = memoryview(bytearray(_SKIPPED_BYTES))
    while offset and (got := stream.readinto(buffer[: min(offset, _SKIPPED_BYTES)])):
        offset -= got
