"""What a model is shown of a thread that continues: the response items since the last compaction
(docs/rollout-format.md#response_item).

Two passes, which hold no more than a line and the spans that were rolled back: one finds where to
begin, the other gives the items.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rollout.errors import HistoryUnknown
from rollout.history.fork_points import LegacyForkPoints
from rollout.history.segments import Find, Part, history_parts, source_meta
from rollout.history.thread import pass_to, reduce_parts
from rollout.items.line_events import ROLLED_BACK, ParsedEvent, parse_event
from rollout.jsonl.parse import Item, object_of
from rollout.jsonl.reader import LineReader, Skipping, open_rollout
from rollout.schema.kinds import Level, Reader, line_pattern, none_of, read_by
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from rollout.schema.strict import Fields
from rollout.turns.bare import message_text, starts_turn
from rollout.turns.item_refs import Position
from rollout.turns.paginated import PaginatedReducer, paginated_skip
from rollout.turns.turn import Turn

_KEPT_CHARACTERS: Final = 80_000
"""Of the latest messages of users that an old compaction keeps: Codex counts 20,000 tokens."""


CONTEXT_LINES: Final = Skipping(
    line_pattern(none_of(*read_by(Reader.CONTEXT, Level.LINE)) + '[a-z_]+",')
)
"""All but response items and compactions."""


class _At(NamedTuple):
    """The beginning of a line."""

    file: int
    offset: int


class _Past:
    """The turns that a thread rolled back, and the compactions of the rest.

    For a model only turns with a user's message count; the list of a thread has others, too, such
    as one that a compaction opened. Paginated threads also list turns that were rolled back,
    which a model does not see.
    """

    def __init__(self) -> None:
        self.rolled_back: list[tuple[_At, _At]] = []
        """From the first, inclusive, to the second, exclusive; in order."""
        self.compactions: list[_At] = []
        self._user_turns: list[_At] = []

    def add_user_turn(self, turn: Turn) -> None:
        """The turn has a user's message."""
        start = _At(turn.start.file, turn.start.offset)
        if self._user_turns[-1:] != [start]:
            self._user_turns.append(start)

    def take(self, read: ParsedEvent, at: _At) -> None:
        """Look at an event in the line ``at`` this place."""
        if read.kind == "compacted":
            self.compactions.append(at)
        elif read.kind == ROLLED_BACK:
            self._roll_back(read.payload["num_turns"], at)

    def _roll_back(self, count: int, end: _At) -> None:
        dropped = self._user_turns[-count:] if count else []
        if dropped:
            del self._user_turns[-count:]
            start = dropped[0]
            self.compactions = [at for at in self.compactions if at < start]
            self.rolled_back = [span for span in self.rolled_back if span[0] < start]
            self.rolled_back.append((start, end))


class _LegacyPast(LegacyForkPoints):
    """Finds the past of a legacy thread; that of a turn begins with what was sent for it."""

    def __init__(self) -> None:
        super().__init__()
        self.past = _Past()

    def take(self, item: Item, before: Position, after: Position) -> None:
        super().take(item, before, after)
        if read := parse_event(item):
            self.past.take(read, _At(before.file, before.offset))
            if read.kind == "user_message" and self._current:
                self.past.add_user_turn(self._current)


class _PaginatedPast(PaginatedReducer):
    """Finds the past of a paginated thread."""

    skip = paginated_skip(Reader.PAGINATED | Reader.CONTEXT)

    def __init__(self) -> None:
        super().__init__()
        self.past = _Past()

    def take(self, item: Item, before: Position, after: Position) -> None:
        highest = self._highest
        super().take(item, before, after)
        if self._highest > highest and (read := parse_event(item)):
            self.past.take(read, _At(before.file, before.offset))
            turn = self._known.get(str(read.payload.get("turn_id")))
            if turn and read.item and read.item["type"] == "userMessage":
                self.past.add_user_turn(turn)


def context_items(path: Path, find: Find) -> Iterator[Fields]:
    """The response items that the thread at ``path`` continues with, in order: the history that
    replaced the earlier one first, if it was compacted. Turns that were rolled back are not in
    it, and those that a fork begins with are. ``find`` gives the files of these.

    Raises:
        DamagedCompression: a file of the history is damaged.
        HistoryIncomplete: a file of the history is not here.
        HistoryUnknown: the history mode is not known.
        OSError: a file cannot be read.
    """
    mode = source_meta(path).get("history_mode", LEGACY)
    if mode not in MODES:
        raise HistoryUnknown(path, mode)
    parts = history_parts(path, find) if mode == PAGINATED else [Part(path)]
    reducer = _PaginatedPast() if mode == PAGINATED else _LegacyPast()
    reduce_parts(parts, reducer)
    yield from _Context(parts, reducer.past, mode).items()


class _Context:
    """Reads the items of a thread from the files that its history is in."""

    def __init__(self, parts: list[Part], past: _Past, mode: str) -> None:
        self._parts = parts
        self._past = past
        self._mode = mode

    def items(self) -> Iterator[Fields]:
        """The response items that the model is shown."""
        if not self._past.compactions:
            yield from self._responses()
            return
        last = self._past.compactions[-1]
        payload = next(item["payload"] for _, item in self._lines(last))
        history = payload.get("replacement_history")
        if history is None:
            yield from self._users_before(last)
            part = {"type": "input_text", "text": payload["message"]}
            yield {"type": "message", "role": "user", "content": [part]}
        else:
            yield from (item for item in history if item.get("type") != "ghost_snapshot")
        yield from self._responses(last)

    def _responses(self, start: _At | None = None, end: _At | None = None) -> Iterator[Fields]:
        spans = deque(self._past.rolled_back)
        for at, item in self._lines(start):
            if at == end:
                return
            while spans and spans[0][1] <= at:
                spans.popleft()
            if item["type"] == "response_item" and not (spans and spans[0][0] <= at):
                yield item["payload"]

    def _users_before(self, end: _At) -> Iterator[Fields]:
        """The latest messages of users, which a compaction of 2025 keeps beside its summary."""
        kept: deque[tuple[int, Fields]] = deque()
        size = 0
        for item in self._responses(end=end):
            if starts_turn(item):
                length = len(message_text(item))
                kept.append((length, item))
                size += length
            while size > _KEPT_CHARACTERS and len(kept) > 1:
                size -= kept.popleft()[0]
        yield from (item for _, item in kept)

    def _lines(self, start: _At | None = None) -> Iterator[tuple[_At, Item]]:
        """The response items and compactions that count from ``start`` on, in order."""
        start = start or _At(0, 0)
        highest = -1
        for file, part in enumerate(self._parts):
            if file < start.file:
                continue
            reader = LineReader()
            offset = start.offset if file == start.file else 0
            with open_rollout(part.path) as stream:
                pass_to(stream, part.path, offset)
                for line in reader.lines(stream, offset, CONTEXT_LINES):
                    highest = max(highest, reader.highest)
                    item = object_of(line)
                    if item is None or parse_event(item) is None:
                        continue
                    if self._mode == PAGINATED:
                        ordinal = item.get("ordinal")
                        if not isinstance(ordinal, int) or ordinal <= highest:
                            continue
                        if part.end_ordinal is not None and ordinal >= part.end_ordinal:
                            break
                        highest = ordinal
                    yield _At(file, line.offset), item
            if part.end_ordinal is not None:
                highest = min(highest, part.end_ordinal - 1)
