"""The same for each of many threads: which they are, what became of each, as lines or as JSON."""

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import typer

from cli import errors
from cli.arguments.filters import Selection
from cli.arguments.locations import Locations
from cli.runtime.open_index import catch_up_and_report, with_index
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import one_line, plural
from rollout.errors import RolloutError
from state.aio import shielded
from state.errors import StateError
from state.jobs.progress import JobProgress
from state.query.model import Query
from state.thread_index import ThreadIndex

Error = StateError | RolloutError


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """A change of one thread that was made, or would be."""

    facts: Mapping[str, Any]
    """What JSON tells besides."""
    line: str = ""
    """What is printed, if anything is."""
    indexed: bool = True
    codex_error: StateError | None = None
    """Why Codex itself was not told."""


@dataclass(slots=True)
class Entry:
    """One thread that was asked for, and what became of it."""

    reference: str
    """As it was named; the id where filters found it."""
    thread_id: str | None = None
    made: AppliedChange | None = None
    error: Error | None = None


Act = Callable[[ThreadIndex, str, str], Awaitable[AppliedChange]]
"""Changes a thread by its id; the last is what it was called in the command."""


def run(
    locations: Locations,
    action: str,
    chosen: Selection,
    act: Act,
    *,
    archived: bool = False,
    references: Sequence[str] | None = None,
    reads: bool = False,
    after: Callable[[ThreadIndex], Awaitable[bool]] | None = None,
) -> int:
    """Change each thread that was chosen, by itself. Gives the exit status: that of the gravest
    error, or that Codex was not told of a change. The filters choose among the ``archived``
    threads or the others; ``references`` are those that were read from stdin, ``reads`` says that
    nothing is changed at all; ``after`` is done in the end: False if the index was held for too
    long."""
    query = chosen.query(archived=archived)
    asks = not reads and query is not None and needs_confirmation(chosen)
    references = named(chosen) if references is None else references

    async def work(index: ThreadIndex) -> tuple[list[Entry], bool]:
        await catch_up_and_report(index)
        entries = await find(index, references, query)
        if asks and entries and not _confirmed(action, len(entries)):
            return [], False
        interrupted = False
        found = [(entry, entry.thread_id) for entry in entries if entry.thread_id]
        with progress(action, "threads") as report:
            for count, (entry, thread_id) in enumerate(found, 1):
                _, interrupted = await shielded(_change(index, entry, thread_id, act))
                if interrupted:  # what was done by then is told
                    break
                if report and len(found) > 1:
                    report(JobProgress(len(found), count))
        if after and not chosen.dry_run and not await after(index):
            for entry, _ in found:
                entry.made = entry.made and replace(entry.made, indexed=False)
        return [entry for entry in entries if entry.made or entry.error], interrupted

    entries, interrupted = with_index(locations, work)
    if chosen.as_json:
        told = [_entry_json(entry, done=not chosen.dry_run) for entry in entries]
        how = {"dryRun": chosen.dry_run, "interrupted": interrupted}
        output.data({"version": 1, "action": action, **how, "threads": told})
    else:
        _tell(entries)
    status = status_of(entries, [entry.error for entry in entries], interrupted=interrupted)
    codex_error = any(entry.made and entry.made.codex_error for entry in entries)
    return status or (errors.CODEX_NOT_TOLD if codex_error else errors.OK)


async def _change(index: ThreadIndex, entry: Entry, thread_id: str, act: Act) -> None:
    try:
        entry.made = await act(index, thread_id, entry.reference)
    except (StateError, RolloutError) as error:
        entry.error = error


def needs_confirmation(chosen: Selection) -> bool:
    """Whether it is to be asked before so much is done; refuses where nobody can be."""
    asks = not (chosen.yes or chosen.dry_run)
    if asks and (chosen.as_json or not (sys.stdin.isatty() and sys.stderr.isatty())):
        raise typer.BadParameter("this needs --yes where nobody can be asked (or --dry-run)")
    return asks


def _confirmed(action: str, count: int) -> bool:
    return typer.confirm(f"{action}: {plural(count, 'thread')}?", err=True)


def _tell(entries: Sequence[Entry]) -> None:
    made = [entry.made for entry in entries if entry.made]
    output.lines(each.line for each in made if each.line)
    report_errors(entry.error for entry in entries)
    _report_codex_errors(each.codex_error for each in made)
    if not all(each.indexed for each in made):
        output.say(errors.NOT_INDEXED)


def _report_codex_errors(found: Iterable[StateError | None]) -> None:
    """Say that changes were made, and that Codex was not told of them: each reason once."""
    for words, hint in dict.fromkeys(
        (str(error), errors.outcome(error).hint) for error in found if error
    ):
        output.say(
            "threadkeep: the change is made, but Codex itself was not told, and goes on with what"
            f" it had: {one_line(words)}\n  {hint}; the change can be made again"
        )


def report_errors(found: Iterable[Error | None]) -> None:
    """Say what was refused, and what to do about it."""
    for error in found:
        if error is None:
            continue
        output.say(f"threadkeep: {one_line(str(error))}\n  {errors.outcome(error).hint}")


def status_of(
    results: Sequence[object], found: Iterable[Error | None], *, interrupted: bool
) -> int:
    """The gravest of what was refused; that there was nothing, or that it was interrupted."""
    if interrupted:
        output.say("Interrupted: the others are as they were.")
        return errors.INTERRUPTED
    if not results:
        output.say("No thread was chosen: nothing was changed.")
    return max(
        (errors.outcome(error).status for error in found if error),
        default=errors.OK if results else errors.NO_MATCH,
    )


def error_json(error: Error | None) -> dict[str, Any] | None:
    """An error in a document about many threads."""
    told: dict[str, Any] | None = errors.document(error)["error"] if error else None
    return told


def _entry_json(entry: Entry, *, done: bool) -> dict[str, Any]:
    made = entry.made
    return {
        "id": entry.thread_id,
        "reference": entry.reference,
        "done": made is not None and done,
        **(made.facts if made else {}),
        "indexed": made.indexed if made else None,
        "codexError": error_json(made.codex_error) if made else None,
        "error": error_json(entry.error),
    }


def named(chosen: Selection) -> list[str]:
    """What was named; ``-`` stands for the first column of stdin."""
    found: list[str] = []
    for reference in chosen.references:
        if reference == "-":
            found += (line.split("\t", 1)[0].strip() for line in stdin_lines())
        else:
            found.append(reference)
    return found


def stdin_lines() -> list[str]:
    """The lines of stdin that are not blank."""
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    return [line for line in text.splitlines() if line.strip()]


async def find(index: ThreadIndex, references: Sequence[str], query: Query | None) -> list[Entry]:
    """The threads that are named, or that ``query`` finds, each once; what is named and is no
    thread has its error."""
    found: dict[str, Entry] = {}
    for reference in references:
        try:
            id_ = (await index.thread(reference))["id"]
        except StateError as error:
            found[f"not found: {reference}"] = Entry(reference, error=error)
        else:
            found.setdefault(id_, Entry(reference, id_))
    while query is not None:
        page = await index.page(query)
        found |= {row["id"]: Entry(row["id"], row["id"]) for row in page.rows}
        query = replace(query, cursor=page.next_cursor) if page.next_cursor else None
    return list(found.values())
