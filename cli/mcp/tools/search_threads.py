"""``search_threads``."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal

from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult
from pydantic import BaseModel, Field

from cli.mcp.answering import Answering, answered
from cli.mcp.budget import USUAL_TOKENS, Budget, Cursor, MaxTokens, continued
from cli.mcp.thread_entry import ThreadEntry, entries
from cli.mcp.tools.list_threads import left_out
from cli.mcp.wanted import (
    AllSources,
    Archived,
    Machine,
    Project,
    Since,
    ThreadLimit,
    User,
    wanted,
)

if TYPE_CHECKING:
    from cli.mcp.redaction import Redaction
    from rollout.search.messages import Message
    from rollout.search.terms import Term
    from state.fulltext.sentence import SentenceFound
    from state.query.model import Query

_USUAL_LIMIT: Final = 10
_BEFORE: Final = 60
_AFTER: Final = 260
"""Characters around the first match of a passage."""
_AROUND: Final = 800
_AROUND_KEY: Final = 20_000
"""Secrets are looked for in so many characters around it; a private key is long."""
_PASSAGES: Final = 2
"""Passages of a thread, at most."""
_WORDS: Final = 6
_HARDLY: Final = 8
"""Words of a thread that has not all of them: the rarest, and none that hardly counts beside these.
"""


class FoundPassage(BaseModel):
    """A message that matches."""

    turn: int = Field(0, description="Its turn, for read_turns; not there while it is unknown.")
    by: Literal["user", "agent"]
    text: str


class FoundThread(ThreadEntry):
    """A thread that matches."""

    passages: list[FoundPassage] = Field([])
    words: list[str] = Field([], description="Which of the words are there, if not all.")

    @property
    def text(self) -> str:
        """The same for a model."""
        lines = [super().text]
        if self.words:
            lines.append(f"  has: {', '.join(self.words)}\n")
        for passage in self.passages:
            turn = f"turn {passage.turn}, " if passage.turn else ""
            lines.append(f"  {turn}{passage.by}: {passage.text}\n")
        return "".join(lines)


class FoundThreads(BaseModel):
    """Threads that match."""

    complete: list[FoundThread] = Field(
        [], description="Those with all of the words, the most recently used first."
    )
    partial: list[FoundThread] = Field(
        [], description="Those with some of the words, the best ones first."
    )
    next_cursor: str = ""
    note: str = Field("", description="Why there may be more than these.")

    @property
    def text(self) -> str:
        """The same for a model."""
        parts = [self.note]
        if self.complete:
            parts += ["With all of the words:", "".join(thread.text for thread in self.complete)]
        if self.partial:
            parts += ["With some of the words:", "".join(thread.text for thread in self.partial)]
        if not (self.complete or self.partial):
            parts.insert(0, "Nothing matches. Try fewer or other words.")
        return "\n\n".join(filter(None, parts)).strip() + continued(self.next_cursor)


def register(server: MCPServer, answering: Answering) -> None:
    """Offer ``search_threads``."""

    async def search_threads(
        query: Annotated[
            str,
            Field(
                description='Words, "phrases", beginnings of words (word*), or a whole question.'
            ),
        ],
        project: Project = "",
        since: Since = "",
        archived: Archived = False,
        all_sources: AllSources = False,
        machine: Machine = "",
        user: User = "",
        limit: ThreadLimit = _USUAL_LIMIT,
        cursor: Cursor = "",
        max_tokens: MaxTokens = USUAL_TOKENS,
    ) -> Annotated[CallToolResult, FoundThreads]:
        """Search what users and agents said in coding-agent threads (past sessions), and their
        names. Use it to find how or why something was done before. Threads with all of the words
        come first, then those with the rarest of them. Read on with read_turns at the turn of a
        passage."""
        found = await threads_with(
            *(answering, query, project, since, limit, cursor, max_tokens),
            archived=archived,
            all_sources=all_sources,
            machine=machine,
            user=user,
        )
        return answered(found, found.text)

    answering.add_tool(server, "Search threads", search_threads)


async def threads_with(
    answering: Answering,
    query: str,
    project: str = "",
    since: str = "",
    limit: int = _USUAL_LIMIT,
    cursor: str = "",
    max_tokens: int = USUAL_TOKENS,
    *,
    archived: bool = False,
    all_sources: bool = False,
    machine: str = "",
    user: str = "",
) -> FoundThreads:
    """As many of the threads that match a query as fit. Raises EmptySearch, InvalidCursor and
    InvalidQuery for what is no search, and what :meth:`Answering.index` raises."""
    from rollout.search.terms import sentence_terms
    from state.fulltext.sentence import search_sentence

    index = await answering.index()
    incomplete = await answering.incomplete()
    terms = tuple(sentence_terms(query))
    among = await wanted(
        answering,
        limit,
        project=project,
        since=since,
        archived=archived,
        all_sources=all_sources,
        cursor=cursor,
        machine=machine,
        user=user,
    )
    found = await search_sentence(index, terms, among)
    made = await _found_threads(answering, found, terms, among)
    taken = Budget(max_tokens).first_of((thread, thread.text) for thread in made)
    threads = [thread for thread, _ in taken]
    following = found.next_cursor
    if len(taken) < len(found.hits):
        following = found.hits[len(taken) - 1].cursor
    hidden = left_out(await index.count(among), "searched")
    return FoundThreads(
        complete=threads[: found.complete],
        partial=threads[found.complete :],
        next_cursor=following or "",
        note=" ".join(filter(None, (incomplete, *_notes(found), hidden))),
    )


async def _found_threads(
    answering: Answering, found: "SentenceFound", terms: Sequence["Term"], among: "Query"
) -> list[FoundThread]:
    from cli.mcp.turn_numbers import Found, turn_numbers

    store = await answering.store()
    passages = await store.index.database.workers.run(
        lambda: [*_passages(found, answering.redaction)]
    )
    names = {each: " ".join(each.pieces) for each in found.terms}
    for term in reversed(terms):
        if len(term.loosened) == 1:
            names[term.loosened[0]] = " ".join(term.pieces)
    made = []
    threads = await entries(answering, [each.hit.row for each in found.hits], among)
    for entry, each, those in zip(threads, found.hits, passages, strict=True):
        places = [Found(turn_id) for turn_id, _ in those if not store.index.database.is_fleet]
        numbers = await turn_numbers(store, each.hit.row, places)
        for (_, passage), turn in zip(those, numbers, strict=False):  # of a fleet there are none
            passage.turn = turn
        rarest = sorted(each.terms, key=lambda term: (-found.weights[term], term))
        told = [term for term in rarest if found.weights[term] * _HARDLY > found.weights[rarest[0]]]
        lacking = len(each.terms) < len(found.terms)
        made.append(
            FoundThread(
                **entry.model_dump(),
                passages=[passage for _, passage in those],
                words=[names[found.terms[term]] for term in told[:_WORDS] if lacking],
            )
        )
    return made


def _passages(
    found: "SentenceFound", redaction: "Redaction"
) -> Iterator[list[tuple[str, FoundPassage]]]:
    """The best passages of each thread, each with the id of its turn: none where what matches is a
    secret."""
    from cli.terminal.text import one_line
    from rollout.search.normalize import casefold
    from rollout.search.snippet import best_snippet, best_span
    from rollout.search.terms import Matcher

    matcher, weights = Matcher(found.terms), found.weights

    def score(message: "Message") -> int:
        return sum(weights[term] for term in matcher.found_in(casefold(message.text)))

    def passage(message: "Message") -> FoundPassage | None:
        around = _AROUND_KEY if "PRIVATE KEY" in message.text else _AROUND
        start, end = best_span(message.text, matcher, weights, _AFTER)
        near = redaction.redacted_piece(message.text, start - around, end + around)
        snippet = best_snippet(near, matcher, weights, _BEFORE, _AFTER)
        text = one_line(snippet.text)
        by: Literal["user", "agent"] = "user" if message.kind == "userMessage" else "agent"
        return FoundPassage(by=by, text=text) if snippet.spans else None

    for each in found.hits:
        best = sorted(each.hit.messages, key=score, reverse=True)[:_PASSAGES]
        told = ((message.turn_id, passage(message)) for message in best)
        yield [(turn_id, passage) for turn_id, passage in told if passage]


def _notes(found: "SentenceFound") -> Iterator[str]:
    """Why there may be more."""
    from cli.terminal.text import plural

    if found.pending:
        yield f"{plural(found.pending, 'thread')} to index: some matches may be missing."
    if found.unreadable:
        yield f"{plural(len(found.unreadable), 'thread')} cannot be read."
