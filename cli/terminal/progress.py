"""The progress bar."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli.terminal.delegated import DELEGATED
from cli.terminal.text import amount

if TYPE_CHECKING:
    from state.jobs.progress import JobProgress


class Bar:
    """Reports a job: call it with the counts. Where stderr is no terminal, it shows nothing."""

    def __init__(self, what: str, unit: str, shown: "Any") -> None:
        self.unit = unit
        self._shown = shown
        self._task = shown.add_task(what, total=None, rate="", count="") if shown else None
        self._began = time.monotonic()
        self.counts: JobProgress | None = None
        """The last counts."""

    def __call__(self, counts: "JobProgress") -> None:
        self.counts = counts
        if self._shown is None:
            return
        self._shown.start()
        elapsed = max(time.monotonic() - self._began, 0.001)
        count = f"{counts.done:,}/{counts.total:,}" if counts.total else f"{counts.done:,}"
        rate = f"{counts.done / elapsed:,.0f} {self.unit}/s"
        if counts.bytes_done:
            rate += f", {amount(counts.bytes_done)}B"
        self._shown.update(
            self._task, total=counts.total or None, completed=counts.done, count=count, rate=rate
        )

    def clear(self) -> None:
        """Take it away, until the job reports again."""
        if self._shown is not None:
            self._shown.stop()


_bars: list[Bar] = []


def clear_bars() -> None:
    """Take bars away, before something else is printed."""
    for bar in _bars:
        bar.clear()


@contextmanager
def progress(what: str, unit: str = "files") -> Iterator[Bar]:
    """A progress bar on stderr, shown once there is something to do; none where stderr is no
    terminal."""
    visible = DELEGATED.get() is None and sys.stderr.isatty()
    bar = Bar(what, unit, _drawn() if visible else None)
    _bars.append(bar)
    try:
        yield bar
    finally:
        _bars.remove(bar)
        bar.clear()


def _drawn() -> "Any":
    from rich import progress as columns
    from rich.console import Console

    return columns.Progress(
        columns.TextColumn("{task.description}"),
        columns.BarColumn(bar_width=None),
        columns.TaskProgressColumn(),
        columns.TextColumn("{task.fields[count]}"),
        columns.TextColumn("{task.fields[rate]}"),
        columns.TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )
