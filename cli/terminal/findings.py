"""Print what a check found."""

from collections import Counter
from typing import Any, Final

from cli import errors
from cli.terminal import output
from cli.terminal.text import one_line, plural
from state.checks.findings import NOTE, SEVERITIES, Finding, Findings

_SHOWN_NOTES: Final = 3
"""Of each kind, so that notes do not bury problems."""


def document(check: str, found: Findings) -> dict[str, Any]:
    """The JSON document of a check's findings. Callers add their own keys."""
    return {
        "version": 1,
        "check": check,
        "clean": found.clean,
        "counts": {severity: found.by_severity[severity] for severity in SEVERITIES},
        "codes": dict(sorted(found.by_code.items())),
        "findings": [entry(finding) for finding in found.kept],
        "findingsCut": found.cut,
    }


def report(found: Findings, more: str) -> None:
    """Print findings for people. ``more`` says how to see the rest."""
    notes: Counter[str] = Counter()
    for finding in found.kept:
        if finding.kind.severity == NOTE:
            notes[finding.kind.code] += 1
            if notes[finding.kind.code] > _SHOWN_NOTES:
                continue
        where = one_line(finding.path or "")
        if finding.offset is not None:
            where += f" at byte {finding.offset:,}"
        about = " ".join(filter(None, (finding.thread_id, where)))
        output.line(f"{finding.kind.severity:<8} {finding.kind.code:<20} {about}")
        output.line(f"         {one_line(finding.message)}")
        if finding.measured is not None or finding.expected is not None:
            output.line(f"         found {_value(finding.measured)}")
            output.line(f"         expected {_value(finding.expected)}")
        mend = finding.mend or finding.kind.mend
        if mend:
            output.line(f"         mend: {mend}")
    shown = sum(min(count, _SHOWN_NOTES) for count in notes.values())
    hidden = found.by_severity[NOTE] - shown
    if hidden:
        output.say(f"… and {plural(hidden, 'note')} more: --json --limit N shows them")
    graver = len(found.kept) - sum(notes.values())
    cut = found.total - found.by_severity[NOTE] - graver
    if cut:
        output.say(f"… and {plural(cut, 'finding')} more: {more}")


def summary(found: Findings) -> str:
    """All findings in one line: the number of each severity and kind."""
    if not found.total:
        return "No problems found."
    severities = ", ".join(
        plural(found.by_severity[severity], severity)
        for severity in SEVERITIES
        if found.by_severity[severity]
    )
    codes = ", ".join(f"{count:,} {code}" for code, count in found.by_code.most_common())
    return f"{severities}: {codes}."


def status(found: Findings) -> int:
    """The exit status of a check. Notes need no action."""
    return errors.OK if found.clean else errors.FINDINGS


def _value(text: str | None) -> str:
    return "nothing" if text is None else one_line(text)[:300]


def entry(finding: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    return {
        "code": finding.kind.code,
        "severity": finding.kind.severity,
        "message": finding.message,
        "threadId": finding.thread_id,
        "path": finding.path,
        "offset": finding.offset,
        "measured": finding.measured,
        "expected": finding.expected,
        "mend": finding.mend or finding.kind.mend,
    }
