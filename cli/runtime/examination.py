"""What ``threadkeep doctor`` looks at. It works on a broken index and a missing home, writes
nothing, and takes one stat of each file."""

import os
import platform
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cli import __version__, errors
from cli.arguments.locations import Locations
from cli.installed import installed_with
from cli.terminal.text import amount, one_line, plural
from rollout.errors import RolloutError
from rollout.files.scan import FoundFile, check_codex_home, scan_home
from state.codex_db.database import NotComparable, codex_database
from state.codex_db.values import database_stamp, read_values
from state.db import location
from state.db.connect import connect, revision_of
from state.db.translate import translated
from state.errors import SQLITE_ERRORS, IndexUnavailable, StateError
from state.rows.ledger import LEDGER_SQL, compare_with_ledger, ledger_of

_VARIABLES: Final = ("CODEX_HOME", "CODEX_SQLITE_HOME", "THREADKEEP_DB", "XDG_STATE_HOME")
_CODEX_TAKES_S: Final = 10
_LEAST_FREE: Final = 100_000_000
_LEAST_OPEN_FILES: Final = 256
_WATCHES: Final = Path("/proc/sys/fs/inotify/max_user_watches")


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing."""

    name: str
    text: str
    next: str = ""
    """What to do, as a command where there is one."""
    state: Literal["ok", "note", "problem"] = "ok"
    """A note is nothing wrong, but worth knowing."""


def examine(here: Locations) -> Iterator[Check]:
    """Look at everything, and give what is found, in an order for people."""
    yield Check(
        "threadkeep", f"{__version__}, installed with {installed_with()} in {_shown(sys.prefix)}"
    )
    yield Check(
        "Python",
        f"{platform.python_version()} ({_shown(sys.executable)}), SQLite {sqlite3.sqlite_version}",
    )
    yield from _environment()
    files: list[FoundFile] = []
    yield from _home(here.home, files)
    yield _codex()
    yield from _codex_database(codex_database(here.home, here.sqlite_home))
    yield from _index(here, files)
    yield from _limits(files)


def _shown(path: str | Path) -> str:
    return one_line(str(path))


def _problem(name: str, error: RolloutError | StateError) -> Check:
    return Check(name, one_line(str(error)), errors.outcome(error).hint, "problem")


def _environment() -> Iterator[Check]:
    given = {name: os.environ[name] for name in _VARIABLES if os.environ.get(name)}
    if given:
        yield Check("variables", ", ".join(f"{name}={_shown(given[name])}" for name in given))
    folder = given.get("CODEX_SQLITE_HOME")
    if folder and not os.path.isdir(os.path.expanduser(folder)):
        text = f"CODEX_SQLITE_HOME is {_shown(folder)}, which is not a folder"
        yield Check("variables", text, "set it as Codex does, or unset it", "problem")


def _home(home: Path, files: list[FoundFile]) -> Iterator[Check]:
    try:
        check_codex_home(home)
    except RolloutError as error:
        yield _problem("home", error)
        return
    except OSError as error:
        text = f"{_shown(home)} cannot be accessed: {error.strerror}"
        yield Check("home", text, "make it readable", "problem")
        return
    files += scan_home(home)
    rollouts = [file for file in files if file.ignored is None]
    size = amount(sum(file.stamp.size for file in rollouts))
    drive = ", on a network drive" if location.on_network_drive(home) else ""
    yield Check("home", f"{_shown(home)}: {plural(len(rollouts), 'rollout')}, {size}B{drive}")
    if not rollouts:
        yield Check("home", "it has no threads yet", "name another home with --home", "note")
    for away in compare_with_ledger(files, {}).away:
        text = f"{_shown(away.path)} {away.ignored}"
        yield Check("home", text, "make it accessible", "problem")


def _codex() -> Check:
    program = shutil.which("codex")
    if program is None:
        text = "not on PATH, which only resume --exec needs"
        return Check("Codex", text, "add the folder of codex to PATH", "note")
    try:
        ran = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CODEX_TAKES_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        text = f"{_shown(program)} --version fails: {one_line(str(error))}"
        return Check("Codex", text, "install Codex again", "problem")
    words = ran.stdout.decode(errors="replace").split()
    return Check("Codex", f"{_shown(words[-1] if words else 'unknown')} ({_shown(program)})")


def _codex_database(database: Path) -> Iterator[Check]:
    try:
        if database_stamp(database) is not None:
            read_values(database, ())
    except (NotComparable, OSError, StateError, *SQLITE_ERRORS) as error:
        text = f"pins and names in {_shown(database)} cannot be read: {one_line(str(error))}"
        yield Check("Codex", text, "threadkeep codex-check shows what is wrong", "problem")


def _index(here: Locations, files: list[FoundFile]) -> Iterator[Check]:
    index, folder = here.index, here.index.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if index.exists():
        yield from _opened(index, files)
    else:
        yield Check("index", f"{_shown(index)}: not made yet", "threadkeep list makes it", "note")
    for path in (index, folder):
        if path.exists() and not os.access(path, os.W_OK):
            text = f"{_shown(path)} cannot be written"
            hint = "make it writable, or name another file with --db"
            yield Check("index", text, hint, "problem")
    if location.on_network_drive(folder):
        text = f"{_shown(folder)} is on a network drive: slower, and used without WAL"
        yield Check("index", text, "name a file on a local drive with --db", "note")
    if (free := shutil.disk_usage(folder).free) < _LEAST_FREE:
        text = f"only {amount(free)}B are free on the disk of {_shown(folder)}"
        yield Check("index", text, "free some space (see df)", "problem")


def _opened(index: Path, files: list[FoundFile]) -> Iterator[Check]:
    try:
        with translated(index), closing(connect(index, "ro", wait_s=1.0)) as connection:
            connection.execute("BEGIN")
            revision = revision_of(index, connection.execute)
            if revision is None:
                yield Check("index", f"{_shown(index)}: empty", "threadkeep list fills it", "note")
                return
            size = amount(location.size_of(index))
            counted = connection.execute("SELECT count(*) FROM threads").fetchone()[0]
            text = f"{_shown(index)}: {plural(counted, 'thread')}, {size}B, schema {revision}"
            if revision != location.HEAD:
                hint = f"the next command updates it to {location.HEAD}"
                yield Check("index", text, hint, "note")
                return
            yield Check("index", text)
            yield from _contents(connection, files)
    except StateError as error:
        yield _problem("index", error)
    except OSError as error:
        yield _problem("index", IndexUnavailable(index, error.strerror or str(error)))


def _contents(connection: sqlite3.Connection, files: list[FoundFile]) -> Iterator[Check]:
    """How far the index is behind the files."""
    asked = "SELECT status, files_done, files_total, last_error FROM backfill_state"
    for status, done, total, failure in connection.execute(asked):
        percent = f" ({100 * done // total} %)" if total else ""
        so_far = f"{status}, {done:,} of {total:,} files{percent}"
        if failure:
            text = f"{so_far}; it ended with: {one_line(str(failure))}"
            yield Check("backfill", text, "threadkeep backfill continues it", "problem")
        elif status != "complete":
            yield Check("backfill", so_far, "threadkeep backfill continues it", "note")
        else:
            yield Check("backfill", "complete")
    ledger = ledger_of(connection.execute(LEDGER_SQL).fetchall())
    changes = compare_with_ledger(files, ledger)
    behind = len(changes.to_read) + len(changes.vanished)
    if behind:
        text = f"{plural(behind, 'file')} changed since"
        yield Check("files", text, "threadkeep sync catches up", "note")
    unreadable = "SELECT count(*) FROM rollout_files WHERE bucket = 'unreadable'"
    if count := connection.execute(unreadable).fetchone()[0]:
        yield Check(
            "files", f"{plural(count, 'file')} cannot be read", "threadkeep status says why", "note"
        )
    pending = connection.execute("SELECT count(*) FROM fulltext_pending").fetchone()[0]
    if pending:
        text = f"{plural(pending, 'thread')} to index"
        yield Check("search", text, "the next threadkeep search does it", "note")
    else:
        yield Check("search", "up to date")


def _limits(files: list[FoundFile]) -> Iterator[Check]:
    """What the system allows watch and app-server."""
    folders = len({os.path.dirname(file.path) for file in files}) or 1
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    told = f"{plural(folders, 'folder')}, {allowed:,} open files allowed"
    try:
        watches = int(_WATCHES.read_text())
    except (OSError, ValueError):  # not Linux
        watches = None
    if watches is not None:
        told = f"{told}, {watches:,} folders can be watched"
    yield Check("limits", told)
    if watches is not None and folders > watches:
        text = "too few folders can be watched: watch and app-server look at all files instead"
        yield Check("limits", text, "sudo sysctl fs.inotify.max_user_watches=524288", "problem")
    if allowed < _LEAST_OPEN_FILES:
        text = "too few open files are allowed"
        yield Check("limits", text, f"ulimit -n {_LEAST_OPEN_FILES}", "problem")
