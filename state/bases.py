"""Where the files are that the histories of others begin in."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

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
        found: list[str] = []
        with suppress(StateError):  # a broken index hides no file
            known = index.database.run_here(_known_steps(rollout_id))
            found = [path for path in known if stat_file(index.home, path)]
        if not best_file(found, rollout_id):
            found = [file.path for file in scan_home(index.home) if file.ignored is None]
        best = best_file(found, rollout_id)
        return index.home / best if best else None

    return find


def _known_steps(rollout_id: str) -> Steps[list[str]]:
    rows = yield ("SELECT path FROM rollout_files WHERE path LIKE ?", [f"%{rollout_id}%"])
    return [path for (path,) in rows]


def best_file(paths: Iterable[str], rollout_id: str) -> str | None:
    """Which of some paths is that of the rollout with this id; None if none is."""
    fitting = [
        path
        for path in paths
        if (name := parse_name(path.rsplit("/", 1)[-1])) and name.rollout_id == rollout_id
    ]
    return max(fitting, key=precedence, default=None)
