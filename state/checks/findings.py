"""Findings of a check, each with its place and the command that repairs it; the kinds of those
about the rows of an index, and what their checks share."""

import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ERROR: Final = "error"
"""The index says something that is not so, until it is repaired."""
WARNING: Final = "warning"
"""A file is faulty, or the index is behind the files."""
NOTE: Final = "note"
"""Nothing is wrong, but it is worth knowing: a parent that is not here, a second copy."""
SEVERITIES: Final = (ERROR, WARNING, NOTE)

KEPT_FINDINGS: Final = 100
"""How many findings a report holds by default; all are counted."""


@dataclass(frozen=True, slots=True)
class FindingKind:
    """A kind of finding. ``mend`` is the command that repairs it; None if there is none."""

    code: str
    severity: str
    mend: str | None


def kinds(*rows: tuple[str, str | None, str]) -> dict[str, FindingKind]:
    """Kinds by code, from rows of a severity, the command that repairs it, and codes."""
    return {
        code: FindingKind(code, severity, mend)
        for severity, mend, codes in rows
        for code in codes.split()
    }


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding."""

    kind: FindingKind
    message: str
    """One sentence, without the values below."""
    thread_id: str | None = None
    path: str | None = None
    """Relative to the home; absolute if it is not below it."""
    offset: int | None = None
    """Where in the file, in bytes from the start of its uncompressed content."""
    measured: str | None = None
    expected: str | None = None
    mend: str | None = None
    """The command for this one; that of its kind if None."""


def difference(
    kind: FindingKind,
    message: str,
    thread_id: str | None,
    path: str | None,
    measured: Any,
    expected: Any,
    mend: str | None = None,
) -> Finding:
    """The finding that a value is another one than expected; both are shown as text."""
    there, right = (None if value is None else str(value) for value in (measured, expected))
    return Finding(kind, message, thread_id, path, measured=there, expected=right, mend=mend)


class Findings:
    """The findings of a check: all are counted, at most ``keep`` are kept, the gravest first."""

    def __init__(self, keep: int = KEPT_FINDINGS) -> None:
        self._keep = keep
        self._kept: dict[str, list[Finding]] = {severity: [] for severity in SEVERITIES}
        self.by_code: Counter[str] = Counter()
        self.by_severity: Counter[str] = Counter()

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it while there is room."""
        severity = finding.kind.severity
        self.by_code[finding.kind.code] += 1
        self.by_severity[severity] += 1
        if len(self._kept[severity]) < self._keep:
            self._kept[severity].append(finding)

    @property
    def kept(self) -> list[Finding]:
        """The findings that are kept: notes never crowd out errors."""
        return [found for severity in SEVERITIES for found in self._kept[severity]][: self._keep]

    @property
    def total(self) -> int:
        return self.by_severity.total()

    @property
    def cut(self) -> int:
        """How many were counted and not kept."""
        return self.total - len(self.kept)

    @property
    def clean(self) -> bool:
        """Whether there is nothing to repair: notes do not count."""
        return not (self.by_severity[ERROR] or self.by_severity[WARNING])


REPAIR_DEEP: Final = "threadkeep repair --deep"


KINDS: Final = kinds(
    (WARNING, "threadkeep backfill", "index_incomplete"),
    (WARNING, "threadkeep sync", "not_indexed out_of_date file_gone names_out_of_date"),
    (WARNING, "threadkeep sync", "copies_not_compared"),
    (WARNING, None, "cannot_look unreadable damaged_lines lines_left_out names_line journal_line"),
    (WARNING, None, "token_counts_unreadable"),
    (ERROR, "threadkeep repair", "row_missing row_without_file wrong_file wrong_bucket"),
    (ERROR, "threadkeep repair", "column_differs edge_differs usage_differs"),
    (ERROR, "threadkeep repair", "user_data_not_indexed user_data_not_in_journal"),
    (NOTE, None, "duplicate parent_elsewhere fork_elsewhere"),
    (WARNING, None, "base_elsewhere"),
)


@dataclass(frozen=True, slots=True)
class IndexState:
    """One state of the index."""

    home: Path
    path: Path
    connection: sqlite3.Connection
    threads: dict[str, sqlite3.Row]
    files: dict[str, sqlite3.Row]
    bases: set[str]
    """The ids in names of files in which the history of another one begins."""


def column_differs(thread_id: str, path: str, column: str, measured: Any, expected: Any) -> Finding:
    """The finding that a column of a row does not match the files."""
    message = f"Column {column} does not match the files."
    return difference(KINDS["column_differs"], message, thread_id, path, measured, expected)
