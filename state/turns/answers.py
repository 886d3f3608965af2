"""What is asked of the turns of a thread, in the shape of Codex's answers
(docs/rollout-format.md#turns-and-items-in-answers).

Each function is the work of :meth:`state.thread_store.ThreadStore.with_turns`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollout.schema.modes import LEGACY
from rollout.schema.strict import Fields
from rollout.turns.item_reader import ItemReader, View
from rollout.turns.turn import Turn
from state.errors import InvalidQuery
from state.turns import pages
from state.turns.checkpoint import TurnState

DEFAULT_VIEW: Final[View] = "summary"


@dataclass(frozen=True, slots=True)
class Deferred:
    """Outputs to leave out of the items of a turn; a client asks for them one by one."""

    commands: bool = False
    tools: bool = False


@dataclass(frozen=True, slots=True)
class TurnAnswers:
    """Answers about the turns of a thread."""

    state: TurnState
    live_from: int | None = None
    """Where its file ended when it was made live here: a turn that has begun since and has no
    end is running. None if it is not live."""

    def turns(self, query: pages.PageQuery, view: View = DEFAULT_VIEW) -> Fields:
        """The result of ``thread/turns/list``; of the last turns of a legacy thread alone it says
        that ids of items which number them are not known. Raises InvalidCursor if the cursor is
        none of this thread's turns."""
        page = pages.page_of_turns(self.state, query)
        uncounted = self.state.partial and self.state.outline.mode == LEGACY
        with self.state.history.reader() as reader:
            found = _page(page, [self._turn(reader, turn, view) for turn in page.entries])
        return found | ({"provisionalItemIds": True} if uncounted else {})

    def all_turns(self) -> list[Fields]:
        """``turns`` of ``thread/read``: all of them with all their items, the oldest first."""
        if self.state.partial:
            raise pages.TooShort
        with self.state.history.reader() as reader:
            return [self._turn(reader, turn, "full") for turn in self.state.turns]

    def items(self, query: pages.ItemQuery, deferred: Deferred | None = None) -> Fields:
        """The result of ``thread/items/list``.

        Raises:
            ItemNotFound: the item to begin after is not in the turn.
            InvalidQuery: it is a legacy thread.
            InvalidCursor: the cursor is none of this thread's items.
        """
        self._check_paginated()
        page = pages.page_of_items(self.state, query)
        of_turn = deferred if query.turn_id is not None else None
        return _page(page, self._entries(page.entries, of_turn))

    def some_items(self, turn_id: str, item_ids: Sequence[str]) -> Fields:
        """The result of ``thread/items/read``. Raises InvalidQuery if it is a legacy thread."""
        self._check_paginated()
        return {"data": self._entries(pages.items_of(self.state, turn_id, item_ids))}

    def end_cursors(self, thread_id: str) -> Fields:
        """Cursors at the end of a thread, for what comes before it; null for a legacy one."""
        return {
            "turnsBackwardsCursor": pages.turn_end_cursor(self.state, thread_id),
            "itemsBackwardsCursor": pages.item_end_cursor(self.state, thread_id),
        }

    def _check_paginated(self) -> None:
        if self.state.outline.mode == LEGACY:
            raise InvalidQuery("a legacy thread has its items in its turns alone")

    def _turn(self, reader: ItemReader, turn: Turn, view: View) -> Fields:
        last = len(self.state.outline.parts) - 1
        start = turn.start
        since = self.live_from
        live = since is not None and start.file == last and start.offset >= since
        return reader.turn(turn, view, live=live)

    def _entries(
        self, items: Sequence[pages.ItemAt], deferred: Deferred | None = None
    ) -> list[Fields]:
        found = []
        with self.state.history.reader() as reader:
            for turn, anchor in items:
                item = reader.item(anchor)
                if item is not None:
                    times = {name: item[name] for name in ("startedAtMs", "completedAtMs")}
                    left_out = deferred is not None and _defer(item, deferred)
                    entry = {"turnId": turn.id, "item": item, **times}
                    found.append(entry | ({"outputDeferred": True} if left_out else {}))
        return found


def _page(page: pages.PageOf[Any], data: list[Fields]) -> Fields:
    return {"data": data, "nextCursor": page.next_cursor, "backwardsCursor": page.backwards_cursor}


def _defer(item: Fields, deferred: Deferred) -> bool:
    """Leave the output of an item out, if it is of such a kind: whether it was."""
    if item.get("status") != "completed":
        return False
    match item:
        case {"type": "commandExecution", "aggregatedOutput": str(output)} if deferred.commands:
            if not output or item["exitCode"] not in (None, 0):
                return False
            item["aggregatedOutput"] = None
            return True
        case {"type": "mcpToolCall", "result": {"content": [_, *_] as content}} if deferred.tools:
            texts = [part.get("text") for part in content if isinstance(part, dict)]
            plain = all(isinstance(text, str) for text in texts) and len(texts) == len(content)
            if not plain or not any(texts) or item["result"].get("structuredContent") is not None:
                return False
            item["result"] = None
            return True
    return False
