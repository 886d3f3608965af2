"""A thread for reading: its turns, and in each what Codex's answers have and what they leave out.

*extra*: an entry that is no item of Codex's answers: a call of a tool in a legacy thread
(:mod:`rollout.tool_calls`), or an item that Codex 0.171 does not read.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rollout.anchors import key_of
from rollout.bare import BARE, BareFold
from rollout.history import Find
from rollout.persistence import LEGACY, PAGINATED
from rollout.shapes import Fields
from rollout.thread_items import ItemReader, turn_answer
from rollout.thread_turns import ThreadTurns, fold_file, open_history
from rollout.tool_calls import calls_between, entry, talk_between
from rollout.turns import Turn
from rollout.wire import UNKNOWN


class Dialogue:
    """A thread's turns and what is in them. Use it in a ``with``; make one with
    :func:`open_dialogue`."""

    def __init__(self, history: ThreadTurns, *, images: bool = False) -> None:
        """``images``: also the inline ones of very long lines."""
        self.mode = history.mode
        self.parts = history.parts
        self.turns = history.turns
        self.strays = history.strays
        """Items of turns that never were (§15.3), or of none."""
        self.missing = history.missing
        """Why the turns that the history begins with are not here, if they are not."""
        self.damage = history.damage
        """Where files of the history break off."""
        paths = [part.path for part in history.parts]
        self._reader = ItemReader(paths, self.mode, images=images)

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
            if not said.call_id or all(turn.items.find(key) < 0 for key in _keys(said.call_id))
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


def _keys(call_id: str) -> tuple[int, int]:
    """The keys of an item of a call, whether Codex reads it or not."""
    return key_of(call_id), key_of(f"?{call_id}")


def open_dialogue(path: Path, find: Find, *, images: bool = False) -> Dialogue:
    """The dialogue of the thread whose rollout is at ``path``, as far as it reads; ``find`` gives
    the files that its history begins in.

    Raises:
        HistoryUnknown: its history mode is not known.
        OSError: a file cannot be read.
    """
    return dialogue_of(open_history(path, find), images=images)


def dialogue_of(history: ThreadTurns, *, images: bool = False) -> Dialogue:
    """The dialogue of a thread whose turns are known; its messages are looked for if it has none.

    Raises:
        OSError: its file cannot be read.
    """
    if not history.turns and history.mode == LEGACY:
        fold = BareFold()
        fold_file(history.parts[-1].path, fold, damage=[])
        if fold.turns or not history.strays:
            history = replace(history, mode=BARE, turns=fold.turns, strays=[])
    return Dialogue(history, images=images)
