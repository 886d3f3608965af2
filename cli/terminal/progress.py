"""The progress bar."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.terminal.delegated import DELEGATED
from cli.terminal.text import amount

if TYPE_CHECKING:
    from state.jobs.progress import JobProgress, Report


@contextmanager
def progress(what: str, unit: str = "files") -> Iterator["Report | None"]:
    """A progress bar on stderr, shown once there is something to do; none where stderr is no
    terminal."""
    if DELEGATED.get() is not None or not sys.stderr.isatty():
        yield None
        return
    from rich import progress as columns
    from rich.console import Console

    bar = columns.Progress(
        columns.SpinnerColumn(),
        columns.TextColumn("{task.description}"),
        columns.BarColumn(),
        columns.MofNCompleteColumn(),
        columns.TextColumn("{task.fields[rate]}"),
        columns.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    began = time.monotonic()
    task = bar.add_task(what, total=None, rate="")

    def report(counts: "JobProgress") -> None:
        bar.start()
        elapsed = max(time.monotonic() - began, 0.001)
        rate = f"{counts.done / elapsed:,.0f} {unit}/s"
        if counts.bytes_done:
            rate += f", {amount(counts.bytes_done)}B"
        bar.update(task, total=counts.total or None, completed=counts.done, rate=rate)

    try:
        yield report
    finally:
        bar.stop()
