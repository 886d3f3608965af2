"""A box that filters are typed into, which completes them."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from textual.suggester import Suggester
from textual.widgets import Input

from cli.filter.known import known_of
from cli.filter.language import Known, completed, completions
from state.errors import StateError

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex

_PAUSE_S: Final = 0.2
"""What filters can be completed to is read when nothing has changed for so long ..."""
_FRESH_S: Final = 10.0
"""... and not again for so long: of 20,000 threads it takes 30 ms."""
_FLEET_FRESH_S: Final = 300.0
"""The same of a fleet, which may have many more folders."""


class FilterBox(Input):
    """Shows behind the cursor how a filter may go on; Right takes what is offered first."""

    def __init__(self, **options: Any) -> None:
        super().__init__(suggester=_FilterSuggester(self), **options)
        self.known = Known()
        """What the index has, as far as that is known by now."""
        self._learned_s = 0.0

    def learn(self, index: "ThreadIndex") -> None:
        """Begin to learn what filters can be completed to."""
        work: Any = partial(self._learn, index)
        self.run_worker(work, group="known", exclusive=True)

    async def _learn(self, index: "ThreadIndex") -> None:
        # Nothing is known of an index that is only being filled.
        lasts_s = _FRESH_S if not index.database.is_fleet else _FLEET_FRESH_S
        fresh_s = self._learned_s + lasts_s - time.monotonic() if any(self.known) else 0.0
        await asyncio.sleep(max(_PAUSE_S, fresh_s))
        with suppress(StateError):  # of which the list tells, too
            self.known = await known_of(index)
            self._learned_s = time.monotonic()

    @property
    def offered(self) -> list[str]:
        """What the filter that is typed at the end may be."""
        at_end = self.cursor_at_end and self.selection.is_empty
        return completions(self.value, len(self.value), self.known) if at_end else []

    @property
    def offered_values(self) -> list[str]:
        """The same without names of filters, as which any word may begin."""
        return [token for token in self.offered if not token.endswith(":")]

    def action_cursor_right(self, select: bool = False) -> None:
        if not select and (offered := self.offered):
            text = completed(self.value, len(self.value), offered[0])
            self.value = text if text.endswith(":") else f"{text} "
            self.action_end()
        else:
            super().action_cursor_right(select)


class _FilterSuggester(Suggester):
    """Suggests the first completion that goes on from the text."""

    def __init__(self, box: FilterBox) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._box = box

    async def get_suggestion(self, value: str) -> str | None:
        return suggestion(value, self._box.known)


def suggestion(text: str, known: Known) -> str | None:
    """The text with the first of its completions that it is the beginning of."""
    for token in completions(text, len(text), known):
        found = completed(text, len(text), token)
        if found.casefold().startswith(text.casefold()) and len(found) > len(text):
            return found
    return None
