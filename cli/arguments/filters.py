"""Options that many commands share: the filters of ``list``, and what a change is to work on."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.arguments.options import AnyThreadsArgument, DryRunOption, JsonOption, YesOption

if TYPE_CHECKING:
    from state.query.model import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The filters of ``list``, as they were given."""

    source: list[str] | None = None
    all_sources: bool = False
    provider: list[str] | None = None
    cwd: list[str] | None = None
    search: str | None = None
    parent: str | None = None
    ancestor: str | None = None
    exclude: list[str] | None = None

    def query(self, **more: Any) -> "Query":
        """A query of ``list`` with these filters and ``more`` fields."""
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
    """What a command is to work on, and how."""

    references: Sequence[str]
    filters: Filters = _NO_FILTERS
    dry_run: bool = False
    yes: bool = False
    as_json: bool = False

    def query(self, *, archived: bool) -> "Query | None":
        """The threads that the filters choose; None if threads are named.

        Raises:
            typer.BadParameter: it is not clear which are meant.
        """
        filters = self.filters
        named = (filters.source, filters.provider, filters.cwd, filters.search)
        chooses = any((*named, filters.parent, filters.ancestor))
        if not chooses and (filters.all_sources or filters.exclude):
            raise typer.BadParameter("--all-sources and --exclude go with another filter")
        if chooses == bool(self.references):
            raise typer.BadParameter(
                "name threads, or choose them with --cwd, --search and so on, not both"
            )
        if not chooses:
            return None
        from state.query.model import LARGEST_PAGE

        return filters.query(archived=archived, sort_key="updated_at", limit=LARGEST_PAGE)


def _taking(name: str, maker: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that gives a command the options of ``maker`` where it has its parameter
    ``name``, and as that what ``maker`` makes of them.

    Typer knows no groups of options: it reads them from a signature, which is made here.
    """
    inner = inspect.signature(maker).parameters

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        def called(**values: Any) -> Any:
            from state.errors import InvalidQuery

            made = maker(**{key: values.pop(key) for key in inner})
            try:
                return command(**values, **{name: made})
            except InvalidQuery as error:
                error.add_note(f"see threadkeep {command.__name__.rstrip('_')} --help")
                raise

        parameters: list[inspect.Parameter] = []
        for key, parameter in inspect.signature(command).parameters.items():
            parameters += inner.values() if key == name else [parameter]
        named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__annotations__ = {each.name: each.annotation for each in named}
        called.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
        return called

    return decorated


def _filters(
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this source kind: cli, vscode, exec, appServer, subAgent, subAgentReview,"
            " subAgentCompact, subAgentThreadSpawn, subAgentOther, unknown. Repeatable.",
        ),
    ] = None,
    all_sources: Annotated[
        bool, typer.Option("--all-sources", help="Also what was not started by hand.")
    ] = False,
    provider: Annotated[
        list[str] | None, typer.Option(help="Only this model provider. Repeatable.")
    ] = None,
    cwd: Annotated[
        list[str] | None, typer.Option(help="Only threads of this folder. Repeatable.")
    ] = None,
    search: Annotated[
        str | None, typer.Option(help="Only threads whose name or beginning holds this text.")
    ] = None,
    parent: Annotated[str | None, typer.Option(help="Only children of this thread id.")] = None,
    ancestor: Annotated[
        str | None, typer.Option(help="Only descendants of this thread id.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out this thread id. Repeatable.")
    ] = None,
) -> Filters:
    return Filters(
        source=source,
        all_sources=all_sources,
        provider=provider,
        cwd=cwd,
        search=search,
        parent=parent,
        ancestor=ancestor,
        exclude=exclude,
    )


takes_filters: Final = _taking("filters", _filters)
"""Gives a command the filters of ``list``, as ``filters``."""


@takes_filters
def _chosen(
    threads: AnyThreadsArgument = None,
    *,
    filters: Filters,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> Selection:
    return Selection(
        references=threads or [], filters=filters, dry_run=dry_run, yes=yes, as_json=as_json
    )


takes_selection: Final = _taking("chosen", _chosen)
"""Gives a command what it is to work on, as ``chosen``: threads that are named, or the filters."""
