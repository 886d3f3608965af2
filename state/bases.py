"""Where the files are that the histories of others begin in."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from rollout.history import Find
from rollout.paths import parse_name, precedence
from rollout.scan import scan_home, stat_file
from state.errors import StateError
from state.index import ThreadIndex
from state.listing import Steps


def finder(index: ThreadIndex) -> Find:
    """What finds a file by its rollout id, for who works in a thread: the best of those that have
    it in their names. It is one that the index knows, as looking through a large home takes long,
    or else any that is there."""

    def find(rollout_id: str) -> Path | None:
        with suppress(StateError):  # a broken index hides no file
            for sql in _KNOWN_SQL:
                known = index.database.run_here(_known_steps(sql, rollout_id))
                there = [(path, size) for path, size in known if stat_file(index.home, path)]
                if best := best_file(there, rollout_id):
                    return index.home / best
        files = [(file.path, file.size) for file in scan_home(index.home) if file.ignored is None]
        best = best_file(files, rollout_id)
        return index.home / best if best else None

    return find


_KNOWN_SQL: Final = (
    "SELECT path, size_bytes FROM rollout_files WHERE thread_id = ?",
    "SELECT path, size_bytes FROM rollout_files WHERE instr(path, ?)",
)
"""Most rollouts have the id of their thread; the others are looked for in all names."""


def _known_steps(sql: str, rollout_id: str) -> Steps[list[tuple[str, int]]]:
    return (yield (sql, [rollout_id]))


def best_file(files: Iterable[tuple[str, int]], rollout_id: str) -> str | None:
    """Which of some files, paths with sizes, is that of the rollout with this id; None if none."""
    ranked = [
        precedence(path, size, name.thread_id)
        for path, size in files
        if (name := parse_name(path.rsplit("/", 1)[-1])) and name.rollout_id == rollout_id
        if name.thread_id
    ]
    return max(ranked).path if ranked else None
