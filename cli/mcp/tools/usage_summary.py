"""``usage_summary``."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal

from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult
from pydantic import BaseModel, Field

from cli.mcp.answering import Answering, answered
from cli.mcp.budget import USUAL_TOKENS, Budget, MaxTokens, at_most, shortened
from cli.mcp.wanted import Machine, Project, User, check_projects, of_owner

if TYPE_CHECKING:
    from cli.runtime.usage import FoundUsage
    from state.reports.groups import Tally

By = Literal[
    "day",
    "week",
    "month",
    "hour",
    "project",
    "model",
    "provider",
    "effort",
    "source",
    "branch",
    "thread",
    "user",
    "machine",
]
"""The dimensions of :mod:`state.reports`; the last two are those of a fleet."""
_USUAL_SPAN: Final = "30d"
_ALL: Final = "all"
_MOST: Final = 500
_LONGEST_KEY: Final = 200
_MOST_MODELS: Final = 5


class Usage(BaseModel):
    """What was used."""

    key: str = Field("", description="The day, model, project, …; of a thread its id.")
    title: str = Field("", description="What a thread is called.")
    threads: int = 0
    responses: int = 0
    input_tokens: int = Field(0, description="With those from the cache.")
    cached_input_tokens: int = 0
    output_tokens: int = Field(0, description="With those of reasoning.")
    total_tokens: int = 0
    cost_usd: float | None = Field(None, description="At list prices; not there if unknown.")
    unpriced_tokens: int = Field(0, description="Tokens that have no price.")

    @property
    def text(self) -> str:
        """The same for a model, as a row of a table."""
        from cli.terminal.text import amount, money

        counts = (self.input_tokens, self.cached_input_tokens, self.output_tokens)
        cells = [
            " ".join(filter(None, (self.key or "(none)", self.title))).replace("|", "/"),
            money(self.cost_usd, self.unpriced_tokens),
            *map(amount, (self.total_tokens, *counts)),
            f"{self.threads:,}",
        ]
        return f"| {' | '.join(cells)} |\n"


class UsageSummary(BaseModel):
    """What threads used."""

    since: str = Field("", description="In UTC; not there if all is counted.")
    until: str = ""
    time_zone: str = Field(description="That of days.")
    by: str
    total: Usage
    rows: list[Usage] = Field([], description="Times in order; others by cost or tokens.")
    count: int = Field(0, description="How many rows there are in all.")
    note: str = Field("", description="What the numbers lack.")


def register(server: MCPServer, answering: Answering) -> None:
    """Offer ``usage_summary``."""

    async def usage_summary(
        by: Annotated[By, Field(description="What the rows are.")] = "model",
        since: Annotated[
            str,
            Field(
                description="Used since then: today, this-week, this-month, 12h, 7d, 2026-11,"
                f" 2026-11-20, or {_ALL}."
            ),
        ] = _USUAL_SPAN,
        until: Annotated[str, Field(description="Used before then, in the same words.")] = "",
        project: Project = "",
        machine: Machine = "",
        user: User = "",
        limit: Annotated[int, at_most(_MOST), Field(description=f"Rows, at most {_MOST}.")] = 30,
        max_tokens: MaxTokens = USUAL_TOKENS,
    ) -> Annotated[CallToolResult, UsageSummary]:
        """Sum the tokens that coding-agent threads used, and what they cost in USD at list prices,
        by model, project, day, thread or the like. Archived threads count, too."""
        from cli.arguments.filters import Filters
        from cli.arguments.span import calendar_of, span_of
        from cli.runtime.open_index import look_up_prices
        from cli.runtime.usage import usage_steps
        from cli.terminal.text import iso, plural
        from state.errors import InvalidQuery
        from state.reports import OF_FLEET
        from state.reports.calendar import HOUR_S, TIMES
        from state.reports.stats import Asked

        index = await answering.index()
        calendar, zone = calendar_of(None)
        begin = None if since == _ALL else since or None
        span, *_ = span_of(begin, until or None, calendar, time.time())
        if by in OF_FLEET and not answering.is_fleet:
            raise InvalidQuery(f"only a fleet is counted by {by}")
        made = Filters(project=[project] if project else None).query()
        query = index.seen(of_owner(made, machine, user))
        await check_projects(answering, query.projects)
        asked = Asked((by,), calendar, span, query)
        notes = [await answering.incomplete(), await look_up_prices(index, query)]
        found = await index.read(lambda: usage_steps(asked, limit, ()), asked.query)
        statistics, budget = found.statistics[0], Budget(max_tokens)
        taken = budget.first_of((usage, usage.text) for usage in _rows(found, limit, answering))
        if left := statistics.count - len(taken):
            notes.append(f"{plural(left, 'more row')} {'is' if left == 1 else 'are'} not shown.")
        first, last = ("" if hour is None else iso(hour * HOUR_S * 1000) for hour in span)
        result = UsageSummary(
            since=first,
            until=last,
            time_zone=zone,
            by=by,
            total=_usage("", statistics.total),
            rows=[usage for usage, _ in (reversed(taken) if by in TIMES else taken)],
            count=statistics.count,
            note=" ".join(filter(None, [*notes, *_remarks(found)])),
        )
        return answered(result, _text(result))

    answering.add_tool(server, "Tokens and costs", usage_summary)


def _rows(found: "FoundUsage", most: int, answering: Answering) -> Iterator[Usage]:
    """What was used by key, the most important first: the latest times."""
    from cli.render.stats.table import shown
    from cli.terminal.text import one_line
    from state.reports.calendar import TIMES

    by = found.asked[0].by

    def clean(text: str) -> str:
        return shortened(one_line(answering.redacted(text)), _LONGEST_KEY)

    groups = shown(found.statistics[0].groups, by, most)
    for group in reversed(groups) if by[0] in TIMES else groups:
        usage = _usage(clean(group.key), group.tally)
        usage.title = clean(found.names.get(group.key, ""))
        yield usage


def _usage(key: str, tally: "Tally") -> Usage:
    return Usage(
        key=key,
        threads=tally.threads,
        responses=tally.responses,
        input_tokens=tally.input,
        cached_input_tokens=tally.cached_input,
        output_tokens=tally.output,
        total_tokens=tally.total,
        cost_usd=tally.spent,
        unpriced_tokens=tally.unpriced,
    )


def _remarks(found: "FoundUsage") -> Iterator[str]:
    """What else there is to know about the numbers."""
    from cli.terminal.text import one_line, plural

    statistics = found.statistics[0]
    if statistics.unpriced:
        models = dict.fromkeys(one_line(each.model) for each in statistics.unpriced)
        named = [model or "an unnamed model" for model in models][:_MOST_MODELS]
        more = f" and {len(models) - len(named):,} more" if len(models) > len(named) else ""
        yield f"No price is known for {', '.join(named)}{more}."
    if statistics.subscribed and statistics.total.cost:
        yield (
            f"{plural(statistics.subscribed, 'thread')} used a subscription: their cost is what"
            " the API would have asked."
        )
    if found.unreadable:
        yield f"Not counted: {plural(found.unreadable, 'unreadable file')}."


def _text(result: UsageSummary) -> str:
    """The same for a model."""
    limits = [f"{word} {time}" for word, time in (("since", result.since), ("until", result.until))]
    span = ", ".join(each for each in limits if each.split()[1:]) or "of all time"
    head = f"Used {span}, by {result.by} (time zone {result.time_zone}):"
    if not result.total.responses:
        return f"{head} nothing. {result.note}".strip()
    table = (
        f"| {result.by} | cost | tokens | input | cached | output | threads |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    rows = "".join(usage.text for usage in result.rows)
    total = result.total.model_copy(update={"key": "total"}).text
    return "\n\n".join(filter(None, (head, f"{table}{rows}{total}", result.note)))
