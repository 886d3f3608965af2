"""A thread for reading: its turns, and in each what Codex's answers have and what they leave out.

*extra*: an entry that is no item of Codex's answers: a call of a tool in a legacy thread
(:mod:`rollout.tool_calls`), or an item of a type that Codex 0.169 does not know.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from rollout.anchors import Place, key_of
from rollout.errors import HistoryIncomplete
from rollout.history import Find, Part
from rollout.lines import BadLine, Line, LineReader, open_rollout, parse_line
from rollout.persistence import LEGACY, PAGINATED
from rollout.shapes import Fields
from rollout.thread_items import ItemReader, turn_answer
from rollout.thread_turns import ThreadTurns, open_history
from rollout.tool_calls import bare_payload, calls_between, entry, starts_turn, talk_between
from rollout.turns import COMPLETED, Turn
from rollout.wire import UNKNOWN

BARE: Final = "bare"
"""The mode of a thread that has response items but no turns of Codex's (rollout-format §8.1)."""


class Dialogue:
    """A thread's turns and what is in them. Use it in a ``with``; make one with
    :func:`open_dialogue`."""

    def __init__(self, history: ThreadTurns, *, images: bool = False) -> None:
        """``images``: also the inline ones of very long lines."""
        self.mode = history.mode
        self.parts = history.parts
        self.turns = history.turns
        self.strays = history.strays
        """Items of turns that never were (§15.3)."""
        self.missing = history.missing
        """Why the turns that the history begins with are not here, if they are not."""
        paths = [part.path for part in history.parts]
        mode = PAGINATED if self.mode == PAGINATED else LEGACY
        self._reader = ItemReader(paths, mode, images=images)

    def __enter__(self) -> "Dialogue":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__()

    def turn(self, number: int) -> Turn:
        """The turn with this number, from 0; the strays come behind the others."""
        count = len(self.turns)
        return self.turns[number] if number < count else self.strays[number - count]

    def entries(self, number: int) -> Iterator[tuple[Fields, bool]]:
        """What is in the turn with this number, in order, and whether it is extra.

        Raises:
            OSError: a file cannot be read.
        """
        turn = self.turn(number)
        if self.mode == PAGINATED:
            for anchor in turn.items:
                if (item := self._reader.item(anchor)) is not None:
                    yield item, anchor.kind == UNKNOWN
            return
        behind = self.turns[number + 1 : number + 2]
        end = behind[0].start.offset if behind else None
        file = self._reader.file(0)
        if self.mode == BARE:
            for said in talk_between(file, turn.start.offset, end):
                if (found := entry(file, said)) is not None:
                    yield found, found["type"] not in ("userMessage", "agentMessage", "reasoning")
            return
        messages = {at for anchor in turn.items for at in anchor.offsets}
        calls = [
            said
            for said in calls_between(file, turn.start.offset, end, own=messages.__contains__)
            if not said.call_id or turn.items.find(key_of(said.call_id)) < 0
        ]
        calls.reverse()
        for anchor in turn.items:
            while calls and calls[-1].offset < anchor.offsets[0]:
                if (found := entry(file, calls.pop())) is not None:
                    yield found, True
            if (item := self._reader.item(anchor)) is not None:
                yield item, anchor.kind == UNKNOWN
        while calls:
            if (found := entry(file, calls.pop())) is not None:
                yield found, True

    def answer(self, number: int) -> Fields:
        """The turn with this number as the app-server's answers have it."""
        items = [item for item, extra in self.entries(number) if not extra]
        return turn_answer(self.turns[number], items, "full")


def open_dialogue(path: Path, find: Find, *, images: bool = False) -> Dialogue:
    """The dialogue of the thread whose rollout is at ``path``; ``find`` gives the files that its
    history begins in.

    Raises:
        DamagedCompression: a file of its history is damaged.
        HistoryUnknown: its history mode is not known.
        OSError: a file cannot be read.
    """
    try:
        history = open_history(path, find)
    except HistoryIncomplete:  # of its own file: it has no session_meta
        history = ThreadTurns(BARE, [Part(path, "", None, None)], [], [], None)
    return dialogue_of(history, images=images)


def dialogue_of(history: ThreadTurns, *, images: bool = False) -> Dialogue:
    """The dialogue of a thread whose turns are known; its messages are looked for if it has none.

    Raises:
        DamagedCompression: its file is damaged.
        OSError: it cannot be read.
    """
    if not history.turns and history.mode in (LEGACY, BARE):
        turns = bare_turns(history.parts[-1].path)
        history = replace(history, mode=BARE, turns=turns)
    return Dialogue(history, images=images)


def bare_turns(path: Path) -> list[Turn]:
    """A turn for each message of a user; named like those that Codex makes up (§14.1)."""
    turns: list[Turn] = []
    index = -1
    with open_rollout(path) as stream:
        for line in LineReader().lines(stream):
            item = parse_line(line) if isinstance(line, Line) else None
            if item is None or isinstance(item, BadLine):
                continue
            index += 1
            payload = bare_payload(item)
            if payload is None:
                continue
            talks = payload.get("type") in ("message", "function_call", "custom_tool_call")
            if starts_turn(payload) or (talks and not turns and payload.get("role") != "user"):
                place = Place(0, line.offset, 0)
                turns.append(Turn(f"rollout-{index}", place, False, status=COMPLETED))
    return turns
