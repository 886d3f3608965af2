"""The turns of one thread as its files were at some moment, and whether they still are.

What was found in the first bytes of a file stays true as long as only lines are added behind
them: see :mod:`rollout.jsonl.resume`. A file as it was has nothing new; one that has only grown
has new lines to look at. Any other one (rewritten in its place, shrunk or replaced) is folded anew.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from rollout.errors import Damage
from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.files.stamp import FileStamp
from rollout.history.bare import BARE, BareReducer
from rollout.history.item_refs import Anchor
from rollout.history.legacy import LegacyReducer
from rollout.history.paginated import PaginatedReducer
from rollout.history.segments import Part
from rollout.history.tail import tail
from rollout.history.thread import AnyReducer, Outline, ThreadTurns, reduce_part
from rollout.history.turn import Turn
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.resume import ResumePoint
from rollout.schema.modes import LEGACY
from rollout.schema.strict import Fields

Pause = Callable[[], None]

_TAILS: Final = (2 * 2**20, 16 * 2**20, 128 * 2**20)
"""How much of a history's end is looked at for its last turns before all of it is, in bytes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One file of a history as it was folded."""

    part: Part
    resume: ResumePoint
    """Without a guard if the file is compressed."""

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

    known: Outline
    seen: list[Seen]
    fold: AnyReducer
    tail_bytes: int = 0
    """How many of the last bytes were folded, if not all."""
    tail_item: Anchor | None = None
    """The last item of a partial one."""
    stored_bytes: int = 0
    """How many bytes of its own file were folded when it was stored."""
    damage: list[Damage] = field(default_factory=list)
    """Where files break off. Such a fold is not stored: nothing tells of it there."""
    _spans: list[tuple[int, int, Turn]] | None = field(default=None, repr=False)

    @property
    def partial(self) -> bool:
        """Whether only the last turns are known."""
        return self.tail_bytes > 0

    @property
    def turns(self) -> list[Turn]:
        return self.fold.turns

    @property
    def own(self) -> Seen:
        """The thread's own file."""
        return self.seen[-1]

    @cached_property
    def history(self) -> ThreadTurns:
        """What reads the items."""
        strays = [*self.fold.strays.values()]
        known = self.known
        return ThreadTurns(
            known.mode, known.parts, self.fold.turns, strays, known.missing, self.damage
        )

    def is_same(self) -> bool:
        """Whether all files are as they were."""
        return all(seen.is_same() for seen in self.seen)

    def follow(self, pause: Pause | None = None) -> bool:
        """Have the lines that were added: whether nothing else has changed.

        Raises:
            OSError: a file cannot be read.
        """
        if not all(seen.is_same() or seen.has_grown() for seen in self.seen[:-1]):
            return False
        if self.own.is_same():
            return True
        if self.partial or not self.own.has_grown():
            return False
        if self.known.mode == BARE:
            return False  # what was added may be a session_meta, which changes all
        self._forget_derived()
        number = len(self.seen) - 1
        self.seen[-1] = _fold_one(
            self.known, number, self.fold, self.own.resume.end, pause, self.damage
        )
        return True

    def _forget_derived(self) -> None:
        self._spans = None
        self.__dict__.pop("history", None)

    def spans(self) -> list[tuple[int, int, Turn]]:
        """The ordinals of the first and the last item of all turns that have any, and strays; in
        the order of the first."""
        if self._spans is None:
            every = [*self.fold.turns, *self.fold.strays.values()]
            found = [(turn.items.ordinals(), turn) for turn in every]
            spans = [(all_[0], all_[-1], turn) for all_, turn in found if len(all_)]
            self._spans = sorted(spans, key=lambda span: span[0])
        return self._spans

    def with_torn_line(self) -> "TurnState":
        """With what a last line says that has no newline yet: it counts if it can be read, as for
        Codex, but may still be written, so that nothing goes on from there."""
        own = self.own
        if self.partial or not _has_torn_line(own):
            return self
        fold = _copy(self.fold, self.known.mode)
        reduce_part(own.part, len(self.seen) - 1, fold, offset=own.resume.end)
        return TurnState(self.known, self.seen, fold, damage=self.damage)


def settled(seen: Sequence[Seen]) -> bool:
    """Whether what was found in these files is all that they hold now."""
    *others, own = seen
    known = all(one.is_same() or one.has_grown() for one in others)
    return known and own.is_same() and not _has_torn_line(own)


def _has_torn_line(own: Seen) -> bool:
    """Whether a thread's own file ends with a line that can be read and has no newline."""
    return (
        own.part.end_ordinal is None
        and own.resume.stamp.size > own.resume.end
        and _readable_tail(own)
    )


def _readable_tail(own: Seen) -> bool:
    if own.part.path.name.endswith(COMPRESSED_SUFFIX):
        return False  # it was folded with all others
    with own.part.path.open("rb") as file:
        file.seek(own.resume.end)
        line = Line(own.resume.end, file.readline())
    return not isinstance(parse_line(line), BadLine | None)


def _copy(fold: AnyReducer, mode: str) -> AnyReducer:
    turns = [Turn.load(turn.dump()) for turn in fold.turns]
    strays = [Turn.load(turn.dump()) for turn in fold.strays.values()]
    return resumed(mode, fold.dump(), turns, strays)


def resumed(mode: str, state: Fields, turns: Sequence[Turn], strays: Sequence[Turn]) -> AnyReducer:
    """A fold that goes on from where its ``dump`` was taken."""
    if mode == BARE:
        return BareReducer(state, turns)
    kind = LegacyReducer if mode == LEGACY else PaginatedReducer
    return kind(state, turns, strays)


def reduce_anew(known: Outline, pause: Pause | None = None) -> TurnState:
    """Fold all lines of a history.

    Raises:
        OSError: a file cannot be read.
    """
    fold = known.new_reducer()
    damage: list[Damage] = []
    numbers = range(len(known.parts))
    seen = [_fold_one(known, number, fold, 0, pause, damage) for number in numbers]
    return TurnState(known, seen, fold, damage=damage)


def _fold_one(
    known: Outline,
    number: int,
    fold: AnyReducer,
    offset: int,
    pause: Pause | None,
    damage: list[Damage],
) -> Seen:
    part = known.parts[number]
    # Before: what is written meanwhile counts as written later, and is looked at again.
    stamp = FileStamp.of(os.stat(part.path))
    finished = part.path.name.endswith(COMPRESSED_SUFFIX)  # nobody goes on writing it
    end = reduce_part(part, number, fold, offset=offset, torn=finished, pause=pause, damage=damage)
    if finished:
        return Seen(part, ResumePoint(stamp, end, ""))
    with part.path.open("rb", buffering=0) as file:
        return Seen(part, ResumePoint.at(file, stamp, end))


def reduce_again(known: Outline, seen: Sequence[Seen]) -> AnyReducer:
    """Fold a history as far as these files were folded before.

    Raises:
        OSError: a file cannot be read.
    """
    fold = known.new_reducer()
    for number, one in enumerate(seen):
        finished = one.part.path.name.endswith(COMPRESSED_SUFFIX)
        own = one.part.end_ordinal is None and not finished  # of the others no more lines count
        end = one.resume.end if own else None
        reduce_part(one.part, number, fold, end=end, torn=finished, damage=[])
    return fold


def tail_states(
    known: Outline, before: TurnState | None = None, pause: Pause | None = None
) -> Iterator[TurnState]:
    """The last turns of a history alone, each time more of them and more than there were
    ``before``, as long as that is worth while.

    Raises:
        OSError: a file cannot be read.
    """
    infos = [os.stat(part.path) for part in known.parts]
    whole = sum(info.st_size for info in infos)
    least = before.tail_bytes if before is not None and before.is_same() else 0
    for size in _TAILS:
        if size <= least or size * 4 >= whole:
            continue
        last = tail(known, size, pause)
        if last is None:
            return
        seen = [
            Seen(part, ResumePoint(FileStamp.of(info), 0, ""))
            for part, info in zip(known.parts, infos, strict=True)
        ]
        fold = PaginatedReducer(turns=last.turns, shown_from=known.shown_from)
        yield TurnState(known, seen, fold, tail_bytes=size, tail_item=last.last_item)


def moved(folded: TurnState, path: Path) -> TurnState:
    """The same, if the thread's own file is at ``path`` by now."""
    last = folded.known.parts[-1]
    if last.path == path:
        return folded
    part = replace(last, path=path)
    known = replace(folded.known, parts=[*folded.known.parts[:-1], part])
    seen = [*folded.seen[:-1], replace(folded.own, part=part)]
    return replace(folded, known=known, seen=seen, _spans=None)
