"""Why the picker of ``codex resume`` is empty or short in a folder: how many threads it shows, and
what keeps out the others, with the command for each. Changes nothing but the index."""

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from rollout.files.layout import is_archived
from rollout.metadata.codex_picker import read_head
from rollout.schema.session_source import source_kind
from state.checks.findings import Finding
from state.codex.lookup import CodexRow, findings_of_lookup, look_up_in_codex, stops_codex
from state.codex_db.database import codex_database
from state.db.steps import Steps
from state.explain.picker import (
    MORE_KINDS,
    Picker,
    beyond_codex,
    reasons_by_file,
    reasons_by_head,
    row_to_come,
    why_omitted,
)
from state.query.rows import Row
from state.rows.home_config import default_provider
from state.thread_index import ThreadIndex
from state.userdata.folders import ALIASES_SQL, is_below, origins

_COLUMNS: Final = (
    *("id", "rollout_path", "cwd", "source", "model_provider", "preview", "cli_version"),
    *("attached_thread_parent_id", "history_mode", "flags"),
)
_FIX: Final = "threadkeep codex-check --fix"
_LIST: Final = "threadkeep list --cwd {folder}"
_AGENTS: Final = "by_agents"
_GROUPS: Final = {
    # The code of a reason; which threads these are, in words that follow a number; the command.
    "codex_row_missing": ("without a row in Codex's database, where the picker looks", _FIX),
    "codex_archived_differs": ("archived in Codex's database only", _FIX),
    "codex_path_wrong": ("whose row in Codex's database names a missing file", _FIX),
    "archived": (
        "archived: the picker has them in its tab Archived",
        "threadkeep list --archived --cwd {folder}",
    ),
    "source_kind": (
        "begun by codex exec or through the app-server",
        "codex resume --include-non-interactive",
    ),
    _AGENTS: ("begun by something else: subagents, reviews, other apps", f"{_LIST} --all-sources"),
    "attached": ("side threads of others", f"{_LIST} --all-sources"),
    "empty_preview": ("without a first message", None),
    "beyond_scan_depth": ("whose first message comes late in the file", _FIX),
    "misplaced": ("in a place where Codex does not look", _FIX),
    "bare_era": ("of the first versions of Codex, which it no longer reads", _LIST),
    "unknown_history_mode": ("of a history mode that Codex does not know", _LIST),
    "other_thread": ("whose file holds another thread", "threadkeep verify"),
    "unreadable_line": ("whose metadata or first message Codex cannot read", _LIST),
    "unreadable": ("whose file cannot be read", "threadkeep status"),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Threads of the folder that the picker omits for one reason."""

    code: str
    """As in :class:`state.explain.reasons.Reason`."""
    threads: int
    text: str
    """Which ones, in words that follow their number."""
    command: str | None
    """What shows them or brings them back."""


@dataclass(slots=True)
class FolderExplanation:
    """What the picker shows when it is opened in a folder."""

    folder: str | None
    """None for ``codex resume --all``."""
    provider: str
    """The configured one."""
    database: Path
    shown: int = 0
    fork_shows: int = 0
    """How many of these the picker of ``codex fork`` shows."""
    hidden: list[Group] = field(default_factory=list)
    other_folders: int = 0
    """Threads of other folders."""
    other_shown: int = 0
    """How many of these ``codex resume --all`` shows."""
    below: int = 0
    """How many of these began in a folder below."""
    moved: int = 0
    """How many of these began in a folder that has moved here, says ``threadkeep relink``."""
    gone: dict[str, int] = field(default_factory=dict)
    """Removed folders of the same name, each with its threads: this one may have been there."""
    reads_files: bool = False
    """Whether the database has no row for this folder, so that the picker reads the files."""
    stopped: bool = False
    """Whether Codex does not start now, so that its picker shows nothing."""
    problems: list[Finding] = field(default_factory=list)
    """What is wrong with Codex's database as a whole."""

    @property
    def threads(self) -> int:
        """The threads of the folder."""
        return self.shown + sum(group.threads for group in self.hidden)


async def explain_folder(
    index: ThreadIndex, folder: str | None, *, sqlite_home: Path | None = None, here: str = "."
) -> FolderExplanation:
    """What the picker shows in ``folder``, None for all; commands call the folder ``here``. The
    index must be up to date."""
    database = codex_database(index.home, sqlite_home)
    threads, aliases = await index.database.query(_steps())
    return await index.database.workers.run(
        partial(_sorted_out, index.home, folder, database, threads, aliases, here)
    )


def _steps() -> Steps[tuple[list[Row], dict[str, str]]]:
    rows = yield f"SELECT {', '.join(_COLUMNS)} FROM threads", ()
    aliases = yield ALIASES_SQL, ()
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows], dict(map(tuple, aliases))


def _sorted_out(
    home: Path,
    folder: str | None,
    database: Path,
    threads: list[Row],
    aliases: Mapping[str, str],
    here: str,
) -> FolderExplanation:
    codex = look_up_in_codex(database, whole=True)
    picker = Picker(home, folder, default_provider(home), codex)
    found = FolderExplanation(folder, picker.provider, database, reads_files=picker.reads_files)
    codes: Counter[str] = Counter()
    moved = set(origins([folder], aliases)[1:]) if folder else set()
    own, waiting = picker.key(folder or ""), 0
    gone: Counter[str] = Counter()
    for thread, row, code in _classified(picker, threads):
        waiting += row is None and code is None
        row = row or row_to_come(home, thread)
        in_folder = picker.is_here(thread["cwd"] if picker.reads_files else row.cwd)
        if in_folder and picker.reads_files:
            code = _by_file(picker, thread)
        elif code is None and not row.has_metadata:
            code = _by_metadata(picker, thread)
        if not in_folder:
            found.other_folders += 1
            found.other_shown += code is None
            key = picker.key(thread["cwd"])
            found.below += bool(folder) and key != own and is_below(key, own)
            found.moved += key in moved
            if folder and _has_name_of(key, own) and key not in moved:
                gone[thread["cwd"]] += 1
        elif code is None:
            found.shown += 1
            found.fork_shows += row.provider in (None, picker.provider)
        else:
            agents = code == "source_kind" and source_kind(row.source) not in MORE_KINDS
            codes[_AGENTS if agents else code] += 1
    found.hidden = list(_groups(codes, here))
    found.gone = {cwd: count for cwd, count in gone.most_common() if not os.path.lexists(cwd)}
    found.problems = list(findings_of_lookup(codex, waiting))
    found.stopped = stops_codex(codex)
    return found


def _classified(
    picker: Picker, threads: Iterable[Row]
) -> Iterator[tuple[Row, CodexRow | None, str | None]]:
    """Each thread with its row in Codex's database and what keeps it out of every picker. Rows of
    files outside the index are threads, too, if the picker shows them."""
    rows = dict(picker.codex.rows)
    everywhere = replace(picker, folder=None, _reads=[])
    for thread in threads:
        row = rows.pop(thread["id"], None)
        own = thread["rollout_path"]
        if everywhere.reads_files:
            code = why_omitted(row_to_come(picker.home, thread))
        elif row is not None:
            code = why_omitted(row)
            if code == "archived" and not is_archived(own):
                code = "codex_archived_differs"
        elif beyond := beyond_codex(thread):
            code = beyond[0]
        elif picker.codex.will_come_to(own):
            code = why_omitted(row_to_come(picker.home, thread))
        else:
            code = "codex_row_missing"
        yield thread, row, code
    for row in rows.values():
        if why_omitted(row) is None:
            yield {"id": row.id, "rollout_path": row.rollout_path, "cwd": row.cwd}, row, None


def _has_name_of(key: str, other: str) -> bool:
    return key != other and key.rpartition("/")[2] == other.rpartition("/")[2]


def _by_file(picker: Picker, thread: Row) -> str | None:
    """What keeps a thread out of the picker where this reads the files."""
    path = thread["rollout_path"]
    reasons = reasons_by_file(picker, path, thread["id"], read_head(picker.home / path))
    return reasons[0].code if reasons else None


def _by_metadata(picker: Picker, thread: Row) -> str | None:
    """What keeps a thread out of the picker though its row does not: Codex looks into the file."""
    path = thread["rollout_path"]
    head = read_head(picker.home / path)
    found = next(reasons_by_head(path, thread["id"], head, to_come=False), None)
    return found.code if found else None


def _groups(codes: Mapping[str, int], here: str) -> Iterator[Group]:
    for code, (text, command) in _GROUPS.items():
        if codes.get(code):
            shown = command and command.format(folder=shlex.quote(here))
            yield Group("source_kind" if code == _AGENTS else code, codes[code], text, shown)
