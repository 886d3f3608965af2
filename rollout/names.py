"""Names that users gave: ``session_index.jsonl`` (rollout-format §17)."""

from pathlib import Path
from typing import Final

from rollout.lines import Line, LineReader, parse_line
from rollout.paths import parse_uuid

NAMES_FILE: Final = "session_index.jsonl"


def read_names(home: Path) -> dict[str, str]:
    """The latest name of each thread id; empty when there is no such file.

    The last line in file order wins, whatever its ``updated_at``. A blank name counts as
    none given, so it leaves an earlier one. Unreadable lines are passed over.

    Raises:
        OSError: the file is there and cannot be read.
    """
    names: dict[str, str] = {}
    try:
        file = (home / NAMES_FILE).open("rb", buffering=0)
    except FileNotFoundError:
        return names
    with file:
        for line in LineReader().lines(file):
            value = parse_line(line) if isinstance(line, Line) else None
            if not isinstance(value, dict):
                continue
            thread_id, name = parse_uuid(value.get("id")), value.get("thread_name")
            if thread_id and isinstance(name, str) and name.strip():
                names[thread_id] = name.strip().encode("utf-8", "replace").decode()
    return names
