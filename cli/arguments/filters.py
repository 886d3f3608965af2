"""Options that many commands share: the filters of ``list``, and the threads to work on."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.arguments.options import AnyThreadsArgument, DryRunOption, JsonOption, YesOption

if TYPE_CHECKING:
    from state.query.model import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
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
    cwd: Annotated[
        list[str] | None, typer.Option(metavar="DIR", help="Only this folder. Repeatable.")
    ] = None
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only threads with this text in name, title or preview."),
    ] = None
    parent: Annotated[
        str | None, typer.Option(metavar="ID", help="Only threads that this one (full id) spawned.")
    ] = None
    ancestor: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Only threads that this one (full id) spawned, at any depth."
        ),
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Leave out this thread. Repeatable.")
    ] = None

    def query(self, **more: Any) -> "Query":
        """A query with these filters and ``more`` fields."""
        from state.errors import InvalidFolder
        from state.query.model import Query

        if any(not folder.strip() for folder in self.cwd or ()):
            raise InvalidFolder("a folder is blank")
        return Query(
            source_kinds=tuple(self.source or ()),
            all_sources=self.all_sources,
            providers=tuple(self.provider or ()),
            cwds=tuple(self.cwd) if self.cwd else None,
            search=self.search,
            parent_id=self.parent,
            ancestor_id=self.ancestor,
            excluded_ids=tuple(self.exclude or ()),
            **more,
        )


_NO_FILTERS: Final = Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
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
        filters = self.filters
        values = (filters.source, filters.provider, filters.cwd, filters.search)
        selects = any((*values, filters.parent, filters.ancestor))
        if not selects and (filters.all_sources or filters.exclude):
            raise typer.BadParameter(
                "--all-sources and --exclude choose no threads by themselves"
                "\nadd another filter, such as --cwd or --search"
            )
        if selects and self.references:
            raise typer.BadParameter(
                "threads are named, and chosen by filters too\ngive either thread ids or filters"
            )
        if not selects and not self.references:
            raise typer.BadParameter(
                "no threads are given\ngive thread ids, or filters such as --cwd and --search"
            )
        if not selects:
            return None
        from state.query.model import LARGEST_PAGE

        return filters.query(archived=archived, sort_key="updated_at", limit=LARGEST_PAGE)


def _expands(
    name: str, maker: Callable[..., Any], without: str = ""
) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that replaces a command's parameter ``name`` by the parameters of ``maker``, but
    for the one called ``without``, and passes what ``maker`` returns for them.

    Typer reads options from a signature and has no groups of them, so the signature is composed.
    """
    inner = {
        key: each for key, each in inspect.signature(maker).parameters.items() if key != without
    }

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
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


takes_filters: Final = _expands("filters", Filters)
"""Gives a command the filters of ``list``, as ``filters``."""
takes_filters_of_all: Final = _expands("filters", Filters, without="all_sources")
"""The same for a command that leaves no source out by itself."""
takes_selection: Final = _expands("selection", takes_filters(Selection))
"""Gives a command the threads to work on, as ``selection``: named ones, or those of filters."""
