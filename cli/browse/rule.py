"""The line above the list: how many threads it has, what is hidden, how long a search took; and a
bar while the index is filled."""

from typing import Final

from rich.text import Text
from textual.widget import Widget

from cli.browse.finder import Finding
from cli.terminal.cells import cells, cut
from cli.terminal.text import plural
from state.jobs.progress import JobProgress
from state.query.model import Hidden

_FEW: Final = 4


class Rule(Widget):
    """A line with a text in it at each end."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.left = self.right = ""
        self.share: float | None = None
        """How much of the line is a bar."""

    def show(self, left: str | None = None, right: str | None = None) -> None:
        """Show other texts; None leaves one as it is."""
        self.left = self.left if left is None else left
        self.right = self.right if right is None else right
        self.refresh()

    def set_share(self, share: float | None) -> None:
        """Show how much of a job is done; None for no job."""
        self.share = share
        self.refresh()

    def render(self) -> Text:
        width = self.size.width
        right = f" {cut(self.right, width // 2)} ─" if self.right else ""
        left = f"─ {cut(self.left, width - cells(right) - _FEW)} " if self.left else ""
        line = f"{left}{'─' * max(width - cells(left) - cells(right), 0)}{right}"
        text = Text(line, style="dim", no_wrap=True)
        if self.share is not None:
            text = Text(line.replace("─", "━"), style="dim", no_wrap=True)
            text.stylize("not dim green", 0, round(len(line) * min(self.share, 1)))
        return text


def summary(finding: Finding) -> str:
    """What was found: ``2,311 threads · titles 3 ms · messages 31 ms``."""
    parts = [plural(finding.threads, "thread")]
    if finding.titles_s is not None and (finding.messages_s is not None or not finding.done):
        parts.append(f"titles {_milliseconds(finding.titles_s)}")
    if finding.messages_s is not None:
        parts.append(f"messages {_milliseconds(finding.messages_s)}")
    if finding.counted:
        parts += hidden(finding.counted.hidden)
    return " · ".join(parts)


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
