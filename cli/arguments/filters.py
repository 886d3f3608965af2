"""Options that many commands share: the filters of ``list``, and the threads to work on."""

import inspect
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from cli.arguments.options import AnyThreadsArgument, DryRunOption, JsonOption, YesOption
from cli.arguments.values import age_of, amount_of

if TYPE_CHECKING:
    from state.query.model import Query


class Filters(NamedTuple):
    """The filters of ``list``; the fields are its options."""

    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Only this source: cli, vscode, exec, appServer, subAgent, subAgentReview,"
            " subAgentCompact, subAgentThreadSpawn, subAgentOther, unknown. Repeatable.",
        ),
    ] = None
    all_sources: Annotated[
        bool,
        typer.Option(
            "--all-sources", help="Include threads that no user started, and side threads."
        ),
    ] = False
    provider: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this model provider. Repeatable.")
    ] = None
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this model; 'gpt-5*' for several. Repeatable."),
    ] = None
    branch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this git branch; 'feature/*' for several. Repeatable."
        ),
    ] = None
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="Only with this tag. Repeatable: with all of them."),
    ] = None
    pinned: Annotated[
        bool | None,
        typer.Option(
            "--pinned/--not-pinned", help="Only pinned threads, or only others.", show_default=False
        ),
    ] = None
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS", help="Only with this status: todo, doing, waiting, done. Repeatable."
        ),
    ] = None
    cwd: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="Only this folder and those below it. Repeatable."),
    ] = None
    exact_cwd: Annotated[
        list[str] | None, typer.Option(metavar="DIR", help="Only this folder itself. Repeatable.")
    ] = None
    project: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only this project, with all clones and worktrees; . is that of this folder."
            " Folders of this name count, too. Repeatable.",
        ),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Only since then: 7d, yesterday, monday, last-week, 2026-11-20."
        ),
    ] = None
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Only before then.")] = None
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only older than this: 12h, 30d, 6mo, 1y.")
    ] = None
    min_tokens: Annotated[
        str | None, typer.Option(metavar="N", help="Only with at least this many tokens: 100k, 2M.")
    ] = None
    min_size: Annotated[
        str | None,
        typer.Option(metavar="N", help="Only with a file of at least this size: 500k, 10M."),
    ] = None
    search: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Only threads with this text in their name, title or preview."
        ),
    ] = None
    parent: Annotated[
        str | None, typer.Option(metavar="ID", help="Only threads spawned by this one (full id).")
    ] = None
    ancestor: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Only threads spawned by this one (full id), at any depth."
        ),
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Leave out this thread. Repeatable.")
    ] = None

    @property
    def select(self) -> bool:
        """Whether one of them chooses threads by itself."""
        alone = self._replace(all_sources=False, exclude=None, pinned=True if self.pinned else None)
        return alone != _NO_FILTERS

    def query(self, now_s: float | None = None, **more: Any) -> "Query":
        """A query with these filters and ``more`` fields, of now or another time. Raises
        typer.BadParameter if a value has no meaning."""
        from state.errors import InvalidFolder
        from state.query.model import Query

        if any(not folder.strip() for folder in (*(self.cwd or ()), *(self.exact_cwd or ()))):
            raise InvalidFolder("a folder is blank")
        since_ms, until_ms = self._times(time.time() if now_s is None else now_s)
        return Query(
            source_kinds=tuple(self.source or ()),
            all_sources=self.all_sources,
            providers=tuple(self.provider or ()),
            models=tuple(self.model or ()),
            branches=tuple(self.branch or ()),
            tags=tuple(self.tag or ()),
            pinned=self.pinned,
            statuses=tuple(self.status or ()),
            folders=tuple(self.cwd or ()),
            cwds=tuple(self.exact_cwd) if self.exact_cwd else None,
            projects=tuple(map(_project, self.project or ())),
            since_ms=since_ms,
            until_ms=until_ms,
            min_tokens=amount_of("--min-tokens", self.min_tokens),
            min_size=amount_of("--min-size", self.min_size),
            search=self.search,
            parent_id=self.parent,
            ancestor_id=self.ancestor,
            excluded_ids=tuple(self.exclude or ()),
            **more,
        )

    def _times(self, now_s: float) -> tuple[int | None, int | None]:
        """The first moment that they choose, and the first that they do not any more, in
        milliseconds since 1970."""
        since_ms = until_ms = None
        if self.since is not None or self.until is not None:
            from cli.arguments.span import calendar_of, times_of

            begin, end = times_of(self.since, self.until, calendar_of(None)[0], now_s)
            since_ms, until_ms = begin and begin.ms, end and end.ms
        if self.older_than is not None:
            before_ms = int((now_s - age_of("--older-than", self.older_than)) * 1000)
            until_ms = before_ms if until_ms is None else min(before_ms, until_ms)
            if since_ms is not None and since_ms >= until_ms:
                raise typer.BadParameter(
                    "no time is both after --since and before --older-than\ngive an earlier --since"
                )
        return since_ms, until_ms


def _project(given: str) -> str:
    """A name as it is, and a relative path from the root. Raises InvalidFolder if the current
    folder has been removed."""
    from state.userdata.folders import absolute_folder

    is_relative = given in (".", "..") or given.startswith(("./", "../"))
    return absolute_folder(given) if is_relative else given


_NO_FILTERS: Final = Filters()


class Selection(NamedTuple):
    """The threads to work on, and how; the fields are options."""

    threads: AnyThreadsArgument = None
    filters: Filters = _NO_FILTERS
    dry_run: DryRunOption = False
    yes: YesOption = False
    as_json: JsonOption = False

    @property
    def references(self) -> list[str]:
        """The threads as they are named."""
        return self.threads or []

    def query(self, *, archived: bool) -> "Query | None":
        """The query for the threads that the filters select; None if threads are named. Raises
        typer.BadParameter if it is not clear which threads are meant."""
        return selected(self.filters, self.references, archived=archived)


def selected(
    filters: Filters, references: Sequence[str], *, archived: bool, also: bool = False
) -> "Query | None":
    """The query for the threads that the filters select, by the time of their last use; None if
    threads are named. ``also``: whether something else selects some. Raises typer.BadParameter if
    it is not clear which threads are meant."""
    select = filters.select or also
    if not select and filters != _NO_FILTERS:
        raise typer.BadParameter(
            "--all-sources, --not-pinned and --exclude choose no threads by themselves"
            "\nadd another filter, such as --cwd or --since"
        )
    if select and references:
        raise typer.BadParameter(
            "threads are named, and chosen by filters too\ngive either thread ids or filters"
        )
    if not select and not references:
        raise typer.BadParameter(
            "no threads are given\ngive thread ids, or filters such as --cwd and --since"
        )
    if not select:
        return None
    from state.query.model import LARGEST_PAGE

    return filters.query(archived=archived, sort_key="recency_at", limit=LARGEST_PAGE)


def expands(
    name: str, maker: Callable[..., Any], *without: str
) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that replaces a command's parameter ``name`` by the parameters of ``maker``, but
    for those called ``without``, and passes what ``maker`` returns for them.

    Typer reads options from a signature and has no groups of them, so the signature is composed.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        whole = inspect.signature(maker).parameters.items()
        inner = {key: each for key, each in whole if key not in without}

        def expanded(**values: Any) -> Any:
            made = maker(**{key: values.pop(key) for key in inner})
            return command(**values, **{name: made})

        parameters: list[inspect.Parameter] = []
        for key, parameter in inspect.signature(command).parameters.items():
            parameters += inner.values() if key == name else [parameter]
        keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        expanded.__name__, expanded.__doc__ = command.__name__, command.__doc__
        expanded.__annotations__ = {each.name: each.annotation for each in keywords}
        expanded.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
        return expanded

    return decorate


takes_filters: Final = expands("filters", Filters)
"""Gives a command the filters of ``list``, as ``filters``."""
takes_filters_of_text: Final = expands("filters", Filters, "search")
"""The same for a command that searches texts, and has a name of its own for ``--search``."""
takes_filters_of_usage: Final = expands(
    "filters", Filters, "all_sources", "since", "until", "older_than"
)
"""The same for a command that leaves no source out by itself, and has a span of another time."""


def takes_selection(command: Callable[..., Any]) -> Any:
    """Gives a command the threads to work on, as ``selection``: named ones, or those of filters."""
    return expands("selection", takes_filters(Selection))(command)


def takes_selection_without_branch(command: Callable[..., Any]) -> Any:
    """The same for a command whose ``--branch`` is another option."""
    return expands("selection", expands("filters", Filters, "branch")(Selection))(command)
