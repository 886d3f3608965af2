"""The entry point: a running server of the home carries the command out, or this process does."""

import atexit
import gc
import os
import sys

from cli.later import later
from cli.remote.client import delegate

_OBJECTS_BEFORE_A_COLLECTION = 50_000


def main() -> None:
    """Run the command line."""
    _collect_rarely()
    if "_THREADKEEP_COMPLETE" in os.environ:  # a shell asks, see cli/completion
        from cli.completion import main as complete

        complete()
        sys.exit(0)
    try:
        with later():
            status = delegate(sys.argv[1:]) if len(sys.argv) > 1 else None
            if status is None:
                from cli.app import main as run

                gc.freeze()
        if status is None:
            run()
    except KeyboardInterrupt:  # while the program was being loaded
        print("Interrupted.", file=sys.stderr)
        status = 130
    sys.exit(status)


def _collect_rarely() -> None:
    """Spare a short command the search for cycles among the objects of modules, which stay.

    By default it takes place after each 700 new objects, and when the program ends.
    """
    atexit.register(gc.freeze)
    gc.set_threshold(_OBJECTS_BEFORE_A_COLLECTION)
