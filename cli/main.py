"""The command as it is called: by a server of the home if one answers, else in this process."""

import sys

from cli.remote.client import asked


def main() -> None:
    """Run the command line."""
    try:
        status = asked(sys.argv[1:]) if len(sys.argv) > 1 else None
        if status is None:
            from cli.app import main as run

            run()
    except KeyboardInterrupt:  # while it was being loaded
        print("Interrupted.", file=sys.stderr)
        status = 130
    sys.exit(status)
