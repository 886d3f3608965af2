"""The filters of ``list``, which choose threads for other commands too."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from state.listing import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the options of :func:`takes_filters` were given."""

    source: list[str] | None
    all_sources: bool
    provider: list[str] | None
    cwd: list[str] | None
    search: str | None
    parent: str | None
    ancestor: str | None
    exclude: list[str] | None

    def query(self, **more: Any) -> "Query":
        """A query of ``list`` with these filters and ``more`` fields."""
        from state.listing import Query

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

    def choice(self, *, archived: bool) -> "Query | None":
        """The threads that a command is to change; None if no filter chooses any."""
        from state.listing import LARGEST_PAGE

        said = (self.source, self.provider, self.cwd, self.search, self.parent, self.ancestor)
        if any(said):
            return self.query(archived=archived, sort_key="updated_at", limit=LARGEST_PAGE)
        if self.all_sources or self.exclude:
            raise typer.BadParameter("--all-sources and --exclude go with another filter")
        return None


def _options(
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
) -> None:
    """Only its parameters are of use."""


_PARAMETERS: Final = inspect.signature(_options).parameters


def takes_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options of the filters where it has its parameter ``filters``.

    Typer knows no groups of options: it reads them from a signature, which is made here.
    """

    def filtered(**values: Any) -> None:
        filters = Filters(**{name: values.pop(name) for name in _PARAMETERS})
        command(filters=filters, **values)

    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        parameters += _PARAMETERS.values() if name == "filters" else [parameter]
    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    filtered.__name__, filtered.__doc__ = command.__name__, command.__doc__
    filtered.__annotations__ = {each.name: each.annotation for each in named}
    filtered.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    return filtered
