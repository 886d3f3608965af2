"""One change applied to each of many threads: which threads, what became of each, and the report
as lines or JSON.

``fork``, ``git-info``, ``memory`` and ``rename`` call :func:`run`; ``archive``, ``unarchive`` and
``delete`` use the parts of it, by way of :mod:`cli.edit.moves`.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import typer

from cli import errors
from cli.arguments.filters import Selection
from cli.arguments.locations import Locations
from cli.render.problem import problem
from cli.runtime.open_index import catch_up_and_report, with_index
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import one_line, plural
from rollout.errors import RolloutError
from rollout.files.layout import parse_uuid
from state.aio import shielded
from state.errors import StateError
from state.jobs.progress import JobProgress
from state.query.model import Query
from state.thread_index import ThreadIndex

Error = StateError | RolloutError
_LOOKS: Final = 3
"""How often the files are looked through for ids that the index does not have."""


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """A change of one thread that was made, or would be."""

    fields: Mapping[str, Any]
    """What JSON adds for it."""
    line: str = ""
    """What is printed, if anything."""
    indexed: bool = True
    codex_error: StateError | None = None
    """Why Codex's own database does not have the change."""


@dataclass(slots=True)
class Entry:
    """One thread that was asked for, and what became of it."""

    reference: str
    """As it was named; the id where filters found it."""
    thread_id: str | None = None
    change: AppliedChange | None = None
    error: Error | None = None


_MOST_ERRORS: Final = 20
_HEADERS: Final = ("id", "thread_id")
"""What ``query`` prints above a column of ids."""
Change = Callable[[ThreadIndex, str, str], Awaitable[AppliedChange]]
"""Changes a thread by its id; the last argument is how the command line named it."""
_CHANGED_TOGETHER: Final = 200


@dataclass(frozen=True, slots=True)
class Together:
    """A change of many threads, some at a time."""

    change: Callable[[ThreadIndex, Sequence[str]], Awaitable[Mapping[str, AppliedChange | Error]]]
    """Changes threads by their ids: what became of each."""


def run(
    locations: Locations,
    action: str,
    selection: Selection,
    change: Change | Together,
    *,
    archived: bool = False,
    references: Sequence[str] | None = None,
    reads: bool = False,
    after: Callable[[ThreadIndex], Awaitable[bool]] | None = None,
) -> int:
    """Change each selected thread, by itself or some together. Returns the exit status: that of the
    gravest error, or that Codex does not have a change. Filters select among the ``archived``
    threads or the others; ``references`` are those that were read from stdin; ``reads`` says that
    nothing is changed; ``after`` is awaited at the end and returns False if the index stayed
    locked."""
    query = selection.query(archived=archived)
    asks = not reads and query is not None and needs_confirmation(selection)
    references = named(selection.references) if references is None else references

    async def work(index: ThreadIndex) -> tuple[list[Entry], bool]:
        await catch_up_and_report(index)
        entries = await find(index, references, query)
        question = f"{action}: {plural(len(entries), 'thread')}?"
        if asks and entries and not typer.confirm(question, err=True):
            return [], False
        interrupted = False
        found = [(entry, entry.thread_id) for entry in entries if entry.thread_id]
        together = _CHANGED_TOGETHER if isinstance(change, Together) else 1
        with progress(action, "threads") as report:
            for start in range(0, len(found), together):
                some = found[start : start + together]
                _, interrupted = await shielded(_apply(index, some, change))
                if interrupted:  # what was done by then is reported
                    break
                if report and len(found) > 1:
                    report(JobProgress(len(found), start + len(some)))
        if after and not selection.dry_run and not await after(index):
            for entry, _ in found:
                entry.change = entry.change and replace(entry.change, indexed=False)
        return [entry for entry in entries if entry.change or entry.error], interrupted

    entries, interrupted = with_index(locations, work)
    changed = not (reads or selection.dry_run) and any(entry.change for entry in entries)
    if selection.as_json:
        output.data(
            {
                "version": 1,
                "action": action,
                "dryRun": selection.dry_run,
                "interrupted": interrupted,
                "threads": [_entry_json(entry, done=not selection.dry_run) for entry in entries],
            },
            changed=changed,
        )
    else:
        _print(entries, changed=changed)
    status = status_of(entries, [entry.error for entry in entries], interrupted=interrupted)
    codex_error = any(entry.change and entry.change.codex_error for entry in entries)
    return status or (errors.CODEX_NOT_UPDATED if codex_error else errors.OK)


async def _apply(
    index: ThreadIndex, some: Sequence[tuple[Entry, str]], change: Change | Together
) -> None:
    if isinstance(change, Together):
        results = await change.change(index, [thread_id for _, thread_id in some])
        for entry, thread_id in some:
            result = results[thread_id]
            if isinstance(result, AppliedChange):
                entry.change = result
            else:
                entry.error = result
        return
    for entry, thread_id in some:
        try:
            entry.change = await change(index, thread_id, entry.reference)
        except (StateError, RolloutError) as error:
            entry.error = error


def needs_confirmation(selection: Selection) -> bool:
    """Whether to ask before so much is done. Raises typer.BadParameter if there is no terminal."""
    asks = not (selection.yes or selection.dry_run)
    if asks and (selection.as_json or not (sys.stdin.isatty() and sys.stderr.isatty())):
        raise typer.BadParameter(
            "there is no terminal to ask for confirmation"
            "\nadd --yes to confirm, or --dry-run to preview"
        )
    return asks


def _print(entries: Sequence[Entry], *, changed: bool) -> None:
    changes = [entry.change for entry in entries if entry.change]
    output.lines((change.line for change in changes if change.line), changed=changed)
    report_errors(entry.error for entry in entries)
    _report_codex_errors(change.codex_error for change in changes)
    if not all(change.indexed for change in changes):
        output.say(errors.NOT_INDEXED)


def _report_codex_errors(found: Iterable[StateError | None]) -> None:
    """Report that changes were made but are not in Codex's own database, each reason once."""
    for text, hint in dict.fromkeys(
        (str(error), errors.outcome(error).hint) for error in found if error
    ):
        output.say(
            "threadkeep: the change is made, but Codex's own database still has the old value:"
            f" {one_line(text)}\n  {hint}; then make the change again"
        )


def report_errors(found: Iterable[Error | None]) -> None:
    """Report each error with what to do about it, on a terminal but for those beyond a screen."""
    reported = [error for error in found if error is not None]
    most = _MOST_ERRORS if sys.stderr.isatty() else len(reported)
    for error in reported[:most]:
        output.say(problem(error))
    if (more := len(reported) - most) > 0:
        output.say(f"and {plural(more, 'other problem')}; --json lists all")


def status_of(
    results: Sequence[object], found: Iterable[Error | None], *, interrupted: bool
) -> int:
    """The status of the gravest error, of an interruption, or of no result at all."""
    if interrupted:
        output.say("Interrupted. The other threads are unchanged.")
        return errors.INTERRUPTED
    if not results:
        output.say("No threads selected. Nothing was changed.")
    return max(
        (errors.outcome(error).status for error in found if error),
        default=errors.OK if results else errors.NO_MATCH,
    )


def error_json(error: Error | None) -> dict[str, Any] | None:
    """An error in a document about many threads."""
    return None if error is None else dict(errors.document(error)["error"])


def _entry_json(entry: Entry, *, done: bool) -> dict[str, Any]:
    change = entry.change
    return {
        "id": entry.thread_id,
        "reference": entry.reference,
        "done": change is not None and done,
        **(change.fields if change else {}),
        "indexed": change.indexed if change else None,
        "codexError": error_json(change.codex_error) if change else None,
        "error": error_json(entry.error),
    }


def named(references: Sequence[str]) -> list[str]:
    """The named threads; ``-`` stands for the first column of stdin, without a header line."""
    found: list[str] = []
    for reference in references:
        if reference == "-":
            given = [line.split("\t", 1)[0].strip() for line in stdin_lines()]
            found += given[1:] if given and given[0] in _HEADERS else given
        else:
            found.append(reference)
    return found


def stdin_lines() -> list[str]:
    """The lines of stdin that are not blank."""
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    return [line for line in text.splitlines() if line.strip()]


async def find(index: ThreadIndex, references: Sequence[str], query: Query | None) -> list[Entry]:
    """The threads that are named, or that ``query`` finds, each once, in an index that has just
    caught up. A name without a thread has its error."""
    found: dict[str, Entry] = {}
    ids = {reference: parse_uuid(reference) for reference in references}
    exact_ids = [id_ for id_ in ids.values() if id_]
    known = await index.existing(exact_ids)
    for _ in range(_LOOKS):
        if len(known) == len(set(exact_ids)):
            break
        await index.sync()  # another process may be moving the file of one
        known = await index.existing(exact_ids)
    missing = [reference for reference, id_ in ids.items() if id_ and id_ not in known]
    problems = await index.not_found(missing) if missing else {}
    for reference, exact in ids.items():
        if exact in known:
            found.setdefault(exact, Entry(reference, exact))
            continue
        if reference in problems:
            found[f"not found: {reference}"] = Entry(reference, error=problems[reference])
            continue
        try:
            id_ = (await index.thread(reference))["id"]
        except StateError as error:
            found[f"not found: {reference}"] = Entry(reference, error=error)
        else:
            found.setdefault(id_, Entry(reference, id_))
    if query is not None:
        found |= {row["id"]: Entry(row["id"], row["id"]) async for row in index.all_rows(query)}
    return list(found.values())
