"""The entry point: a running server of the home carries the command out, or this process does."""

import sys

from cli.remote.client import delegate


def main() -> None:
    """Run the command line."""
    try:
        status = delegate(sys.argv[1:]) if len(sys.argv) > 1 else None
        if status is None:
            from cli.app import main as run

            run()
    except KeyboardInterrupt:  # while the program was being loaded
        print("Interrupted.", file=sys.stderr)
        status = 130
    sys.exit(status)
