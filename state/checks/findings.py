"""Findings: what a check saw, each with its place and the command that mends it."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

ERROR: Final = "error"
"""The index says something that is not so, and will go on saying it until it is mended."""
WARNING: Final = "warning"
"""A file has something wrong with it, or the index is behind the files."""
NOTE: Final = "note"
"""Worth knowing and nothing wrong: a parent that is elsewhere, a second copy of a file."""
SEVERITIES: Final = (ERROR, WARNING, NOTE)

KEPT_FINDINGS: Final = 100
"""How many findings a report holds unless told otherwise; all are counted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding. ``mend`` is the command that mends it; None if nothing can or need."""

    code: str
    severity: str
    mend: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check saw."""

    kind: Kind
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


class Findings:
    """What a check found: every finding counted, at most ``keep`` kept, the gravest first."""

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
        """The findings that there is room for: notes never crowd out errors."""
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
        """Whether there is nothing to mend: notes do not count."""
        return not (self.by_severity[ERROR] or self.by_severity[WARNING])
