"""Which threads are due to be read for the full-text index. It imports little."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from rollout.files.access import readable_files
from state.db.steps import Steps

VERSION: Final = 8
"""Of the rules by which documents are made: raise it when a change finds other messages, or other
text in them. Documents of another version are made again. The other two numbers of this kind are
``EXTRACTOR_VERSION`` in :mod:`rollout.metadata.version` (rows) and ``VERSION`` in
:mod:`state.turns.store` (turns and items)."""
WITHOUT_CHANGES: Final = 7
"""The version that has the same documents, and not the files that were changed: these are added."""
UNREAD: Final = 0
"""Instead of a version: the thread has its header alone, as a file could not be read. ``files`` is
that file. Its messages are read once it can be, which changes nothing in the file."""


def is_current_steps(home: Path) -> Steps[bool]:
    """Whether no thread is due, so that a search need not wait for any."""
    asked = "SELECT status, EXISTS (SELECT 1 FROM fulltext_pending) FROM fulltext_state"
    if (yield asked, []) != [("complete", 0)]:
        return False
    return not due_again(home, (yield from others_steps()))


def others_steps() -> Steps[list[tuple[int, int, str]]]:
    """The threads that have not changed and whose documents are to be made anew: their rows,
    versions and files."""
    asked = (
        "SELECT row_id, version, files FROM fulltext_threads"
        " WHERE version NOT IN (?, ?) AND row_id NOT IN (SELECT row_id FROM fulltext_pending)"
    )
    return (yield asked, [VERSION, WITHOUT_CHANGES])


def without_changes_steps() -> Steps[int]:
    """How many threads have not changed and have documents, but not the files that they changed."""
    asked = (
        "SELECT count(*) FROM fulltext_threads"
        " WHERE version = ? AND row_id NOT IN (SELECT row_id FROM fulltext_pending)"
    )
    return int((yield asked, [WITHOUT_CHANGES])[0][0])


def due_again(home: Path, others: Sequence[tuple[int, int, str]]) -> list[int]:
    """Rows of threads whose documents an earlier version of this program made, or that could not
    be read and can be now; of others with their versions and files."""
    refused = {row_id: _refused(files) for row_id, version, files in others if version == UNREAD}
    readable = readable_files(home, refused.values())
    readable.add("")
    return [row_id for row_id, *_ in others if refused.get(row_id, "") in readable]


def _refused(files: str) -> str:
    """The file that could not be read; empty if the row is not as it was written."""
    try:
        return str(orjson.loads(files)[0])
    except (ValueError, LookupError, TypeError):
        return ""
