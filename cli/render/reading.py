"""A thread that is opened for reading, and the selected turns of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.render.blocks.block import Block, Role
from cli.render.blocks.items import blocks
from cli.render.blocks.tools import duration_text
from cli.render.labels import label, machine_of, passed_over_note
from cli.render.turn_selection import TurnSelection
from cli.terminal import damage
from cli.terminal.text import amount, iso, one_line, plural, shortened
from rollout.errors import EXPANDS, READ_ALL, AmbiguousTurn, RolloutError, TurnNotFound
from rollout.history.thread import bare_if_empty, outline
from rollout.history.transcript import Transcript, open_transcript, with_calls
from rollout.history.turn_outline import ListedTurn, OutlinePass, prompt_of, turn_outline
from rollout.schema.strict import Fields
from rollout.turns.turn import COMPLETED, IN_PROGRESS, INTERRUPTED, Turn
from state.errors import StateError
from state.query.rows import Row, details_steps
from state.query.thread_json import display_name, thread_json
from state.rollout_locator import locator, rollout_locator
from state.turns.checkpoint import TurnState, reduce_if_short
from state.turns.listing import outline_steps
from state.turns.store import SMALLEST_BYTES, current_steps

if TYPE_CHECKING:
    from state.query.oneshot import IndexReader
    from state.thread_index import ThreadIndex
    from state.turns.cache import TurnIndex

_LONGEST_TITLE: Final = 120
_LAST_TURNS: Final = 3
_SHORT_TITLE: Final = 30
"""How many turns an error names, and how long their titles are."""


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """A turn for reading."""

    number: int
    """From 1; 0 for items outside any turn."""
    id: str
    blocks: Iterator[Block]
    """To be iterated once, before the next turn."""
    started_ms: int | None = None
    duration: str = ""
    status: str = ""
    """How it ended, unless it completed."""

    @property
    def name(self) -> str:
        """How a heading calls it."""
        return f"turn {self.number}" if self.number else "outside of any turn"

    @property
    def facts(self) -> tuple[str, ...]:
        """When it began, how long it took, and how it ended unless it completed."""
        return tuple(filter(None, (iso(self.started_ms), self.duration, self.status)))


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Reading(AbstractContextManager["Reading"]):
    """A thread that is being read. Use it in a ``with`` statement."""

    row: Row
    details: dict[str, Any]
    home: Path
    dialogue: Transcript
    numbers: Sequence[int]
    """The positions of the selected turns among all."""
    cleaned: Callable[[Any], Any] = _same
    """Cleans each value before it is shown."""
    cleaned_copy: Callable[[Any], Any] = _same
    """The same for a value that is shown elsewhere, too: what it removes is not counted again."""
    listed: Sequence[ListedTurn] | None = None
    """The outline of the selected turns, if it is known."""

    def __exit__(self, *_: object) -> None:
        self.dialogue.__exit__()

    @property
    def whole(self) -> bool:
        """Whether all turns are selected."""
        return len(self.numbers) == len(self.dialogue.turns)

    @property
    def title(self) -> str:
        """The label of the thread, cut to the length of a heading."""
        cleaned = self.cleaned if display_name(self.row) else self.cleaned_copy
        title = one_line(cleaned(label(self.row))) or self.row["id"]
        return shortened(title, _LONGEST_TITLE)

    def facts(self, time: Callable[[int | None], str] = iso) -> list[str]:
        """The main facts about the thread; ``time`` gives its text to a time in milliseconds."""
        row, count = self.row, len(self.dialogue.turns)
        git = self.cleaned(row["git_branch"] or "")
        return [
            one_line(fact)
            for fact in (
                row["id"],
                self.cleaned(machine_of(row)),
                self.cleaned(row["cwd"]),
                f"on {git}" if git else "",
                " ".join(filter(None, (row["model"], row["reasoning_effort"]))),
                f"{amount(row['tokens_used'])} tokens" if row["tokens_used"] else "",
                time(row["created_at_ms"]),
                plural(count, "turn"),
                "archived" if row["archived"] else "",
            )
            if fact
        ]

    def marks(self) -> list[str]:
        """What the user has put on the thread: pin, status and tags in one line, the note in
        another."""
        marks = self.details["marks"]
        words = ["pinned"] if marks.pinned else []
        words += [marks.status, " ".join(f"#{tag}" for tag in marks.tags)]
        note = f"note: {marks.note}" if marks.note else ""
        return [one_line(line) for line in (" · ".join(filter(None, words)), note) if line]

    def warnings(self) -> list[str]:
        """What is missing here, for the reader."""
        missing = self.dialogue.missing
        found = [note] if (note := passed_over_note(self.row)) else []
        found += [f"The beginning is missing: {missing}."] if missing else []
        cut = self.dialogue.damage
        found += damage.sentences(cut, self.home)
        broken = {damage.relative_path(each, self.home) for each in cut}
        # The damage is one of them.
        bad = sum(
            file["bad_lines"] - (file["path"] in broken or _read_on(file))
            for file in self.details["files"]
        )
        if bad > 0:
            lines = plural(bad, "line")
            found.append(f"{lines} of its files cannot be read: see threadkeep show --meta.")
        if left_out := sum(file["left_out"] for file in self.details["files"]):
            lines = plural(left_out, "line")
            found.append(f"{lines} of its files belong to no turn: see threadkeep show --meta.")
        return [one_line(self.cleaned(text)) for text in found]

    def thread(self) -> dict[str, Any]:
        """The thread as the app-server returns it, without its turns."""
        thread = thread_json(self.row, self.home)
        found: dict[str, Any] = self.cleaned(thread | {"preview": ""})
        return found | {"preview": self.cleaned_copy(thread["preview"])}

    def turns(self) -> Iterator[ShownTurn]:
        """The selected turns, in order."""
        dialogue = self.dialogue
        for at in self.numbers:
            turn = dialogue.turns[at]
            status = "" if turn.status in (COMPLETED, IN_PROGRESS) else turn.status
            duration = "" if turn.duration_ms is None else duration_text(turn.duration_ms)
            blocks_ = self._blocks(at, turn)
            yield ShownTurn(at + 1, turn.id, blocks_, _started_ms(turn), duration, status)
        if self.whole and dialogue.orphans:
            for at, orphan in enumerate(dialogue.orphans, len(dialogue.turns)):
                yield ShownTurn(0, orphan.id, self._blocks(at, None))

    def outline(self) -> Iterator[ListedTurn]:
        """The selected turns in order, each in a line: what was asked, files, failures, tokens. If
        it was not opened for that, the files are read for it, and all turns have to be known.
        Raises OSError if a file cannot be read."""
        if self.listed is not None:
            yield from self.listed
            return
        dialogue, cleaned = self.dialogue, self.cleaned_copy
        first = min(self.numbers, default=0)
        for at, found in OutlinePass(dialogue).outlines(first, frozenset(self.numbers)):
            if cleaned is not _same:  # before it is cut: half a secret is not found
                entries = ((cleaned(item), extra) for item, extra in dialogue.entries(at))
                found = turn_outline(entries, self.prompt(at + 1), found.tokens)
            yield ListedTurn(at + 1, dialogue.turns[at], found)

    def prompt(self, number: int) -> str:
        """The first line that the user wrote in the turn with this number, from 1, or what the turn
        is if nobody wrote anything; empty if that cannot be told."""
        return prompt_of(self.cleaned_copy(self.dialogue.beginning(number - 1)))

    def _blocks(self, at: int, turn: Turn | None) -> Iterator[Block]:
        for item, call in with_calls(self.dialogue.entries(at)):
            yield from blocks(self.cleaned(item), call and self.cleaned(call))
        if turn is not None:
            yield from end_blocks(turn, self.cleaned)

    def answers(self) -> Iterator[Fields]:
        """The selected turns as the app-server returns them."""
        for at in self.numbers:
            yield self.cleaned(self.dialogue.answer(at))

    def others(self) -> Iterator[dict[str, Any]]:
        """The entries of these turns that the app-server leaves out, each with its position."""
        dialogue = self.dialogue
        orphans = range(len(dialogue.turns), len(dialogue.turns) + len(dialogue.orphans))
        for at in [*self.numbers, *(orphans if self.whole else ())]:
            index = 0
            orphan = at >= len(dialogue.turns)
            for item, extra in dialogue.entries(at):
                if extra or orphan:
                    turn = dialogue.turn(at)
                    yield {"turnId": turn.id, "index": index, "item": self.cleaned(item)}
                else:
                    index += 1


def _read_on(file: Mapping[str, Any]) -> bool:
    """Whether a file was read to its end that breaks off in the index."""
    return READ_ALL.get() and EXPANDS in (file["reason"] or "")


def end_blocks(turn: Turn, cleaned: Callable[[Any], Any] = _same) -> Iterator[Block]:
    """What is behind the entries of a turn that did not complete."""
    if turn.error:
        yield Block(Role.ERROR, "error", cleaned(turn.error["message"]), failed=True)
    if turn.status in (INTERRUPTED, IN_PROGRESS):
        ended = turn.status == INTERRUPTED
        yield Block(Role.NOTE, "interrupted" if ended else "not finished")


def _started_ms(turn: Turn) -> int | None:
    return None if turn.started_at is None else turn.started_at * 1000


def read_at_once(
    home: Path,
    reference: str,
    wanted: TurnSelection,
    reader: "IndexReader",
    *,
    outlined: bool = False,
) -> Reading | None:
    """As :func:`open_reading`, from an index that is up to date, for the thread that ``reference``
    means. None if that takes more: its turns have to be read first, or something is wrong. Raises
    AmbiguousThread if it may mean several."""
    row = reader.thread(reference)
    if row is None:
        return None
    details, path = reader.read(details_steps(row["id"])), home / row["rollout_path"]
    try:
        if outlined and path.stat().st_size >= SMALLEST_BYTES:
            told = reader.read(outline_steps(row["id"], path, home, wanted.among))
            if told is None:
                return None
            history, places, turns = told
            return Reading(row, details, home, Transcript(history), places, listed=turns)
        stored = reader.read(current_steps(row["id"], path, home, wanted.among))
        if stored is not None:
            return Reading(row, details, home, Transcript(stored[0]), stored[1])
        state = reduce_if_short(outline(path, locator(home, reader.read)))
        if state is None:
            return None
        history = bare_if_empty(state.with_torn_line().history)
        numbers = wanted.among([turn.id for turn in history.turns])
    except (OSError, RolloutError):
        return None
    return Reading(row, details, home, Transcript(history), numbers)


async def open_reading(
    index: "ThreadIndex",
    row: Row,
    wanted: TurnSelection,
    *,
    turns: "TurnIndex | None" = None,
    images: bool = False,
    outlined: bool = False,
) -> Reading:
    """Open a thread for reading, as far as it can be read; close the result. With ``turns``, only
    what was added to a long thread since the last time is read first; ``outlined``: also for its
    outline.

    Raises:
        AmbiguousTurn: several turns may be the one that is asked for.
        HistoryUnknown: its history mode is not known.
        FileUnusable, OSError: a file cannot be read.
        TurnNotFound: a turn is asked for that it does not have.
    """
    try:
        reading = await _opened(index, row, wanted, turns, images, whole=outlined)
    except TurnNotFound as error:
        ids = error.turn_ids
        last_turns = TurnSelection(last=_LAST_TURNS)
        with await _opened(index, row, last_turns, turns, images) as reading:
            numbers = [at + 1 for at in reading.numbers]
            last = [(each, shortened(reading.prompt(each), _SHORT_TITLE)) for each in numbers]
        raise TurnNotFound(error.turn_id, ids, last) from None
    if not outlined or turns is None:
        return reading
    every = await turns.outline(row["id"], index.home / row["rollout_path"])
    if len(every) != len(reading.dialogue.turns):
        return reading  # its file has changed meanwhile
    return replace(reading, listed=[every[at] for at in reading.numbers])


async def _opened(
    index: "ThreadIndex",
    row: Row,
    wanted: TurnSelection,
    turns: "TurnIndex | None",
    images: bool,
    *,
    whole: bool = False,
) -> Reading:
    path = index.home / row["rollout_path"]
    details = await index.details(row["id"])
    stored = None
    if turns is not None and not whole:
        with suppress(StateError):  # an index that cannot be read hides no turn
            stored = await index.database.query(
                current_steps(row["id"], path, index.home, wanted.among)
            )
    if stored is not None:
        return Reading(row, details, index.home, Transcript(stored[0], images=images), stored[1])
    dialogue = await _all(index, row["id"], path, turns, images)
    try:
        numbers = wanted.among([turn.id for turn in dialogue.turns])
    except (AmbiguousTurn, TurnNotFound):
        dialogue.__exit__()
        raise
    return Reading(row, details, index.home, dialogue, numbers)


async def _all(
    index: "ThreadIndex", thread_id: str, path: Path, turns: "TurnIndex | None", images: bool
) -> Transcript:
    def made(folded: TurnState) -> Transcript:
        return Transcript(bare_if_empty(folded.history), images=images)

    if turns is not None:
        return await turns.ask(thread_id, path, made, whole=True)
    return await index.database.workers.run(
        partial(open_transcript, path, rollout_locator(index), images=images)
    )
