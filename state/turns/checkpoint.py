"""The turns of one thread as its files were at some moment, and whether they still are.

What was found in the first bytes of a file stays true as long as only lines are added behind them:
see :mod:`rollout.jsonl.resume`. Of a file that has only grown, the new lines alone are reduced. Any
other change (a file that was rewritten in place, shrunk or replaced) means to reduce all anew.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rollout.errors import Damage
from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.files.stamp import FileStamp
from rollout.history.last_turns import last_turns
from rollout.history.segments import Part
from rollout.history.thread import AnyReducer, Outline, ThreadTurns, reduce_part
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.resume import ResumePoint
from rollout.schema.modes import LEGACY
from rollout.schema.strict import Fields
from rollout.turns.bare import BARE, BareReducer
from rollout.turns.item_refs import ItemRef
from rollout.turns.legacy import LegacyReducer
from rollout.turns.paginated import PaginatedReducer
from rollout.turns.turn import Turn
from state.turns.outline_rows import KnownOutlines

Pause = Callable[[], None]

AT_ONCE_BYTES: Final = 4 * 2**20
"""A history that is no longer is read as a whole for the first request."""
_TAILS: Final = (2 * 2**20, 16 * 2**20, 128 * 2**20)
"""How much of the end of a history is read for its last turns before all of it is, in bytes."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """One file of a history, and how far it was reduced."""

    part: Part
    resume: ResumePoint

    def is_same(self) -> bool:
        """Whether the file is as it was."""
        try:
            return FileStamp.of(os.stat(self.part.path)) == self.resume.stamp
        except OSError:
            return False

    def has_grown(self) -> bool:
        """Whether the file has more lines now, and is as it was before them."""
        try:
            stamp = FileStamp.of(os.stat(self.part.path))
            if stamp == self.resume.stamp or not self.resume.may_have_grown_to(stamp):
                return False
            with self.part.path.open("rb", buffering=0) as file:
                return self.resume.holds(file, stamp)
        except OSError:
            return False


@dataclass(eq=False)
class TurnState:
    """The turns of a thread. Its files may have more lines by now: see :meth:`follow`."""

    outline: Outline
    files: list[ReadFile]
    reducer: AnyReducer
    tail_bytes: int = 0
    """How many of the last bytes were read, if not all."""
    tail_item: ItemRef | None = None
    """The last item of a partial one."""
    stored_bytes: int = 0
    """How many bytes of all files had been read when it was stored."""
    damage: list[Damage] = field(default_factory=list)
    """Where files break off. Such a state is not stored, as rows have no room for it."""
    outlines: KnownOutlines = field(default_factory=KnownOutlines)
    _spans: list[tuple[int, int, Turn]] | None = field(default=None, repr=False)

    @property
    def partial(self) -> bool:
        """Whether only the last turns are known."""
        return self.tail_bytes > 0

    @property
    def turns(self) -> list[Turn]:
        return self.reducer.turns

    @property
    def orphans(self) -> list[Turn]:
        return [*self.reducer.orphans.values()]

    @property
    def own(self) -> ReadFile:
        """The thread's own file."""
        return self.files[-1]

    @property
    def read_bytes(self) -> int:
        return sum(file.resume.end for file in self.files)

    @property
    def history(self) -> ThreadTurns:
        """What reads the items."""
        outline = self.outline
        return ThreadTurns(
            outline.mode, outline.parts, self.turns, self.orphans, outline.missing, self.damage
        )

    def is_same(self) -> bool:
        """Whether all files are as they were."""
        return all(file.is_same() for file in self.files)

    def follow(self, pause: Pause | None = None) -> bool:
        """Add the turns of new lines: whether nothing else has changed. Raises OSError if a file
        cannot be read."""
        if not all(file.is_same() or file.has_grown() for file in self.files[:-1]):
            return False
        if self.own.is_same():
            return True
        if self.partial or not self.own.has_grown():
            return False
        if self.outline.mode == BARE:
            return False  # what was added may be a session_meta, which changes all
        self._spans = None
        number = len(self.files) - 1
        start = self.own.resume.end
        self.files[-1] = _reduce(self.outline, number, self.reducer, start, pause, self.damage)
        return True

    def spans(self) -> list[tuple[int, int, Turn]]:
        """The ordinals of the first and the last item of all turns that have any, and orphans; in
        the order of the first."""
        if self._spans is None:
            found = [(turn.items.ordinals(), turn) for turn in (*self.turns, *self.orphans)]
            spans = [(all_[0], all_[-1], turn) for all_, turn in found if len(all_)]
            self._spans = sorted(spans, key=lambda span: span[0])
        return self._spans

    def with_torn_line(self) -> "TurnState":
        """With a last line that has no newline yet: it counts if it can be read, as for Codex, but
        may still be written, so that no later pass continues from there."""
        own = self.own
        if self.partial or not _has_torn_line(own):
            return self
        reducer = _copy(self.reducer, self.outline.mode)
        reduce_part(own.part, len(self.files) - 1, reducer, offset=own.resume.end)
        return replace(self, reducer=reducer, _spans=None)

    def copy(self) -> "TurnState":
        """The same, of which nothing changes when this one follows its files."""
        reducer = _copy(self.reducer, self.outline.mode)
        outlines = self.outlines.copy()
        return replace(self, files=[*self.files], reducer=reducer, outlines=outlines, _spans=None)


def is_current(files: Sequence[ReadFile]) -> bool:
    """Whether what was found in these files is all that they hold now."""
    *others, own = files
    followed = all(file.is_same() or file.has_grown() for file in others)
    return followed and own.is_same() and not _has_torn_line(own)


def _has_torn_line(own: ReadFile) -> bool:
    """Whether a thread's own file ends with a line that can be read and has no newline."""
    more = own.resume.stamp.size > own.resume.end
    return own.part.end_ordinal is None and more and _readable_tail(own)


def _readable_tail(own: ReadFile) -> bool:
    if own.part.path.name.endswith(COMPRESSED_SUFFIX):
        return False  # it was read with all others
    with own.part.path.open("rb") as file:
        file.seek(own.resume.end)
        line = Line(own.resume.end, file.readline())
    return not isinstance(parse_line(line), BadLine | None)


def _copy(reducer: AnyReducer, mode: str) -> AnyReducer:
    turns = [Turn.load(turn.dump()) for turn in reducer.turns]
    orphans = [Turn.load(turn.dump()) for turn in reducer.orphans.values()]
    return resumed(mode, reducer.dump(), turns, orphans)


def resumed(mode: str, state: Fields, turns: Sequence[Turn], orphans: Sequence[Turn]) -> AnyReducer:
    """A reducer that continues from where its ``dump`` was taken."""
    if mode == BARE:
        return BareReducer(state, turns)
    kind = LegacyReducer if mode == LEGACY else PaginatedReducer
    return kind(state, turns, orphans)


def reduce_if_short(outline: Outline, pause: Pause | None = None) -> TurnState | None:
    """As :func:`reduce_anew`; None if the history is longer than is read for a request."""
    if sum(part.path.stat().st_size for part in outline.parts) > AT_ONCE_BYTES:
        return None
    return reduce_anew(outline, pause)


def reduce_anew(outline: Outline, pause: Pause | None = None) -> TurnState:
    """Reduce all lines of a history. Raises OSError if a file cannot be read."""
    reducer = outline.new_reducer()
    damage: list[Damage] = []
    numbers = range(len(outline.parts))
    files = [_reduce(outline, number, reducer, 0, pause, damage) for number in numbers]
    return TurnState(outline, files, reducer, damage=damage)


def _reduce(
    outline: Outline,
    number: int,
    reducer: AnyReducer,
    start: int,
    pause: Pause | None,
    damage: list[Damage],
) -> ReadFile:
    part = outline.parts[number]
    # Before: what is written meanwhile counts as written later, and is read then.
    stamp = FileStamp.of(os.stat(part.path))
    packed = part.path.name.endswith(COMPRESSED_SUFFIX)  # nobody writes it any more
    end = reduce_part(part, number, reducer, offset=start, torn=packed, pause=pause, damage=damage)
    with part.path.open("rb", buffering=0) as file:
        return ReadFile(part, ResumePoint.at(file, part.path.name, stamp, end))


def reduce_again(outline: Outline, files: Sequence[ReadFile]) -> AnyReducer:
    """Reduce a history as far as these files were reduced before. Raises OSError if a file cannot
    be read."""
    reducer = outline.new_reducer()
    for number, file in enumerate(files):
        packed = file.part.path.name.endswith(COMPRESSED_SUFFIX)
        own = file.part.end_ordinal is None and not packed  # of the others no more lines count
        end = file.resume.end if own else None
        reduce_part(file.part, number, reducer, end=end, torn=packed, damage=[])
    return reducer


def tail_states(
    outline: Outline, before: TurnState | None = None, pause: Pause | None = None
) -> Iterator[TurnState]:
    """The last turns of a history alone, each time more of them and more than there were
    ``before``, as long as that is worth while. Raises OSError if a file cannot be read."""
    stamps = [FileStamp.of(os.stat(part.path)) for part in outline.parts]
    whole = sum(stamp.size for stamp in stamps)
    least = before.tail_bytes if before is not None and before.is_same() else 0
    for size in _TAILS:
        if size <= least or size * 4 >= whole:
            continue
        last = last_turns(outline, size, pause)
        if last is None:
            return
        files = [
            ReadFile(part, ResumePoint(stamp, 0, ""))
            for part, stamp in zip(outline.parts, stamps, strict=True)
        ]
        reducer = resumed(outline.mode, {"shown_from": outline.shown_from}, last.turns, [])
        yield TurnState(outline, files, reducer, tail_bytes=size, tail_item=last.last_item)


def moved(state: TurnState, path: Path) -> TurnState:
    """The same, if the thread's own file is at ``path`` by now."""
    last = state.outline.parts[-1]
    if last.path == path:
        return state
    part = replace(last, path=path)
    outline = replace(state.outline, parts=[*state.outline.parts[:-1], part])
    files = [*state.files[:-1], replace(state.own, part=part)]
    return replace(state, outline=outline, files=files, _spans=None)
