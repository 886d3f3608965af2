"""A thread for reading: its turns with what Codex's responses have and what they leave out.

*extra*: an entry that is no item of Codex's responses: a tool call that has no item, or whose item,
which stands before it, lacks something (:mod:`rollout.history.tool_calls`); or an item that Codex
0.171 does not read.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

from rollout.history.segments import Find
from rollout.history.thread import ThreadTurns, bare_if_empty, open_history
from rollout.history.tool_calls import (
    TOOL_CALL,
    CallRecord,
    CallRecords,
    calls_among,
    calls_between,
    entry,
    records_among,
    records_between,
)
from rollout.items.thread_item import KINDS, UNKNOWN
from rollout.jsonl.parse import Item
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from rollout.turns.bare import BARE
from rollout.turns.item_reader import ItemReader, LineFile, turn_answer
from rollout.turns.item_refs import key_of
from rollout.turns.turn import Turn


class TurnPlan(NamedTuple):
    """Where the entries of a turn are: a number each, as a turn may have a hundred thousand."""

    turn: Turn
    records: CallRecords
    places: "array[int]"
    """The record of an item, which may have its call behind it; below 0 that of a call alone."""

    def offset(self, at: int) -> int:
        """Where the first line of the entry at a place begins."""
        place = self.places[at]
        if place < 0:
            return self.records.at(~place).offset
        return self.turn.items.at(place).offsets[0]


class Transcript(AbstractContextManager["Transcript"]):
    """A thread's turns and what is in them. Use it in a ``with``; make one with
    :func:`open_transcript`."""

    def __init__(self, history: ThreadTurns, *, images: bool = False) -> None:
        """``images``: also the inline ones of very long lines."""
        self.mode = history.mode
        self.parts = history.parts
        self.turns = history.turns
        self.orphans = history.orphans
        """Items of turns that do not exist, or of none."""
        self.missing = history.missing
        """Why the turns that the history begins with are not here, if they are not."""
        self.damage = history.damage
        """Where files of the history break off."""
        paths = [part.path for part in history.parts]
        self._reader = ItemReader(paths, self.mode, images=images)

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__()

    def turn(self, number: int) -> Turn:
        """The turn with this number, from 0; the orphans follow the others."""
        count = len(self.turns)
        return self.turns[number] if number < count else self.orphans[number - count]

    def beginning(self, number: int) -> Fields | None:
        """What the turn with this number is about: the first message of the user in it, or else the
        review or the compaction that it is; None if it has none of them. Raises OSError if a file
        cannot be read."""
        turn = self.turns[number]
        if turn.first_user >= 0:
            return self._reader.item(turn.items.at(turn.first_user))
        ref = next(turn.items.of_kinds("enteredReviewMode", "contextCompaction"), None)
        return None if ref is None else self._reader.item(ref)

    def entries(
        self,
        number: int,
        lines: Iterable[tuple[int, Item]] | None = None,
        kinds: Sequence[str] = KINDS,
    ) -> Iterator[tuple[Fields, bool]]:
        """What is in the turn with this number, in order, and whether it is extra. ``lines``: those
        of the turn that may be about calls, with the bytes where they begin, if they were read
        already; ``kinds``: only items of these. Raises OSError if a file cannot be read."""
        return self.read(self.plan(number, lines, kinds))

    def plan(
        self,
        number: int,
        lines: Iterable[tuple[int, Item]] | None = None,
        kinds: Sequence[str] = KINDS,
    ) -> "TurnPlan":
        """Where each entry of the turn with this number is, for :meth:`read`; the rest is as in
        :meth:`entries`. Raises OSError if a file cannot be read."""
        turn = self.turn(number)
        if self.mode == BARE:
            file, end = self._reader.file(0), self.end_of(number)
            known = None if lines is None else records_among(lines)
            found = known or records_between(file, turn.start.offset, end)
            return TurnPlan(turn, found, array("q", (~at for at in found.alone())))
        records, part = self._records(number, lines), turn.start.file
        alone = records.alone()
        record = next(alone, None)
        places = array("q")
        for at, ref in turn.items.records(*kinds):
            while (
                record is not None
                and ref.file == part
                and records.at(record).offset < ref.offsets[0]
            ):
                places.append(~record)
                record = next(alone, None)
            places.append(at)
        if record is not None:
            places.extend((~record, *(~each for each in alone)))
        return TurnPlan(turn, records, places)

    def read(
        self, plan: "TurnPlan", start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[Fields, bool]]:
        """The entries at some places of a turn, as :meth:`entries` gives them."""
        part = plan.turn.start.file
        for place in plan.places[start:stop]:
            if place < 0:
                for found, extra in self._call(part, plan.records.at(~place)):
                    message = self.mode == BARE and found["type"] in _MESSAGES
                    yield found, extra and not message
                continue
            ref = plan.turn.items.at(place)
            if (item := self._reader.item(ref)) is None:
                continue
            yield item, ref.kind == UNKNOWN
            same = plan.records.named(item["id"])
            if same is not None and _says_less(item, same):
                yield from self._call(part, same)

    def end_of(self, number: int) -> int | None:
        """Where the next turn begins in the same file."""
        file = self.turns[number].start.file
        following = self.turns[number + 1 : number + 2]
        same = bool(following) and following[0].start.file == file
        return following[0].start.offset if same else None

    def file(self, number: int) -> LineFile:
        """One of the files of the history, counted from 0; good until others have been asked for.
        Raises OSError if it cannot be read."""
        return self._reader.file(number)

    def own_messages(self, number: int) -> Callable[[int], bool] | None:
        """Whether a line that begins a turn, by the byte where it begins, is one of the turn with
        this number. What follows another one was taken back. None if nothing can be."""
        if self.mode != LEGACY:
            return None
        return {at for ref in self.turn(number).items for at in ref.offsets}.__contains__

    def _records(self, number: int, lines: Iterable[tuple[int, Item]] | None) -> CallRecords:
        turn = self.turn(number)

        def has_item(call_id: str) -> bool:  # as known items have it, and unknown ones
            return any(turn.items.find(key_of(id_)) >= 0 for id_ in (call_id, f"?{call_id}"))

        if number >= len(self.turns):
            return CallRecords(has_item)
        start = turn.start
        if lines is not None:
            return calls_among(lines, start.offset, has_item=has_item)
        return calls_between(
            self._reader.file(start.file),
            start.offset,
            self.end_of(number),
            has_item=has_item,
            end_ordinal=self.parts[start.file].end_ordinal if self.mode == PAGINATED else None,
            own=self.own_messages(number),
        )

    def _call(self, part: int, record: CallRecord) -> Iterator[tuple[Fields, bool]]:
        if (found := entry(self._reader.file(part), record)) is not None:
            yield found, True

    def answer(self, number: int) -> Fields:
        """The turn with this number as the app-server's responses have it."""
        items = [item for item, extra in self.entries(number) if not extra]
        return turn_answer(self.turns[number], items, "full")


_MESSAGES: Final = ("userMessage", "agentMessage", "reasoning")


def _says_less(item: Fields, record: CallRecord) -> bool:
    """Whether the record of a call may have what its item lacks."""
    match item:
        case {"type": "commandExecution", "aggregatedOutput": given, "exitCode": code}:
            return not given and code != 0
        case {"type": "fileChange", "changes": changes, "status": status}:
            return not changes or status != "completed"
        case {"type": "mcpToolCall", "result": None, "error": None}:
            return True
        case {"type": "dynamicToolCall", "contentItems": None}:
            return True
        case {"type": "functionCallOutput", "output": _}:
            return record.call >= 0  # it lacks the request
        case {"type": "subAgentActivity", "kind": "started"}:
            return record.call >= 0
    return False


def with_calls(entries: Iterable[tuple[Fields, bool]]) -> Iterator[tuple[Fields, Fields | None]]:
    """Entries, each item with the call behind it that holds more."""
    before: Fields | None = None
    for item, _ in entries:
        call = item if item["type"] == TOOL_CALL else None
        if before and call and before["type"] != TOOL_CALL and before["id"] == call["id"]:
            yield before, call
            before = None
            continue
        if before:
            yield before, None
        before = item
    if before:
        yield before, None


def open_transcript(path: Path, find: Find, *, images: bool = False) -> Transcript:
    """The transcript of the thread whose rollout is at ``path``, as far as it reads; ``find`` gives
    the files that its history begins in. Raises HistoryUnknown if its history mode is not known,
    and OSError if a file cannot be read."""
    return Transcript(bare_if_empty(open_history(path, find)), images=images)
