"""Why a thread is listed or not, here and by Codex (0.169 and 0.171): every reason, with its
evidence and the command that helps. Reads files and databases, and changes none of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rollout.files.layout import ROOTS, logical_path, parse_name, thread_id_in_name
from rollout.files.scan import stat_file
from rollout.files.text import printable_path
from rollout.metadata.codex_picker import Head, read_head
from rollout.metadata.extract import extract_file
from rollout.metadata.outcomes import Unusable
from state.codex.lookup import look_up_in_codex
from state.codex_db.database import codex_database
from state.db.steps import select_steps
from state.errors import ThreadInTrash, ThreadNotFound
from state.explain.current import CurrentThread, ExplainContext, read_thread, unreadable_file
from state.explain.picker import Picker, reasons_in_picker
from state.explain.reasons import (
    BOTH,
    CODEX,
    HERE,
    THREAD_LIST,
    Reason,
    list_command,
    move_command,
    reasons_by_files,
    reasons_here,
    reasons_in_thread_list,
)
from state.explain.resolve import (
    file_at,
    ids_without_row,
    mentions_steps,
    misnamed_file,
    similar_threads,
)
from state.query.resolve import ambiguous_steps, path_in_home
from state.rows.writer import bucket_of, load_context
from state.thread_index import ThreadIndex


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on one thread, or on a file that holds no thread, with all reasons."""

    thread_id: str | None
    path: str | None
    """The file that was asked for, else the thread's: relative to the home if it is in it."""
    reasons: tuple[Reason, ...]
    command: str | None = None
    """The ``threadkeep list`` that shows the thread; None if none does."""
    aside: str = ""
    """What the file that was asked for is, if it is not the thread's own."""

    @property
    def listed(self) -> bool:
        """Whether ``threadkeep list`` shows the thread without options."""
        return not self.hiding(HERE)

    @property
    def listed_in_codex(self) -> bool:
        """Whether the picker of ``codex resume`` shows it."""
        return not self.hiding(CODEX)

    @property
    def listed_in_thread_list(self) -> bool:
        """Whether ``thread/list`` of Codex's app-server has it, if nothing special is asked for."""
        return not self.hiding(THREAD_LIST)

    @property
    def verdict(self) -> str:
        """The answers, in sentences."""
        here, codex, listed = (
            ", ".join(CLAUSES[code] for code in self.hiding(where))
            for where in (HERE, CODEX, THREAD_LIST)
        )
        more = f" ({self.command} does)" if here and self.command else ""
        if not here and not codex:
            said = "threadkeep list and Codex's picker show it."
        elif not here:
            said = f"threadkeep list shows it; Codex's picker does not: {codex}."
        elif not codex:
            said = f"Codex's picker shows it; threadkeep list does not: {here}{more}."
        else:
            said = f"threadkeep list does not show it: {here}{more}."
            said += f" Nor does Codex's picker: {codex}."
        if bool(listed) != bool(codex) and self.hiding(CODEX) != ["cwd_filter"]:
            answer = f"does not list it: {listed}" if listed else "lists it"
            said += f" Codex's app-server (thread/list) {answer}."
        return f"{self.aside}{said}"

    def hiding(self, where: str) -> list[str]:
        """The codes of the reasons that hide it there."""
        return list(
            dict.fromkeys(r.code for r in self.reasons if r.hides and r.where in (where, BOTH))
        )


CLAUSES: Final = {
    "archived": "archived",
    "source_kind": "not started by a user",
    "attached": "a side thread",
    "provider_filter": "another provider",
    "cwd_filter": "another folder",
    "empty_preview": "empty",
    "beyond_scan_depth": "its first message comes late",
    "unreadable_line": "an unreadable line",
    "unreadable": "unreadable",
    "bare_era": "a file of the first versions",
    "unknown_history_mode": "unknown history mode",
    "misplaced": "in the wrong place",
    "other_thread": "holds another thread",
    "ignored": "no rollout",
    "outside_home": "outside this home",
    "file_missing": "no file",
    "in_trash": "in the trash",
    "codex_row_missing": "no row in Codex's database",
    "codex_archived_differs": "archived in Codex's database",
    "codex_path_wrong": "its row names a missing file",
}
"""Each reason that hides a thread, in few words."""


async def explain(
    index: ThreadIndex, reference: str, *, cwd: str | None = None, sqlite_home: Path | None = None
) -> Explanation:
    """Why the thread or file that ``reference`` means is listed or not.

    ``cwd`` is the folder that Codex's picker is opened in; None for all folders.
    ``sqlite_home`` is the value of ``CODEX_SQLITE_HOME``. Raises AmbiguousThread if the reference
    fits more than one thread, and ThreadNotFound, with what it may have meant, if it fits none.
    """
    home = index.home
    changes = await index.pending()
    loaded = await index.database.workers.run(partial(load_context, home))
    database = codex_database(home, sqlite_home)
    codex = await index.database.workers.run(partial(look_up_in_codex, database))
    picker = Picker(home, cwd, loaded.default_provider, codex)
    context = ExplainContext(index, changes, loaded.names, picker)
    path = file_at(home, reference)
    reference = printable_path(reference)
    ids = await index.resolve(reference)
    if not ids and (named := thread_id_in_name(reference)):
        ids = await index.resolve(named)
    if path is not None and (parse_name(Path(path).name) or not ids):
        return await _explain_file(context, path)
    folder = None if ids else path_in_home(home, reference)
    if folder and (why := await _why_ignored(context, printable_path(folder))):
        return _no_thread(folder, "ignored", f"it is not a rollout: {why}")
    if not ids:
        missing = (await index.not_found([reference]))[reference]
        if isinstance(missing, ThreadInTrash):
            return _in_trash(missing)
    ids = ids or await ids_without_row(index, changes, context.names, codex, reference)
    if len(ids) > 1:
        raise await index.database.query(ambiguous_steps(reference, ids))
    if not ids and (misnamed := await misnamed_file(index, reference)):
        return await _explain_file(context, misnamed)
    if not ids:
        raise ThreadNotFound(reference, await similar_threads(index, reference))
    return await _explain_thread(context, ids[0])


async def _explain_file(context: ExplainContext, path: str) -> Explanation:
    home = context.index.home
    shown = printable_path(path)
    ignored = await _why_ignored(context, shown)
    inside = path.startswith(tuple(f"{root}/" for root in ROOTS))
    if not ignored and not inside:
        return await _explain_outside(context, path)
    if ignored or ((found := stat_file(home, path)) and (ignored := found.ignored)):
        return _no_thread(shown, "ignored", f"it is not a rollout: {ignored}")
    outcome = await context.index.database.workers.run(partial(extract_file, home, path))
    if isinstance(outcome, Unusable):
        return Explanation(None, path, (unreadable_file(outcome),))
    return await _explain_thread(context, outcome.metadata.id, path)


async def _explain_outside(context: ExplainContext, path: str) -> Explanation:
    home = context.index.home
    evidence = f"the file is not in sessions or archived_sessions of {home}"
    full = home / path  # absolute paths stay what they are
    found = stat_file(home, path)
    if found and found.ignored:
        return _no_thread(path, "outside_home", f"{evidence}; it is {found.ignored}")
    outcome = await context.index.database.workers.run(
        partial(extract_file, full.parent, full.name)
    )
    if isinstance(outcome, Unusable):
        return _no_thread(path, "outside_home", f"{evidence}; {outcome.reason}")
    evidence += f"; it holds thread {outcome.metadata.id}"
    reason = Reason("outside_home", BOTH, True, evidence, path, None, move_command(home, str(full)))
    return Explanation(None, path, (reason,))


def _no_thread(path: str, code: str, evidence: str) -> Explanation:
    return Explanation(None, path, (Reason(code, BOTH, True, evidence, path),))


def _in_trash(deleted: ThreadInTrash) -> Explanation:
    mend = f"threadkeep trash restore {deleted.thread_id}"
    reason = Reason("in_trash", BOTH, True, str(deleted), None, None, mend)
    return Explanation(deleted.thread_id, None, (reason,))


async def _why_ignored(context: ExplainContext, path: str) -> str | None:
    """Why a path in the rollout folders is not a rollout; None if nothing says so. It may be
    anything: a pipe, a broken link, a folder that cannot be read."""
    for file in context.changes.ignored:
        if file.path == path:
            return file.ignored
    asked = "SELECT reason FROM rollout_files WHERE path = ? AND bucket = 'ignored'"
    found = await context.index.database.query(select_steps(asked, [path]))
    return found[0][0] if found else None


async def _explain_thread(
    context: ExplainContext, thread_id: str, asked: str | None = None
) -> Explanation:
    home = context.index.home
    thread = await read_thread(context, thread_id, asked)
    if thread.row is None:
        reasons = thread.notes
        if not any(reason.hides for reason in reasons):
            reasons = [await _missing(context, thread), *reasons]
        return Explanation(thread_id, asked or reasons[0].path, tuple(reasons))
    own = str(thread.row["rollout_path"])
    heads = await context.index.database.workers.run(partial(_heads, home, thread.paths))
    main = own if own in heads else logical_path(own)
    provider = context.picker.provider
    unlisted = {
        path: reasons_in_thread_list(home, path, thread_id, head, provider)
        for path, head in heads.items()
    }
    shown = {path for path, found in unlisted.items() if not found}
    others = {path: bucket_of(path, own) for path in thread.paths if path != own}
    reasons = [
        *reasons_here(thread.row),
        *reasons_in_picker(context.picker, thread.row, heads),
        *([] if shown else unlisted[main]),
        *thread.notes,
        *reasons_by_files(home, own, others, shown),
    ]
    aside = ""
    named = thread_id_in_name(asked or own)
    if named not in (thread_id, None):
        evidence = f"the file is named after thread {named} but holds thread {thread_id}"
        reasons.append(Reason("other_thread", BOTH, False, evidence, asked or own))
    if asked in others:
        what = "stale segment" if others[asked] == "segment" else "duplicate"
        aside = f"This file is a {what} of thread {thread_id}. "
    return Explanation(thread_id, asked or own, tuple(reasons), list_command(thread.row), aside)


def _heads(home: Path, paths: Sequence[str]) -> dict[str, Head]:
    """What Codex sees of each file. A compressed one beside its plain form does not count."""
    plain = set(paths)
    return {
        path: read_head(home / path)
        for path in paths
        if path == logical_path(path) or logical_path(path) not in plain
    }


async def _missing(context: ExplainContext, thread: CurrentThread) -> Reason:
    """The reason for a thread that is mentioned but has no file."""
    known = await context.index.database.query(mentions_steps(context.names, thread.id))
    found = known.get(thread.id, [])
    found += [f"the index has it in {path}" for path in thread.gone]
    path = thread.gone[0] if thread.gone else None
    row = context.picker.codex.rows.get(thread.id)
    if row is not None:
        found.append(f"Codex's own database has it in {row.rollout_path}")
        path = path or path_in_home(context.index.home, row.rollout_path) or row.rollout_path
    evidence = f"it has no file in the home, but {'; '.join(found)}"
    mend = "threadkeep codex-check" if row else None
    mend = mend or ("threadkeep sync" if thread.gone else None)
    return Reason("file_missing", BOTH, True, evidence, path, None, mend)
