"""What the picker of ``codex resume`` shows (0.169 and 0.171; docs/differences.md#codexs-picker).

It asks Codex's own database: for active threads of the sources ``cli`` and ``vscode`` that have a
first message, of any provider, in the folder that it is opened in. Only where the database has none
of these, it reads the files. ``codex fork`` asks for the configured provider besides.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from rollout.files import layout
from rollout.metadata.codex_picker import BEYOND_SCAN_DEPTH, EMPTY_PREVIEW, Head
from rollout.metadata.model import SEEN_BARE_META
from rollout.schema.modes import MODES
from rollout.schema.session_source import source_kind
from state.codex.index_side import absolute, file_exists
from state.codex.lookup import CodexLookup, CodexRow
from state.explain.reasons import ARCHIVED, CODEX, Reason, obstacles_of_scan
from state.query.rows import Row
from state.rows.writer import bucket_of
from state.userdata.folders import clean_folder, cwd_key

PICKER_KINDS: Final = frozenset({"cli", "vscode"})
MORE_KINDS: Final = frozenset({"exec", "appServer"})
"""What ``--include-non-interactive`` adds."""
_FIX: Final = "threadkeep codex-check --fix"


@dataclass(frozen=True, slots=True)
class Picker:
    """The picker as it is opened in a folder."""

    home: Path
    folder: str | None
    """None for ``codex resume --all``."""
    provider: str
    """The configured one."""
    codex: CodexLookup
    _reads: list[bool] = field(default_factory=list)

    def is_here(self, cwd: str | None) -> bool:
        """Whether a thread of the folder ``cwd`` is one of the picker's folder."""
        return self.folder is None or cwd is None or self.key(cwd) == self.key(self.folder)

    @staticmethod
    @lru_cache(maxsize=4096)
    def key(folder: str) -> str:
        """A folder as Codex compares it: links are followed if it is there."""
        if os.path.isabs(folder):
            with suppress(OSError, ValueError):
                folder = os.path.realpath(folder, strict=True)
        return cwd_key(clean_folder(folder))

    @property
    def reads_files(self) -> bool:
        """Whether it shows what the files say, because the database has nothing to show."""
        if not self._reads:
            state = self.codex.state
            complete = state is not None and state.backfill.status == "complete"
            rows = self.codex.rows.values()
            self._reads.append(complete and not any(self._shows(row) for row in rows))
        return self._reads[0]

    def _shows(self, row: CodexRow) -> bool:
        return self.is_here(row.cwd) and why_omitted(row) is None


def why_omitted(row: CodexRow) -> str | None:
    """The code of what keeps a row out of the picker of any folder; None if nothing does."""
    if row.archived:
        return "archived"
    if row.attached_to is not None:
        return "attached"
    if row.empty:
        return "empty_preview"
    if source_kind(row.source) not in PICKER_KINDS:
        return "source_kind"
    return None if file_exists(row.rollout_path) else "codex_path_wrong"


def row_to_come(home: Path, thread: Row) -> CodexRow:
    """The row that Codex's backfill will make of a thread."""
    return CodexRow(
        id=thread["id"],
        rollout_path=absolute(home, thread["rollout_path"]),
        archived=layout.is_archived(thread["rollout_path"]),
        source=thread["source"],
        provider=thread["model_provider"],
        cwd=thread["cwd"],
        empty=not thread["preview"],
        attached_to=thread["attached_thread_parent_id"],
        has_metadata=bool(thread["cli_version"]),
    )


def reasons_in_picker(picker: Picker, thread: Row, heads: Mapping[str, Head]) -> list[Reason]:
    """Why the picker omits a thread, empty if it shows it, and what is wrong with its row in
    Codex's database. ``heads`` are those of its files, by path."""
    own, codex = thread["rollout_path"], picker.codex
    notes = [*_about_row(picker, thread, heads), *_about_account(own, heads)]
    row = codex.rows.get(thread["id"])
    if picker.reads_files:
        hidden = [reasons_by_file(picker, path, thread["id"], head) for path, head in heads.items()]
        return [*min(hidden, key=len, default=[]), *notes]
    if row is None and (beyond := beyond_codex(thread)):
        return [Reason(beyond[0], CODEX, True, beyond[1], own), *notes]
    if row is None and not codex.will_come_to(own):
        return notes  # that it has no row
    to_come = row is None
    row = row or row_to_come(picker.home, thread)
    found = [*_by_row(picker, row, own)]
    head = heads.get(own) or heads.get(layout.logical_path(own))
    if head and (to_come or file_exists(row.rollout_path)):
        found += reasons_by_head(own, thread["id"], head, to_come)
    return [*found, *notes]


def _by_row(picker: Picker, row: CodexRow, own: str) -> Iterator[Reason]:
    """Why the picker omits a row of a thread, whose file is ``own``."""

    def hidden(code: str, evidence: str, mend: str) -> Reason:
        return Reason(code, CODEX, True, evidence, own, None, mend)

    if row.archived and layout.is_archived(own):
        yield hidden("archived", ARCHIVED, f"threadkeep unarchive {row.id}")
    if row.attached_to is not None:
        evidence = f"it is a side thread of {row.attached_to}"
        yield hidden("attached", evidence, f"codex resume {row.id}")
    if row.empty:
        evidence = "Codex knows no message and no goal of it"
        yield hidden("empty_preview", evidence, f"threadkeep show {row.id}")
    yield from _by_filters(picker, row.id, source_kind(row.source), row.cwd, own)


def _by_filters(
    picker: Picker, thread_id: str, kind: str, cwd: str | None, own: str
) -> Iterator[Reason]:
    """Why the picker does not ask for a thread of this kind and folder."""
    if kind not in PICKER_KINDS:
        evidence = f"its source kind is {kind}; the picker shows cli and vscode"
        more = "--include-non-interactive" if kind in MORE_KINDS else thread_id
        yield Reason("source_kind", CODEX, True, evidence, own, None, f"codex resume {more}")
    if not picker.is_here(cwd):
        evidence = (
            f"the picker shows only threads of the current folder, {picker.folder};"
            f" this one began in {cwd or 'no folder'}"
        )
        yield Reason("cwd_filter", CODEX, True, evidence, own, None, "codex resume --all")


def reasons_by_head(path: str, thread_id: str, head: Head, to_come: bool) -> Iterator[Reason]:
    """Why the picker omits a thread for what is in its file. Without an API key, Codex looks into
    the first line for the account that began the thread; a backfill reads the whole file."""
    for obstacle in head.obstacles:
        fatal = head.meta is None or (to_come and "UTF-8" in obstacle.text)
        if fatal and obstacle.code not in (BEYOND_SCAN_DEPTH, EMPTY_PREVIEW):
            mend = f"threadkeep show {thread_id}"
            yield Reason(obstacle.code, CODEX, True, obstacle.text, path, obstacle.offset, mend)


def reasons_by_file(picker: Picker, path: str, thread_id: str, head: Head) -> list[Reason]:
    """Why the picker omits a file, where it reads the files."""
    found = obstacles_of_scan(picker.home, path, thread_id, head, CODEX)
    if head.meta is not None:
        found += _by_filters(picker, thread_id, head.meta.kind, head.meta.cwd, path)
    return found


def beyond_codex(thread: Row) -> tuple[str, str] | None:
    """Why Codex can have no row of a thread, if it cannot."""
    if thread["flags"] & SEEN_BARE_META:
        return "bare_era", "a file of the first versions (up to 0.2x), no envelope"
    if thread["history_mode"] not in MODES:
        mode = thread["history_mode"]
        return "unknown_history_mode", f"history_mode is {mode!r}, which Codex does not know"
    return None


def _about_row(picker: Picker, thread: Row, heads: Mapping[str, Head]) -> Iterator[Reason]:
    """What is wrong with the thread's row in Codex's own database, which decides what the picker,
    searches and names are. The codes are those of :mod:`state.codex.compare`."""
    own, codex = thread["rollout_path"], picker.codex

    def noted(code: str, evidence: str, *, hides: bool = False, mend: str | None = _FIX) -> Reason:
        return Reason(code, CODEX, hides, evidence, str(codex.database), None, mend)

    if codex.problem:
        evidence = f"Codex's own database cannot be read: {codex.problem}"
        yield noted("codex_unreadable", evidence, mend="threadkeep codex-check")
        return
    row = codex.rows.get(thread["id"])
    if row is None:
        if beyond_codex(thread) and codex.state:
            evidence = "Codex's own database has no row for it, and cannot have one"
            yield noted("codex_cannot_have", evidence, mend=None)
        elif not codex.will_come_to(own):
            evidence = "Codex's own database has no row for it: its picker and searches miss it"
            yield noted("codex_row_missing", evidence, hides=not picker.reads_files)
        return
    if row.archived != layout.is_archived(own):
        words = ("archived", "active") if row.archived else ("active", "archived")
        evidence = f"Codex's row says {words[0]}, but the file {own} is {words[1]}"
        yield noted(
            "codex_archived_differs", evidence, hides=row.archived and not picker.reads_files
        )
    meant = [path for path in heads if _is_same(picker.home, row, path)]
    if not meant:
        evidence = f"Codex's row points to {row.rollout_path}, but the file is {own}"
        gone = not file_exists(row.rollout_path)
        yield noted("codex_path_wrong", evidence, hides=gone and not picker.reads_files)
    elif own not in meant and bucket_of(meant[0], own) == "duplicate":
        evidence = f"Codex's row points to the copy {meant[0]}: codex resume continues that one"
        yield noted("codex_path_wrong", evidence)


def _about_account(own: str, heads: Mapping[str, Head]) -> Iterator[Reason]:
    """That the account decides, which is not looked up: credentials are none of our business."""
    head = heads.get(own) or heads.get(layout.logical_path(own))
    if head and head.meta and head.meta.of_account:
        evidence = (
            "it belongs to a ChatGPT account: the picker shows it only while Codex is signed in"
            " with that one, or with an API key"
        )
        yield Reason("account_scoped", CODEX, False, evidence, own, None, "codex login status")


def _is_same(home: Path, row: CodexRow, path: str) -> bool:
    theirs = layout.logical_path(row.rollout_path)
    ours = layout.logical_path(path)
    return theirs in (f"{home}/{ours}", f"{home.resolve()}/{ours}")
