"""How jobs that fill the index report."""

import time

from cli import errors
from cli.terminal import output
from cli.terminal.text import amount, plural
from state.jobs.progress import SyncProgress


def report(job: str, text: str, counts: SyncProgress, began: float, *, as_json: bool) -> int:
    """Report a finished job, which began at a time of the monotonic clock. Returns the exit
    status."""
    elapsed = time.monotonic() - began
    if as_json:
        output.data(
            {
                "version": 1,
                "job": job,
                "files": counts.files,
                "read": counts.done,
                "unreadable": counts.unreadable,
                "dropped": counts.dropped,
                "bytesRead": counts.bytes_done,
                "seconds": round(elapsed, 3),
            }
        )
    else:
        output.say(
            f"{text}: {plural(counts.files, 'file')}, {counts.done:,} read"
            f" ({amount(counts.bytes_done)}B), {counts.unreadable:,} unreadable,"
            f" {counts.dropped:,} dropped, in {elapsed:.2f} s."
        )
        if counts.unreadable:
            output.say("threadkeep status shows which files cannot be read, and why.")
    return errors.SOME_UNREADABLE if counts.unreadable else errors.OK


def interrupted(text: str) -> int:
    """Report an interruption, and what is kept. Returns the exit status."""
    output.say(f"Interrupted. {text}")
    return errors.INTERRUPTED
