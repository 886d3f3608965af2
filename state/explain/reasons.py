"""The reasons why a thread is listed or not: here, in Codex's picker, in Codex's database."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollout.files import layout
from rollout.metadata.codex_picker import HeadMeta, read_head
from rollout.metadata.model import SEEN_BARE_META
from rollout.schema.modes import MODES
from rollout.schema.session_source import INTERACTIVE_KINDS
from state.codex.rows import CodexLookup, CodexRow
from state.db.derived_columns import Facet
from state.query.rows import Row
from state.sync.writer import bucket_of
from state.userdata.folders import cwd_key, spellings

HERE: Final = "here"
CODEX: Final = "codex"
BOTH: Final = "both"


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


@dataclass(frozen=True, slots=True)
class Picker:
    """The settings of Codex's picker that its filters depend on."""

    cwd: str | None
    """The folder that it is opened in; None for ``codex resume --all``."""
    provider: str
    """The configured provider."""


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
        hidden("archived", "the file is in archived_sessions")
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


def reasons_in_codex(home: Path, path: str, thread_id: str, picker: Picker) -> list[Reason]:
    """Why Codex's picker omits one file of a thread; empty if it shows it."""
    resume = f"codex resume {thread_id}"
    found = []

    def hidden(code: str, evidence: str, mend: str | None, offset: int | None = None) -> None:
        found.append(Reason(code, CODEX, True, evidence, path, offset, mend))

    place = layout.misplacement(path)
    if place:
        hidden("misplaced", f"Codex does not look there: {place}", move_command(home, path))
    if layout.is_archived(path):
        hidden("archived", "the file is in archived_sessions", f"threadkeep unarchive {thread_id}")
    head = read_head(home / path)
    for obstacle in head.obstacles:
        mend = resume if obstacle.code == "beyond_scan_depth" else f"threadkeep show {thread_id}"
        hidden(obstacle.code, obstacle.text, mend, obstacle.offset)
    if head.meta is not None:
        for code, evidence, command in _filtered(head.meta, thread_id, picker):
            hidden(code, evidence, command or resume)
    return found


def _filtered(meta: HeadMeta, thread_id: str, picker: Picker) -> list[tuple[str, str, str | None]]:
    """The code, evidence and command of each filter that omits a file."""
    found: list[tuple[str, str, str | None]] = []
    if meta.thread_id != thread_id:
        found.append(("other_thread", f"Codex takes it for thread {meta.thread_id}", None))
    if meta.kind not in INTERACTIVE_KINDS:
        evidence = f"its source kind is {meta.kind}: nobody started it by hand"
        found.append(("source_kind", evidence, "codex resume --include-non-interactive"))
    if meta.attached:
        found.append(("attached", "it is a side thread of another thread", None))
    if meta.provider is not None and meta.provider != picker.provider:
        evidence = (
            f"its provider is {meta.provider!r}; the picker shows only threads of"
            f" {picker.provider!r}, the configured one"
        )
        found.append(("provider_filter", evidence, None))
    here = None if picker.cwd is None else [cwd_key(each) for each in spellings(picker.cwd)]
    if here is not None and cwd_key(meta.cwd) not in here:
        evidence = (
            f"the picker shows only threads of the current folder, {picker.cwd};"
            f" this one began in {meta.cwd or 'no folder'}"
        )
        found.append(("cwd_filter", evidence, "codex resume --all"))
    return found


def reasons_by_database(
    home: Path, answer: CodexLookup | None, thread: Row, paths: Sequence[str]
) -> list[Reason]:
    """What is wrong with the thread's row in Codex's own database, which Codex's searches and names
    depend on. The codes are those of :mod:`state.codex.compare`; ``paths`` are all files of the
    thread."""
    if answer is None:
        return []

    def noted(code: str, evidence: str, mend: str | None = "threadkeep codex-check") -> Reason:
        return Reason(code, CODEX, False, evidence, str(answer.database), None, mend)

    if answer.problem:
        evidence = f"Codex's own database cannot be read: {answer.problem}"
        return [noted("codex_unreadable", evidence)]
    row = next((row for row in answer.rows if row.id == thread["id"]), None)
    if row is None:
        evidence = "Codex's own database has no row for it: Codex's searches do not find it"
        bare = thread["flags"] & SEEN_BARE_META
        if bare or thread["history_mode"] not in MODES:
            return [noted("codex_cannot_have", f"{evidence}. It cannot have one", None)]
        return [noted("codex_row_missing", evidence)]
    own = thread["rollout_path"]
    found = []
    if row.archived != layout.is_archived(own):
        words = ("archived", "active") if row.archived else ("active", "archived")
        evidence = f"Codex's row says {words[0]}, but the file {own} is {words[1]}"
        found.append(noted("codex_archived_differs", evidence))
    meant = [path for path in paths if _is_same(home, row, path)]
    if not meant:
        evidence = f"Codex's row points to {row.rollout_path}, but the file is {own}"
        found.append(noted("codex_path_wrong", evidence))
    elif own not in meant and bucket_of(meant[0], own) == "duplicate":
        evidence = f"Codex's row points to the copy {meant[0]}: codex resume continues that one"
        found.append(noted("codex_path_wrong", evidence))
    return found


def _is_same(home: Path, row: CodexRow, path: str) -> bool:
    theirs = layout.logical_path(row.rollout_path)
    ours = layout.logical_path(path)
    return theirs in (f"{home}/{ours}", f"{home.resolve()}/{ours}")


def reasons_by_files(
    home: Path, own: str, others: dict[str, str], shown_in_codex: set[str]
) -> list[Reason]:
    """Notes on the files of a thread; ``others`` are the roles of its other files, by path."""
    found = []
    for path, part in sorted(others.items()):
        code = "stale_segment" if part == "segment" else "duplicate"
        what = "is what a revert left behind" if part == "segment" else "is a copy"
        entry = "; Codex's picker shows it too" if path in shown_in_codex else ""
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
