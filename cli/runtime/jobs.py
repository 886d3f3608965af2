"""How jobs that fill the index report."""

import time
from collections.abc import Callable
from pathlib import Path

from cli import errors
from cli.terminal import output
from cli.terminal.hidden import empty_home, inaccessible
from cli.terminal.text import amount, plural
from state.jobs.progress import SyncProgress


def run(
    job: str,
    home: Path,
    work: Callable[[], tuple[SyncProgress, str]],
    *,
    interrupted: str,
    as_json: bool,
) -> int:
    """Do a job on ``home`` and report it: ``work`` gives its counts, and what it has done.
    ``interrupted`` says what is kept if it is. Returns the exit status."""
    began = time.monotonic()
    try:
        counts, text = work()
    except KeyboardInterrupt:
        output.say(f"Interrupted. {interrupted}")
        return errors.INTERRUPTED
    elapsed = time.monotonic() - began
    unreadable = counts.unreadable + len(counts.away)
    if as_json:
        output.data(
            {
                "version": 1,
                "job": job,
                "files": counts.files,
                "read": counts.done,
                "unreadable": unreadable,
                "away": [entry._asdict() for entry in counts.away],
                "dropped": counts.dropped,
                "bytesRead": counts.bytes_done,
                "seconds": round(elapsed, 3),
            }
        )
    else:
        output.say(
            f"{text}: {plural(counts.files, 'file')}, {counts.done:,} read"
            f" ({amount(counts.bytes_done)}B), {unreadable:,} unreadable,"
            f" {counts.dropped:,} dropped, in {elapsed:.2f} s."
        )
        if counts.unreadable:
            output.say("threadkeep status shows which files cannot be read, and why.")
        if counts.away:
            output.say(inaccessible(counts.away))
        elif not counts.files:
            output.say(empty_home(home))
    return errors.SOME_UNREADABLE if unreadable else errors.OK
