"""What is said of a list: how many threads it has, what is hidden, how long a search took.

It imports neither Textual nor rich: the first frame is drawn before they are loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.terminal.cells import cells, cut, settled
from cli.terminal.hidden import empty_home
from cli.terminal.text import plural
from state.jobs.progress import JobProgress
from state.query.model import Counted, Hidden

_FEW: Final = 4


@dataclass(slots=True)
class Finding:
    """What was found so far."""

    counted: Counted | None = None
    titles_s: float | None = None
    messages_s: float | None = None
    threads: int = 0
    """In the list."""
    more: bool = False
    """Whether more threads hold what is searched for."""
    any: bool = True
    """Whether the index has any thread."""
    unindexed: int = 0
    """Of how many threads it is not known yet which files they have changed."""
    searching: bool = False
    """Whether messages are being searched."""
    done: bool = False
    problem: str = ""


def rule_text(left: str, right: str, width: int) -> str:
    """A line with a text in it at each end."""
    end = f" {cut(right, width // 2)} ─" if right else ""
    begin = f"─ {cut(left, width - cells(end) - _FEW)} " if left else ""
    return f"{begin}{'─' * max(width - cells(begin) - cells(end), 0)}{end}"


def summary(finding: Finding) -> str:
    """What was found: ``2,311 threads · titles 3 ms · messages 31 ms · 12 archived not shown``."""
    parts = [finding.problem, plural(finding.threads, "thread")]
    if finding.unindexed:
        parts.append(f"changes of {plural(finding.unindexed, 'thread')} not indexed yet")
    if finding.titles_s is not None and (finding.searching or finding.messages_s is not None):
        parts.append(f"titles {_milliseconds(finding.titles_s)}")
    if finding.searching:
        parts.append("messages …")
    elif finding.messages_s is not None:
        parts.append(f"messages {_milliseconds(finding.messages_s)}")
    if finding.counted and (left_out := hidden(finding.counted.hidden)):
        parts.append(f"not shown: {', '.join(left_out)}")
    return " · ".join(filter(None, parts))


def project_name() -> str:
    """What the folder is called that the picker is run in; empty if it has been removed."""
    folder = current_folder()
    return settled(Path(folder).name or folder)


def current_folder() -> str:
    """The folder that the picker is run in; empty if it has been removed."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def scope_text(project: str, *, only: bool = False) -> str:
    """Whose threads the list has, and how to see others."""
    return f"{project} · Tab: all" if only else f"all · Tab: {project}"


def nothing(finding: Finding, text: str, scope: str, home: Path) -> list[str]:
    """Why the list is empty, and what to do."""
    if not finding.any:
        return empty_home(home).split("\n")
    said = [f"No thread matches “{text}”." if text else "No threads here."]
    if scope:
        said = [f"No thread of {scope} matches “{text}”." if text else f"No threads in {scope}."]
        said.append("Tab searches all projects." if text else "Tab shows all projects.")
    left_out = finding.counted.hidden if finding.counted else Hidden()
    if finding.titles_s is None:  # for a file, all are counted, whether they have changed it or not
        left_out = Hidden()
    if left_out.archived:
        said.append(f"{plural(left_out.archived, 'archived thread')}: type is:archived")
    if others := left_out.source + left_out.attached:
        said.append(f"{plural(others, 'thread')} of subagents and scripts: type is:hidden")
    if text:
        said.append("Esc clears the text.")
    return said


def hidden(left_out: Hidden) -> list[str]:
    """How many threads the list leaves out, and why."""
    return [
        f"{count:,} {what}"
        for count, what in (
            (left_out.archived, "archived"),
            (left_out.source + left_out.attached, "not interactive"),
            (left_out.empty, "empty"),
            (left_out.unreadable, "unreadable"),
        )
        if count
    ]


def filling(counts: JobProgress) -> str:
    """How far the index is."""
    done, total = counts.done, counts.total
    return f"indexing {done:,} of {total:,}" if total else f"indexing {done:,}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
