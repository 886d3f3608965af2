"""What happens to a thread while its page is open, told to the page."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Final

from cli.render.labels import label
from cli.turns.heads import KnownTurns, TurnKey
from cli.web.thread.opened import OpenThread
from cli.web.thread.window import Spot
from rollout.errors import RolloutError
from state.errors import StateError
from state.turns.cache import Closed

_LOOK_S: Final = 0.5
"""How often a file that may grow is looked at, in seconds."""
_SHARE: Final = 5
"""The looks at one that grows take at most one part in so many of the time."""
_TELL_S: Final = 0.4
"""How often it is told how much of a long thread was read."""
_NUMBERED: Final = 500
"""The last turns, whose numbers are told when they are known."""
Event = tuple[str, Any]


async def events(thread: OpenThread, seen: Spot | None = None) -> AsyncGenerator[Event]:
    """``turns`` whenever there are new ones or more of the last one, and at first, with whether the
    last turn that was told (or ``seen``) is gone; ``reading`` with how much of a long thread was
    read; ``archived``, ``unarchived``, ``gone``, ``back`` and
    ``trouble``. They end when the index is opened again: whoever asks again has the new one."""
    following = _Following(thread, seen)
    while True:
        try:
            async for event in following.look():
                yield event
        except Closed:
            return
        except (RolloutError, StateError, OSError) as error:
            # The next look tells of a file that is gone.
            if await thread.source.is_there() and following.is_new_trouble(str(error)):
                told = str(error).rstrip(".")
                yield "trouble", {"message": f"{told[:1].upper()}{told[1:]}."}
        await asyncio.sleep(max(_LOOK_S, following.took * _SHARE))


class _Following:
    """What was told so far."""

    def __init__(self, thread: OpenThread, seen: Spot | None) -> None:
        self._thread = thread
        self._last: TurnKey | None = seen and (seen.id, seen.file, seen.byte)
        self._told: tuple[object, ...] = ()
        self._whole = True
        self._gone = False
        self._trouble = ""
        self._archived = bool(thread.source.row["archived"])
        self.took = 0.0
        """How long the last look at a file that had grown took, in seconds."""

    def is_new_trouble(self, message: str) -> bool:
        """Whether this was not told last."""
        self._trouble, before = message, self._trouble
        return message != before

    async def look(self) -> AsyncGenerator[Event]:
        """What there is to tell now."""
        source = self._thread.source
        gone = not (await source.is_there() or await source.find_again())
        if gone != self._gone:
            self._gone = gone
            yield "gone" if gone else "back", {}
        if gone:
            return
        if bool(source.row["archived"]) != self._archived:
            self._archived = not self._archived
            yield "archived" if self._archived else "unarchived", {}
        begun = time.monotonic()
        known = await self._thread.known_within(_TELL_S)
        while known is None:
            yield "reading", {"part": round(source.progress(), 3)}
            known = await self._thread.known_within(_TELL_S)
        self._trouble = ""
        told = (known.partial, len(known.heads), known.heads[-1:], known.warnings)
        if told != self._told:
            self.took = time.monotonic() - begun
            numbered = not self._whole and not known.partial
            self._told, self._whole = told, not known.partial
            yield "turns", self._turns(known, numbered=numbered)
        if known.partial:
            yield "reading", {"part": round(source.progress(), 3)}

    def _turns(self, known: KnownTurns, *, numbered: bool) -> dict[str, Any]:
        heads = known.heads
        last = heads[-1] if heads else None
        found: dict[str, Any] = {
            "count": len(heads),
            "partial": known.partial,
            "rewritten": self._is_rewritten(known),
            "last": str(Spot.of(last)) if last else None,
            "title": label(self._thread.source.row),
            "warnings": known.warnings,
        }
        self._last = last.key if last else None
        if numbered:
            found["numbers"] = {str(Spot.of(each)): each.number for each in heads[-_NUMBERED:]}
        return found

    def _is_rewritten(self, known: KnownTurns) -> bool:
        """Whether the last turn that was told is not there any more."""
        if self._last is None or known.partial:
            return False
        return all(head.key != self._last for head in reversed(known.heads))
