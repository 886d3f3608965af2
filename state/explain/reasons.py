"""The reasons why a thread is listed or not: here, in Codex's ``thread/list``, by its files."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollout.files import layout
from rollout.metadata.codex_picker import Head
from rollout.schema.modes import MODES
from rollout.schema.session_source import INTERACTIVE_KINDS
from state.db.derived_columns import Facet
from state.query.rows import Row

HERE: Final = "here"
CODEX: Final = "codex"
"""The picker of ``codex resume``."""
THREAD_LIST: Final = "threadList"
"""``thread/list`` of Codex's app-server."""
BOTH: Final = "both"
"""Everywhere."""
ARCHIVED: Final = "the file is in archived_sessions"


@dataclass(frozen=True, slots=True)
class Reason:
    """One fact that decides, or explains, where a thread is listed. docs/cli.md has the codes."""

    code: str
    where: str
    hides: bool
    """Whether it keeps the thread out of the list; else it is a note."""
    evidence: str
    path: str | None = None
    """Relative to the home if it is in it, else absolute."""
    offset: int | None = None
    """The byte in the file's uncompressed content."""
    mend: str | None = None
    """The command that fixes it, if there is one."""


def list_command(row: Row) -> str | None:
    """The ``threadkeep list`` command that shows a thread; None if none does."""
    facet = Facet.of(row)
    if facet.empty:
        return None
    options = " --archived" * facet.archived
    if facet.attached or facet.kind not in INTERACTIVE_KINDS:
        options += " --all-sources"
    return f"threadkeep list{options}"


def reasons_here(row: Row) -> list[Reason]:
    """Why ``threadkeep list`` omits or marks a thread."""
    facet, path, command = Facet.of(row), row["rollout_path"], list_command(row)
    found = []

    def hidden(code: str, evidence: str) -> None:
        mend = command or f"threadkeep show {row['id']}"
        found.append(Reason(code, HERE, True, evidence, path, None, mend))

    if facet.archived:
        hidden("archived", ARCHIVED)
    if facet.kind not in INTERACTIVE_KINDS:
        hidden("source_kind", f"its source is {row['source']}: nobody started it by hand")
    if facet.attached:
        parent = row["attached_thread_parent_id"]
        hidden("attached", f"it is a side thread of {parent}")
    if facet.empty:
        evidence = "it has no message, goal, answer or attachment, and no name"
        hidden("empty_preview", evidence)
    if row["history_mode"] not in MODES:
        evidence = f"its history_mode is {row['history_mode']!r}: the list shows it with a mark"
        found.append(Reason("unknown_history_mode", HERE, False, evidence, path))
    return found


def reasons_in_thread_list(
    home: Path, path: str, thread_id: str, head: Head, provider: str
) -> list[Reason]:
    """Why ``thread/list`` of Codex's app-server, asked for nothing special, omits one file of a
    thread; empty if it lists it. ``provider`` is the configured one."""
    found = obstacles_of_scan(home, path, thread_id, head, THREAD_LIST)
    meta = head.meta
    if meta is None:
        return found
    if meta.kind not in INTERACTIVE_KINDS:
        evidence = f"its source kind is {meta.kind}: nobody started it by hand"
        found.append(Reason("source_kind", THREAD_LIST, True, evidence, path))
    if meta.provider is not None and meta.provider != provider:
        evidence = (
            f"its provider is {meta.provider!r}; where none is asked for, that is {provider!r}, the"
            " configured one, also in the picker of codex fork"
        )
        found.append(Reason("provider_filter", THREAD_LIST, True, evidence, path))
    return found


def obstacles_of_scan(
    home: Path, path: str, thread_id: str, head: Head, where: str
) -> list[Reason]:
    """Why Codex, where it reads the files, takes no active thread of this id from one of them."""
    resume = f"codex resume {thread_id}"
    found = []

    def hidden(code: str, evidence: str, mend: str | None, offset: int | None = None) -> None:
        found.append(Reason(code, where, True, evidence, path, offset, mend))

    place = layout.misplacement(path)
    if place:
        hidden("misplaced", f"Codex does not look there: {place}", move_command(home, path))
    if layout.is_archived(path):
        hidden("archived", ARCHIVED, f"threadkeep unarchive {thread_id}")
    for obstacle in head.obstacles:
        mend = resume if obstacle.code == "beyond_scan_depth" else f"threadkeep show {thread_id}"
        hidden(obstacle.code, obstacle.text, mend, obstacle.offset)
    if head.meta is not None and head.meta.thread_id != thread_id:
        hidden("other_thread", f"Codex takes it for thread {head.meta.thread_id}", resume)
    if head.meta is not None and head.meta.attached:
        hidden("attached", "it is a side thread of another thread", resume)
    return found


def reasons_by_files(
    home: Path, own: str, others: dict[str, str], shown_in_codex: set[str]
) -> list[Reason]:
    """Notes on the files of a thread; ``others`` are the roles of its other files, by path."""
    found = []
    for path, part in sorted(others.items()):
        code = "stale_segment" if part == "segment" else "duplicate"
        what = "is what a revert left behind" if part == "segment" else "is a copy"
        entry = "; Codex's thread/list shows it too" if path in shown_in_codex else ""
        evidence = f"this file {what}; the thread's file is {own}{entry}"
        found.append(Reason(code, BOTH, False, evidence, path))
    if own.endswith(layout.COMPRESSED_SUFFIX):
        evidence = "the file is compressed: it is read as it is, and Codex unpacks it on resume"
        found.append(Reason("compressed", BOTH, False, evidence, own))
    return found


def move_command(home: Path, path: str) -> str | None:
    """The command that moves a file to where Codex looks; None if its name does not say where."""
    name = layout.parse_name(path)
    if name is None or name.started_at is None:
        return None
    folder = home / "sessions" / name.started_at[:10].replace("-", "/")
    source, target = shlex.quote(str(home / path)), shlex.quote(str(folder))
    return f"mkdir -p {target} && mv {source} {target}/"
