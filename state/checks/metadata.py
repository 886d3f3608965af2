"""Compare rows and ledger with the metadata of files that are read again: a deep check."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rollout.files.scan import FoundFile
from rollout.metadata.model import BEGINS_ELSEWHERE, ToolMetadata
from rollout.metadata.outcomes import Extracted, Unusable
from state.checks.findings import (
    ERROR,
    REPAIR_DEEP,
    Finding,
    column_differs,
    difference,
    kinds,
)
from state.checks.usage import compare_usage
from state.checks.user_data import follows_inputs_now, indexed_user_data, wanted_names
from state.db.steps import run_steps
from state.rows.home_config import default_provider
from state.rows.openings import opening_steps, show_opening
from state.rows.resume_points import COLUMNS, METADATA, point_of
from state.rows.thread_rows import thread_row
from state.userdata.model import values_of_columns

KINDS: Final = kinds((ERROR, REPAIR_DEEP, "outcome_differs tools_differ"))


class MetadataCheck:
    """Compares files with one state of the index."""

    def __init__(self, connection: sqlite3.Connection, home: Path) -> None:
        self._connection = connection
        self._provider = default_provider(home)
        self._overrides = values_of_columns(indexed_user_data(connection))
        self._openings: dict[str, str] = {}
        self._names: dict[str, str] | None = None
        """None if they cannot be read or the index is behind them, which is reported elsewhere."""
        with suppress(OSError):
            if follows_inputs_now(connection, home):
                self._names = wanted_names(connection, home)

    def compare(
        self, files: Sequence[FoundFile], outcomes: Sequence[Extracted | Unusable]
    ) -> list[Finding]:
        """Where the index does not match the outcomes of reading files."""
        pairs = zip(files, outcomes, strict=True)
        return [finding for file, outcome in pairs for finding in self._compare(file, outcome)]

    def _compare(self, file: FoundFile, outcome: Extracted | Unusable) -> Iterator[Finding]:
        if outcome.stamp != file.stamp:
            return  # changed since the scan
        entry = self._connection.execute(
            "SELECT * FROM rollout_files WHERE path = ?", [file.path]
        ).fetchone()
        yield from _compare_entry(entry, outcome)
        if isinstance(outcome, Unusable) or entry["thread_id"] != outcome.metadata.id:
            return
        yield from compare_usage(self._connection, outcome)
        row = self._connection.execute(
            "SELECT * FROM threads WHERE id = ?", [outcome.metadata.id]
        ).fetchone()
        if row is None or row["rollout_path"] != file.path:
            return  # the thread shows another file, or has no row, which is reported elsewhere
        thread_id = outcome.metadata.id
        set_here = self._overrides.get(thread_id)
        if self._names is None:
            expected = thread_row(outcome, row["name"], row["model_provider"], set_here)
        else:
            expected = thread_row(outcome, self._names.get(thread_id), self._provider, set_here)
        if expected["flags"] & BEGINS_ELSEWHERE:
            steps = opening_steps(thread_id, expected, self._openings)
            show_opening(expected, run_steps(steps, self._connection))
        for column, value in expected.items():
            if row[column] != value:
                finding = column_differs(thread_id, file.path, column, row[column], value)
                yield replace(finding, mend=REPAIR_DEEP)
        stored = self._connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM resume_points"
            " WHERE row_id = ? AND pass = ? AND part = 0",
            [row["row_id"], METADATA],
        ).fetchone()
        if stored is None or point_of(tuple(stored)) != outcome.resume:
            held = None if stored is None else tuple(stored)
            finding = column_differs(thread_id, file.path, "resume_points", held, outcome.resume)
            yield replace(finding, mend=REPAIR_DEEP)
        yield from self._compare_tools(outcome)

    def _compare_tools(self, outcome: Extracted) -> Iterator[Finding]:
        stored = self._connection.execute(
            "SELECT namespace, name, description, input_schema, defer_loading"
            " FROM thread_dynamic_tools WHERE thread_id = ? ORDER BY position",
            [outcome.metadata.id],
        )
        held = [ToolMetadata(row[0], row[1], row[2], row[3], bool(row[4])) for row in stored]
        if held != (outcome.tools or []):
            message, there = "The dynamic tools do not match the file.", _names_of(held)
            right = _names_of(outcome.tools or [])
            id_, path = outcome.metadata.id, outcome.path
            yield difference(KINDS["tools_differ"], message, id_, path, there, right)


def _names_of(tools: Sequence[ToolMetadata]) -> str:
    return ", ".join(tool.name for tool in tools) or "none"


def _compare_entry(entry: sqlite3.Row, outcome: Extracted | Unusable) -> Iterator[Finding]:
    """Where the ledger does not match the outcome of reading a file."""
    if isinstance(outcome, Unusable):
        expected: dict[str, Any] = {
            "bucket": "unreadable",
            "thread_id": None,
            "reason": outcome.reason,
            "reason_offset": outcome.offset,
        }
    else:
        bad = outcome.first_bad
        expected = {
            "thread_id": outcome.metadata.id,
            "bad_lines": outcome.bad_lines,
            "left_out": outcome.left_out,
            "left_out_at": outcome.left_out_at,
            "opening": None if entry["bucket"] == "indexed" else outcome.metadata.preview,
            "reason": bad.reason if bad else None,
            "reason_offset": bad.offset if bad else None,
        }
        if entry["bucket"] == "unreadable":
            expected |= {"bucket": "indexed", "opening": None}
    for column, value in expected.items():
        if entry[column] != value:
            message = f"The ledger's {column} does not match the file."
            place = entry["thread_id"], entry["path"]
            yield difference(KINDS["outcome_differs"], message, *place, entry[column], value)
