"""The turns of one thread as a reader asks for them: all of them by name, a few with what is in
them, and whether there are new ones."""

import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cli.render.blocks.block import Block
from cli.render.blocks.tools import duration_text
from cli.render.reading import Reading
from cli.turns.block_text import spans_of, terms_in
from cli.turns.chunks import Plan, blocks_of, starts_of
from cli.turns.heads import Chunk, Key, KnownTurns, Made, OutlineEntry, TurnHead, TurnKey
from rollout.errors import RolloutError
from rollout.files.cancellation import check_cancelled
from rollout.files.stamp import FileStamp
from rollout.history.thread import bare_if_empty
from rollout.history.transcript import Transcript
from rollout.jsonl.parse import Line
from rollout.jsonl.reader import LineReader, open_rollout
from rollout.search.terms import Matcher
from rollout.turns.turn import COMPLETED, IN_PROGRESS, Turn
from state.errors import StateError
from state.query.marks import NO_MARKS, Marks
from state.query.model import ANY, Query
from state.query.rows import Row
from state.thread_index import ThreadIndex
from state.turns.cache import TurnIndex
from state.turns.checkpoint import TurnState
from state.turns.pages import TooShort

if TYPE_CHECKING:
    from state.thread_store import ThreadStore

_KEPT_PLANS: Final = 8
_TOLD_BYTES: Final = 16 * 2**20
_TOLD_LINES: Final = 50
"""After so many bytes or lines a search says how far it is."""
Result = TypeVar("Result")


class TurnSource:
    """The turns of the thread of a row, from ``turns`` if there are some to share. Close it if
    there are none. The files are in ``home``, by default that of the index; ``query`` says which
    copies of a fleet are seen."""

    def __init__(
        self,
        index: ThreadIndex,
        row: Row,
        turns: TurnIndex | None = None,
        home: Path | None = None,
        query: Query = ANY,
    ) -> None:
        self._index = index
        self.row = row
        self._turns = turns or TurnIndex(index)
        self._shared = turns is not None
        self._home = home or index.home
        self.query = query
        self._plans: OrderedDict[TurnKey, Plan] = OrderedDict()
        self._details: dict[str, Any] = {"files": []}
        self._stamp: FileStamp | None = None

    @property
    def path(self) -> Path:
        """The thread's own file."""
        return self._home / str(self.row["rollout_path"])

    def shares_with(self, other: "TurnSource") -> bool:
        """Whether both have their turns from the same place."""
        return self._turns is other._turns

    async def folder(self) -> str:
        """The folder of the thread, or where that is by now.

        Raises:
            StateError: the index does not say.
        """
        details = await self._index.details(self.row["id"], self.query)
        return str(details["moved_to"] or details["cwd"])

    @property
    def marks(self) -> Marks:
        """The marks of the thread when it was last looked up."""
        marks: Marks = self._details.get("marks", NO_MARKS)
        return marks

    async def close(self) -> None:
        """End all work within a moment, unless others share it."""
        if not self._shared:
            await self._turns.close()

    async def known(self, *, whole: bool = False) -> KnownTurns:
        """The turns as the files are now: only the last ones of a long thread that was never read,
        unless ``whole``.

        Raises:
            FileUnusable, OSError: a file of the history cannot be read.
            HistoryUnknown: it is written in an unknown way.
        """
        await self.look_up()
        self._stamp = await self.run(lambda: _stamp(self.path))
        return await self._ask(self._known, whole=whole)

    async def _ask(self, work: Callable[[TurnState], Result], *, whole: bool = False) -> Result:
        return await self._turns.ask(self.row["id"], self.path, work, whole=whole)

    def _known(self, state: TurnState) -> KnownTurns:
        with self._reading(state) as reading:
            dialogue = reading.dialogue
            if state.partial and not dialogue.turns:
                raise TooShort
            ends = (state.own.resume.end, state.own.resume.stamp.size)
            heads = [
                _head(turn, at, None if state.partial else at + 1, ends)
                for at, turn in enumerate(dialogue.turns)
            ]
            count = len(heads)
            heads += [_head(turn, count + at, 0, ends) for at, turn in enumerate(dialogue.orphans)]
            last = [head.place for head in heads[max(count - 2, 0) : count]]
            for at in range(count):
                if at not in last:
                    heads[at] = heads[at]._replace(version=heads[at].version[:2])
            return KnownTurns(heads, state.partial, reading.warnings())

    def _reading(self, state: TurnState, *, images: bool = False) -> Reading:
        dialogue = Transcript(bare_if_empty(state.history), images=images)
        return Reading(self.row, self._details, self._home, dialogue, ())

    def progress(self) -> float:
        """How much of the thread has been read since it is being read as a whole, from 0 to 1."""
        size = max(int(self.row["size_bytes"]), 1)
        return min(self._turns.read_bytes(self.row["id"]) / size, 1.0)

    async def changed(self) -> bool:
        """Whether the thread's file is not as it was when its turns were asked for last; also if it
        is gone."""
        return await self.run(lambda: _stamp(self.path)) != self._stamp

    @property
    def seen_size(self) -> int | None:
        """How long the thread's file was when its turns were last asked for."""
        return self._stamp.size if self._stamp else None

    async def is_there(self) -> bool:
        """Whether the thread's file is where the row says."""
        return await self.run(lambda: _stamp(self.path)) is not None

    async def look_up(self) -> None:
        """Have what the index says of the thread now; what cannot be looked up stays."""
        with suppress(StateError):
            self._details = await self._index.details(self.row["id"], self.query)

    async def find_again(self) -> bool:
        """Look for the file of the thread, which is not where it was: whether it is elsewhere."""
        try:
            self.row = await self._index.thread(self.row["id"], self.query)
        except (StateError, RolloutError, OSError):
            return False
        return await self.is_there()

    async def chunks(
        self,
        wanted: Sequence[tuple[TurnHead, int]],
        make: Callable[[int, Iterator[tuple[Key, Block]]], Made],
    ) -> list[Chunk[Made] | None]:
        """Some chunks, each of a turn, from 0, or from -1 for the last one; None for one that the
        thread does not have any more. ``make`` is given the place in ``wanted`` and the blocks, in
        a thread of its own. Raises as :meth:`known` does."""

        def work(state: TurnState) -> list[Chunk[Made] | None]:
            with self._reading(state) as reading:
                found: list[Chunk[Made] | None] = []
                for at, (head, number) in enumerate(wanted):
                    turn_at = _place(reading.dialogue, head, partial=state.partial)
                    if turn_at is None:
                        found.append(None)
                        continue
                    plan = self._plan(reading.dialogue, turn_at, head)
                    count = len(plan.starts) - 1
                    blocks_ = blocks_of(reading.dialogue, plan, min(number, count - 1) % count)
                    found.append(Chunk(count, make(at, blocks_)))
                return found

        return await self._ask(work)

    async def matches(
        self, heads: Sequence[TurnHead], matcher: Matcher
    ) -> list[list[tuple[int, Key, int, int]]]:
        """Where turns have matches: for each of these its chunk, its block, where it begins in the
        text of that, and how many of the terms are there. Raises as :meth:`known` does."""

        def work(state: TurnState) -> list[list[tuple[int, Key, int, int]]]:
            with self._reading(state) as reading:
                return [
                    [*self._matches(reading.dialogue, head, matcher, partial=state.partial)]
                    for head in heads
                ]

        return await self._ask(work)

    def _matches(
        self, dialogue: Transcript, head: TurnHead, matcher: Matcher, *, partial: bool
    ) -> Iterator[tuple[int, Key, int, int]]:
        at = _place(dialogue, head, partial=partial)
        if at is None:
            return
        plan = self._plan(dialogue, at, head)
        for chunk in range(len(plan.starts) - 1):
            check_cancelled()
            for key, block in blocks_of(dialogue, plan, chunk):
                spans = spans_of(block, matcher)
                terms = terms_in(block, matcher) if spans else 0
                for start, _ in spans:
                    yield chunk, key, start, terms

    async def block(self, head: TurnHead, key: Key, *, images: bool = False) -> Block | None:
        """One block, as it is now; ``images``: also the inline ones of very long lines. Raises as
        :meth:`known` does."""

        def work(state: TurnState) -> Block | None:
            with self._reading(state, images=images) as reading:
                at = _place(reading.dialogue, head, partial=state.partial)
                if at is None:
                    return None
                plan = self._plan(reading.dialogue, at, head)
                chunk = min(bisect_right(plan.starts, key[0]), len(plan.starts) - 1) - 1
                found = dict(blocks_of(reading.dialogue, plan, chunk))
                return found.get(key)

        return await self._ask(work)

    async def outline(self) -> dict[TurnKey, OutlineEntry]:
        """What all turns are about, and what came of them; for a long thread that was never read it
        takes a pass over its files. Raises as :meth:`known` does."""
        listed = await self._turns.outline(self.row["id"], self.path)
        return {
            (each.turn.id, *each.turn.start[:2]): OutlineEntry(
                each.prompt,
                len(each.outline.files),
                len(each.outline.failures),
                each.outline.tokens,
            )
            for each in listed
        }

    async def prompts(self, heads: Sequence[TurnHead]) -> list[OutlineEntry]:
        """What some turns are about. Raises as :meth:`known` does."""

        def work(state: TurnState) -> list[OutlineEntry]:
            with self._reading(state) as reading:
                found = []
                for head in heads:
                    at = _place(reading.dialogue, head, partial=state.partial)
                    inside = at is not None and at < len(reading.dialogue.turns)
                    prompt = reading.prompt(at + 1) if inside and at is not None else ""
                    found.append(OutlineEntry(prompt))
                return found

        return await self._ask(work)

    def _plan(self, dialogue: Transcript, at: int, head: TurnHead) -> Plan:
        known = self._plans.get(head.key)
        if known is None or known.version != head.version:
            plan, orphan = dialogue.plan(at), at >= len(dialogue.turns)
            known = self._plans[head.key] = Plan(head.version, plan, starts_of(plan), orphan)
        self._plans.move_to_end(head.key)
        while len(self._plans) > _KEPT_PLANS:
            self._plans.popitem(last=False)
        return known

    async def turns_with(
        self, may_hold: Callable[[bytes], bool], heads: Sequence[TurnHead]
    ) -> AsyncIterator[tuple[list[int], float]]:
        """The places of turns that have a line for which ``may_hold``, some at a time and some more
        than once, each time with how much was looked at, from 0 to 1. Raises as :meth:`known`
        does."""
        paths = await self._ask(lambda state: [part.path for part in state.outline.parts])
        lines = _lines_of(paths, may_hold)
        starts = sorted((head.at, head.place) for head in heads if head.number != 0)
        by_id = {head.id: head.place for head in heads}
        yield [head.place for head in heads if head.number == 0], 0.0  # their items are anywhere
        try:
            while (found := await self.run(partial(next, lines, None))) is not None:
                part, named = found
                places = dict.fromkeys(by_id[id_] for _, id_ in named if id_ in by_id)
                for at, _ in named:
                    place = bisect_right(starts, (at, len(heads))) - 1
                    if place >= 0:
                        places[starts[place][1]] = None
                yield [*places], part
        finally:
            lines.close()

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives, done in a thread."""
        return await self._index.database.workers.run(work)


async def shared_turns(store: "ThreadStore", row: Row, query: Query = ANY) -> TurnSource:
    """The turns of the thread of a row of what ``query`` sees, shared with all who read the same
    store. Raises StateError or RolloutError if its files cannot be had."""
    held, there = await store.holding(row, query)
    return TurnSource(store.index, there, held.turns, held.home, query)


_TURN_ID: Final = re.compile(rb'"turn_id": ?"([^"]{1,200})"')


def _lines_of(
    paths: Sequence[Path], may_hold: Callable[[bytes], bool]
) -> Generator[tuple[float, list[tuple[tuple[int, int], str]]]]:
    """Some at a time, the lines that may hold something: file and byte, and the turn that they
    name; with how much was read."""
    sizes = [max(stamp.size, 1) if (stamp := _stamp(path)) else 1 for path in paths]
    whole, told, done = sum(sizes), 0, 0
    found: list[tuple[tuple[int, int], str]] = []
    for number, path in enumerate(paths):
        with open_rollout(path, []) as stream:
            for line in LineReader().lines(stream):
                if isinstance(line, Line) and may_hold(bytes(line.data)):
                    named = _TURN_ID.search(line.data)
                    turn_id = named[1].decode("utf-8", "replace") if named else ""
                    found.append(((number, line.offset), turn_id))
                here = done + line.offset
                if len(found) >= _TOLD_LINES or here - told > _TOLD_BYTES:
                    yield min(here / whole, 1.0), found
                    told, found = here, []
        done += sizes[number]
    yield 1.0, found


def _stamp(path: Path) -> FileStamp | None:
    try:
        return FileStamp.of(path.stat())
    except OSError:
        return None


def _head(turn: Turn, place: int, number: int | None, ends: tuple[int, int]) -> TurnHead:
    return TurnHead(
        turn.id,
        turn.start[:2],
        place,
        number,
        None if turn.started_at is None else turn.started_at * 1000,
        "" if turn.duration_ms is None else duration_text(turn.duration_ms),
        "" if turn.status in (COMPLETED, IN_PROGRESS) else turn.status,
        len(turn.items),
        (len(turn.items), turn.end.offset if turn.end else -1, *ends),
    )


def _place(dialogue: Transcript, head: TurnHead, *, partial: bool) -> int | None:
    """Where a turn is among those that are known now."""
    count = len(dialogue.turns) + len(dialogue.orphans)
    if head.place < count and _is_same(dialogue.turn(head.place), head):
        return head.place
    found = next((at for at in range(count) if _is_same(dialogue.turn(at), head)), None)
    if found is None and partial:
        raise TooShort
    return found


def _is_same(turn: Turn, head: TurnHead) -> bool:
    return turn.id == head.id and turn.start[:2] == head.at
