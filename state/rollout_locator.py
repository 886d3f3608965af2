"""Find the rollout in which the history of another one begins."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.files.layout import best_file
from rollout.files.scan import scan_home, stat_file
from rollout.history.segments import Find
from state.db.steps import Steps
from state.errors import StateError
from state.rows.ledger import NAMED_SQL

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex


def rollout_locator(index: "ThreadIndex") -> Find:
    """A function that finds a file by its rollout id; call it in a thread."""
    return locator(index.home, index.database.query_here)


def locator(home: Path, read: Callable[[Steps[Any]], Any]) -> Find:
    """A function that finds a file by its rollout id; ``read`` gives what steps give. It prefers
    files that the index knows, as scanning a large home takes long, and of several takes the
    best."""

    def find(rollout_id: str) -> Path | None:
        with suppress(StateError):  # a broken index hides no file
            for sql in NAMED_SQL:
                known = read(_known_steps(sql, rollout_id))
                there = [(path, size) for path, size in known if stat_file(home, path)]
                if best := best_file(there, rollout_id):
                    return home / best
        files = [(file.path, file.stamp.size) for file in scan_home(home) if file.ignored is None]
        best = best_file(files, rollout_id)
        return home / best if best else None

    return find


def _known_steps(sql: str, rollout_id: str) -> Steps[list[tuple[str, int]]]:
    return [(path, size) for path, size, _ in (yield (sql, [rollout_id]))]
