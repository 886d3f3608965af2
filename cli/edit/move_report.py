"""What is asked and said when threads are moved: to the archive, to the trash, and back."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

import typer

from cli import errors
from cli.edit import batch
from cli.render.threads import ThreadTable
from cli.terminal import output
from cli.terminal.style import unstyled
from cli.terminal.text import amount, one_line, plural
from rollout.files.move import Move, MoveGroup
from state.edit.move_plan import MoveOutcome
from state.query.rows import Row

MOST_SHOWN: Final = 20
"""Threads that a terminal shows of those that are moved."""
_BELOW: Final = 6
"""Lines of a terminal that are left for what is said below a table."""
_COLUMNS: Final = ("age", "thread", "folder", "size", "id")
_LIKE_A_KEY: Final = re.compile(
    r"(?<![^\s=:'\"])(?:\w{1,8}[-_]){0,3}(?=[a-zA-Z]*\d)(?=\d*[a-zA-Z])[a-zA-Z\d]{16,}[\w+/=.-]*"
)
_KEPT: Final = 6


class Words(NamedTuple):
    """How a kind of move is called."""

    action: str
    done: str
    """What a line into a pipe says of a thread."""
    question: str
    told: str
    """What is said of all of them in the end."""
    quiet: bool = True
    """Whether that is said on a terminal only."""
    frees: bool = False


@dataclass(slots=True)
class MoveResult:
    """What was moved, or would be, and what of it is shown."""

    outcomes: list[MoveOutcome] = field(default_factory=list)
    not_found: list[batch.Entry] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    """Those of the first threads, for a table."""
    short_ids: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    """For lines into a pipe."""
    interrupted: bool = False
    asked: bool = False
    """Whether the threads were shown already, with a question."""
    notes: list[str] = field(default_factory=list)
    """What else is said in the end."""
    fields: dict[str, Any] = field(default_factory=dict)
    """What else JSON has."""

    @property
    def groups(self) -> list[MoveGroup]:
        """What was moved, or would be."""
        return [o.group for o in self.outcomes if o.group and not o.error]

    @property
    def thread_ids(self) -> list[str]:
        """The threads of these groups."""
        return [id_ for group in self.groups for id_ in group.thread_ids]

    @property
    def moves(self) -> list[Move]:
        """The files of these groups."""
        return [move for group in self.groups for move in group.moves]

    @property
    def errors(self) -> list[batch.Error]:
        """Why threads were not moved."""
        refused = [outcome.error for outcome in self.outcomes if outcome.error]
        return [*(entry.error for entry in self.not_found if entry.error), *refused]


def shown_count() -> int:
    """How many threads a table shows at most, on this terminal."""
    return max(min(MOST_SHOWN, output.height() - _BELOW), 1)


def confirmed(words: Words, result: MoveResult) -> bool:
    """Show what would be moved, and ask."""
    if not result.groups:
        return True  # the errors are reported
    result.asked = True
    for line in _table(result):
        output.say(line if sys.stderr.isatty() else unstyled(line))
    count = plural(len(result.thread_ids), "thread")
    size = f"{amount(sum(move.size for move in result.moves))}B"
    return typer.confirm(f"{words.question}: {count}, {size}?", err=True)


def report(words: Words, result: MoveResult, *, as_json: bool, dry_run: bool) -> int:
    """Print what was moved, or would be. Returns the exit status: that of the gravest error."""
    changed = bool(result.groups) and not dry_run
    if result.asked and not result.outcomes and not result.interrupted:
        output.say("Nothing was changed.")
        return errors.NO_MATCH
    if as_json:
        output.data(_document(words, result, dry_run=dry_run), changed=changed)
    else:
        if output.on_terminal():
            if result.groups and not result.asked:
                output.lines(_table(result), changed=changed)
        else:
            done = f"would be {words.done}" if dry_run else words.done
            lines = (
                "\t".join((id_, done, one_line(result.titles.get(id_, ""))))
                for id_ in result.thread_ids
            )
            output.lines(lines, changed=changed)
        batch.report_errors(result.errors)
        if result.groups and (output.on_terminal() or not (words.quiet or dry_run)):
            _summarise(words, result, dry_run=dry_run)
    return batch.status_of(result.outcomes, result.errors, interrupted=result.interrupted)


def _summarise(words: Words, result: MoveResult, *, dry_run: bool) -> None:
    count = plural(len(result.thread_ids), "thread")
    size = f"{amount(sum(move.size for move in result.moves))}B{' freed' * words.frees}"
    told = f"Would be {words.told[0].lower()}{words.told[1:]}" if dry_run else words.told
    notes = ["Nothing was changed."] if dry_run else result.notes
    output.say("\n".join((f"{told}: {count}, {size}.", *notes)))


def _table(result: MoveResult) -> list[str]:
    rows = [
        {
            **row,
            **{key: discreet(row[key] or "") or row[key] for key in ("name", "title", "preview")},
        }
        for row in result.rows
    ]
    lines = [*ThreadTable(columns=_COLUMNS, short_ids=result.short_ids).lines(rows)]
    more = len(result.thread_ids) - len(rows)
    return [*lines, f"and {more:,} more"] if more > 0 else lines


def discreet(text: str) -> str:
    """A title without the greater part of what may be a key that was pasted into it."""
    return _LIKE_A_KEY.sub(lambda found: f"{found[0][:_KEPT]}…", text)


def trashed_row(thread_id: str, title: str, cwd: str, recency_at_ms: int, size: int) -> Row:
    """The row of a thread in the trash, as far as a table needs it."""
    return {
        "id": thread_id,
        "name": None,
        "title": "",
        "first_user_message": "",
        "preview": title,
        "fallback_preview": "(no title)",
        "history_mode": "paginated",
        "cwd": cwd,
        "recency_at_ms": recency_at_ms,
        "size_bytes": size,
    }


def _document(words: Words, result: MoveResult, *, dry_run: bool) -> dict[str, Any]:
    entries = [
        partial(_entry, None, None, error=entry.error, reference=entry.reference)
        for entry in result.not_found
    ]
    for outcome in result.outcomes:
        group = outcome.group
        if outcome.error:
            entries.append(partial(_entry, outcome.thread_id, None, error=outcome.error))
        elif group:
            moves = _by_thread(group.moves)
            entries += [partial(_entry, id_, group, moves[id_], done=not dry_run) for id_ in moves]
    return {
        "version": 1,
        "action": words.action,
        "dryRun": dry_run,
        "interrupted": result.interrupted,
        "bytes": sum(move.size for move in result.moves),
        **result.fields,
        "threads": output.Made(lambda make: make(), entries),
    }


def _by_thread(moves: Sequence[Move]) -> dict[str, list[Move]]:
    found: dict[str, list[Move]] = {}
    for move in moves:
        found.setdefault(move.thread_id, []).append(move)
    return found


def _entry(
    thread_id: str | None,
    group: MoveGroup | None,
    moves: Sequence[Move] = (),
    *,
    done: bool = False,
    error: batch.Error | None = None,
    reference: str | None = None,
) -> dict[str, Any]:
    along = group is not None and group.thread_id != thread_id
    return {
        "id": thread_id,
        "reference": reference,
        "done": done,
        "with": group.thread_id if group and along else None,
        "files": [
            {"from": move.source, "to": None if group and group.purge else move.target}
            for move in moves
        ],
        "error": batch.error_json(error),
    }
