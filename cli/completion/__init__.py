"""Completion: what a shell offers for the word at the cursor.

The shell's script (:mod:`cli.help.shells`) runs ``threadkeep`` with the words up to the cursor and
with ``_THREADKEEP_COMPLETE`` set. Each line that it gets is a value, a tab and what it is; an empty
value asks for names of files (``file``) or folders (``dir``).
"""

import sys
from typing import Final

_WIDEST: Final = 70


def main() -> None:
    """Print what may stand at the cursor. Whatever goes wrong, nothing is offered and no message
    disturbs the line that is being typed."""
    try:
        from cli.completion.candidates import candidates
        from cli.terminal.text import one_line, shortened

        lines = [
            f"{value}\t{shortened(one_line(about), _WIDEST)}\n"
            for value, about in candidates(sys.argv[1:])
        ]
        sys.stdout.buffer.write("".join(lines).encode("utf-8", "replace"))
        sys.stdout.flush()
    except Exception:  # noqa: BLE001, S110 - see above
        pass
