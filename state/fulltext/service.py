"""Searches of an open index: true to the files, with the turns and items of what was found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollout.errors import RolloutError
from rollout.history.thread import with_talk
from rollout.search.messages import history_messages
from rollout.search.snippet import Snippet, snippet
from rollout.search.terms import Matcher
from state.errors import IndexBusy, StateError
from state.fulltext.hits import Hit
from state.fulltext.search import Found, Search, search_steps
from state.query.rows import is_fresh
from state.rollout_locator import rollout_locator
from state.thread_index import ThreadIndex
from state.turns.cache import Closed, TurnIndex
from state.turns.checkpoint import TurnState
from state.turns.pages import TooShort

_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found in a thread."""

    kind: str
    """``userMessage``, ``agentMessage``, or ``name`` for what the thread is called."""
    snippet: Snippet
    turn_id: str | None = None
    item_id: str | None = None


async def search(index: ThreadIndex, wanted: Search) -> Found:
    """The page of hits that ``wanted`` asks for. Threads whose files have gone are not among them,
    and those whose files have changed are looked at again.

    Raises:
        InvalidCursor: the cursor is not one of this search.
    """
    find = rollout_locator(index)
    for _ in range(_ROUNDS):
        found = await index.database.query(search_steps(index.home, wanted, find))
        stale = [hit.row for hit in found.hits if not is_fresh(index.home, hit.row)]
        if not stale:
            break
        try:
            await index.refresh([row["rollout_path"] for row in stale])
        except IndexBusy:
            break  # what is shown was read from the files just now
    return found


async def places(turns: TurnIndex, home: Path, wanted: Search, hit: Hit) -> list[Place]:
    """Where the terms are in a thread, with their turns and items."""
    matcher = Matcher(wanted.terms)
    found = [Place("name", snippet(part, matcher)) for part in hit.head]
    if not hit.messages:
        return found

    def look(folded: TurnState) -> list[Place]:
        history = folded.history if folded.partial else with_talk(folded.history)
        numbers = {part.path: number for number, part in enumerate(history.parts)}
        at = {
            (numbers.get(home / hit.files[message.file]), message.offset): message
            for message in hit.messages
        }
        said = []
        for turn, anchor, item in history_messages(history, lambda *place: place in at):
            shown = snippet(at[anchor.file, anchor.offsets[0]].text, matcher)
            said.append(Place(item["type"], shown, turn.id, item["id"]))
        if folded.partial and len(said) < len(at):
            raise TooShort
        return said

    try:
        return found + await turns.ask(hit.row["id"], home / hit.row["rollout_path"], look)
    except (Closed, RolloutError, StateError):
        return found  # it has changed just now, and the next search tells
