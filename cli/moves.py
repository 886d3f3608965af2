"""``archive``, ``unarchive`` and ``delete``: threads that are named, or chosen as ``list`` does."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import typer

from cli import errors, output
from cli.options import Places
from cli.run import caught_up, with_index
from rollout.errors import RolloutError
from rollout.moving import Group
from state.errors import StateError
from state.index import ThreadIndex
from state.listing import LARGEST_PAGE, Query
from state.moves import Action, Outcome, move_threads
from state.view import display_name, display_text

_DONE: Final = {
    Action.ARCHIVE: "archived",
    Action.UNARCHIVE: "unarchived",
    Action.DELETE: "trashed",
    Action.PURGE: "purged",
}
_ASKED: Final = {
    Action.ARCHIVE: "Archive",
    Action.UNARCHIVE: "Take out of the archive",
    Action.DELETE: "Move to the trash",
    Action.PURGE: "Remove for good",
}
_SHOWN: Final = 20
"""Threads that are shown before it is asked."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a command was told to work on, and how."""

    references: Sequence[str]
    query: Query | None
    """The filters; None if there are none."""
    dry_run: bool
    yes: bool
    as_json: bool


@dataclass(slots=True)
class _Result:
    """What became of what was chosen."""

    outcomes: list[Outcome] = field(default_factory=list)
    not_found: list[tuple[str, StateError]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)


def query_of(
    *,
    archived: bool,
    source: list[str] | None,
    all_sources: bool,
    provider: list[str] | None,
    cwd: list[str] | None,
    search: str | None,
    parent: str | None,
    ancestor: str | None,
    exclude: list[str] | None,
) -> Query | None:
    """The query of the options; None if none of them chooses any threads."""
    if not (source or provider or cwd or search or parent or ancestor):
        if all_sources or exclude:
            raise typer.BadParameter("--all-sources and --exclude go with another filter")
        return None
    return Query(
        sort_key="updated_at",
        limit=LARGEST_PAGE,
        archived=archived,
        source_kinds=tuple(source or ()),
        all_sources=all_sources,
        providers=tuple(provider or ()),
        cwds=tuple(cwd) if cwd else None,
        search=search,
        parent_id=parent,
        ancestor_id=ancestor,
        excluded_ids=tuple(exclude or ()),
    )


def run(places: Places, action: Action, chosen: Chosen) -> int:
    """Archive, unarchive or delete what was chosen. Gives the exit status: that of the gravest
    error."""
    if bool(chosen.references) == bool(chosen.query):
        raise typer.BadParameter("name threads, or choose them with --cwd, --search and the like")
    references = list(named(chosen.references))
    asks = chosen.query is not None or action in (Action.DELETE, Action.PURGE)
    asks = asks and not (chosen.yes or chosen.dry_run)
    if asks and (chosen.as_json or not (sys.stdin.isatty() and sys.stderr.isatty())):
        raise typer.BadParameter("this needs --yes where nobody can be asked (or --dry-run)")

    async def work(index: ThreadIndex) -> _Result:
        note = await caught_up(index)
        if note:
            output.say(note)
        not_found, ids = await find(index, references, chosen.query)
        result = _Result(not_found=not_found)
        planned = await move_threads(index, action, ids, dry_run=True)
        result.outcomes = planned
        result.labels = await _labels(index, planned)
        if not chosen.dry_run and (not asks or _agreed(action, result)):
            result.outcomes = await move_threads(index, action, ids)
        elif asks:
            result.outcomes = []
        return result

    result = with_index(places, work)
    if chosen.as_json:
        output.data(_document(action, chosen, result))
    else:
        _tell(action, chosen, result)
    return max(
        (errors.outcome(error).status for error in _errors(result)),
        default=errors.OK if result.outcomes else errors.NO_MATCH,
    )


def named(references: Sequence[str]) -> Iterable[str]:
    """What was named; ``-`` stands for the first column of stdin."""
    for reference in references:
        if reference != "-":
            yield reference
            continue
        for line in sys.stdin.buffer.read().decode("utf-8", "surrogateescape").splitlines():
            first = line.split("\t", 1)[0].strip()
            if first:
                yield first


async def find(
    index: ThreadIndex, references: Sequence[str], query: Query | None
) -> tuple[list[tuple[str, StateError]], list[str]]:
    """The ids of the threads that are named or that ``query`` finds, each once; and what was
    named and is no thread, with why."""
    not_found: list[tuple[str, StateError]] = []
    ids: list[str] = []
    for reference in references:
        try:
            ids.append((await index.thread(reference))["id"])
        except StateError as error:
            not_found.append((reference, error))
    while query is not None:
        page = await index.page(query)
        ids += [row["id"] for row in page.rows]
        query = replace(query, cursor=page.next_cursor) if page.next_cursor else None
    return not_found, list(dict.fromkeys(ids))


async def _labels(index: ThreadIndex, outcomes: Sequence[Outcome]) -> dict[str, str]:
    ids = [id_ for o in outcomes if o.group for id_ in o.group.thread_ids]
    found = await index.rows_of(ids)
    return {id_: display_name(row) or display_text(row) for id_, row in found.items()}


def _agreed(action: Action, result: _Result) -> bool:
    """Show what would be done, and ask."""
    moved = [id_ for group in _groups(result) for id_ in group.thread_ids]
    if not moved:
        return True  # what is refused is told
    for id_ in moved[:_SHOWN]:
        output.say(f"{id_}  {output.one_line(result.labels.get(id_, ''))[:60]}")
    if len(moved) > _SHOWN:
        output.say(f"and {len(moved) - _SHOWN:,} more")
    return typer.confirm(f"{_ASKED[action]}: {output.plural(len(moved), 'thread')}?", err=True)


def _groups(result: _Result) -> list[Group]:
    return [o.group for o in result.outcomes if o.group and not o.error]


def _errors(result: _Result) -> list[StateError | RolloutError]:
    refused = [outcome.error for outcome in result.outcomes if outcome.error]
    return [*(error for _, error in result.not_found), *refused]


def _tell(action: Action, chosen: Chosen, result: _Result) -> None:
    groups = _groups(result)
    done = f"would be {_DONE[action]}" if chosen.dry_run else _DONE[action]
    output.lines(
        "\t".join((id_, done, output.one_line(result.labels.get(id_, ""))))
        for group in groups
        for id_ in group.thread_ids
    )
    for error in _errors(result):
        output.say(f"threadkeep: {output.one_line(str(error))}\n  {errors.outcome(error).hint}")
    trashed = [group.trash for group in groups if group.trash and not group.purge]
    if trashed and not chosen.dry_run:
        where = trashed[0] if len(trashed) == 1 else trashed[0].split("/")[0]
        output.say(f"In the trash, {where} below the home, until you remove it.")
    if not (groups or _errors(result)):
        output.say("Nothing was changed.")


def _document(action: Action, chosen: Chosen, result: _Result) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        _entry(None, None, error=error, reference=reference)
        for reference, error in result.not_found
    ]
    for outcome in result.outcomes:
        if outcome.error:
            entries.append(_entry(outcome.thread_id, None, error=outcome.error))
        elif outcome.group:
            entries += [
                _entry(id_, outcome.group, done=not chosen.dry_run)
                for id_ in outcome.group.thread_ids
            ]
    return {
        "version": 1,
        "action": str(action),
        "dryRun": chosen.dry_run,
        "threads": entries,
    }


def _entry(
    thread_id: str | None,
    group: Group | None,
    *,
    done: bool = False,
    error: StateError | RolloutError | None = None,
    reference: str | None = None,
) -> dict[str, Any]:
    along = group is not None and group.thread_id != thread_id
    moves = [move for move in group.moves if move.thread_id == thread_id] if group else []
    return {
        "id": thread_id,
        "reference": reference,
        "done": done,
        "with": group.thread_id if group and along else None,
        "files": [
            {"from": move.source, "to": None if group and group.purge else move.target}
            for move in moves
        ],
        "error": errors.document(error)["error"] if error else None,
    }
