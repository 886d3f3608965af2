"""Why a thread is listed or not, here and in Codex's picker (0.169 and 0.171): every reason, with
its evidence and the command that helps. Reads files and databases, and changes none of them."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from rollout.files.layout import ROOTS, logical_path, parse_name, thread_id_in_name
from rollout.files.scan import stat_file
from rollout.files.text import printable_path
from rollout.metadata.extract import extract_file
from rollout.metadata.outcomes import Unusable
from state.codex.rows import CodexLookup, look_up_in_codex
from state.codex_db.database import codex_database
from state.db.schema import rollout_files
from state.errors import AmbiguousThread, ThreadNotFound
from state.explain.current import CurrentThread, ExplainContext, read_thread, unreadable_file
from state.explain.reasons import (
    BOTH,
    CODEX,
    HERE,
    Picker,
    Reason,
    list_command,
    move_command,
    reasons_by_database,
    reasons_by_files,
    reasons_here,
    reasons_in_codex,
)
from state.explain.resolve import file_at, ids_without_row, mentions, misnamed_file, similar_threads
from state.query.resolve import path_in_home
from state.sync.sync import load_context
from state.sync.writer import bucket_of
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
        return not self._hiding(HERE)

    @property
    def listed_in_codex(self) -> bool:
        """Whether Codex's picker shows it."""
        return not self._hiding(CODEX)

    @property
    def verdict(self) -> str:
        """Both answers in one sentence."""
        here, codex = self._hiding(HERE), self._hiding(CODEX)
        if not here:
            answer = "Listed."
        elif self.command:
            answer = f"Not listed by default: {here} ({self.command} shows it)."
        else:
            answer = f"Not listed: {here}."
        picker = f"not shown: {codex}" if codex else "shown"
        return f"{self.aside}{answer} In Codex's picker: {picker}."

    def _hiding(self, where: str) -> str:
        """The codes of the reasons that hide it there, in words."""
        codes = dict.fromkeys(
            reason.code for reason in self.reasons if reason.hides and reason.where in (where, BOTH)
        )
        return ", ".join(code.replace("_", " ") for code in codes)


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
    picker = Picker(cwd, loaded.default_provider)
    database = codex_database(home, sqlite_home)
    context = ExplainContext(index, changes, loaded.names, database, picker)
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
    ids = ids or await ids_without_row(index, changes, context.names, database, reference)
    if len(ids) > 1:
        raise AmbiguousThread(reference, ids)
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


async def _why_ignored(context: ExplainContext, path: str) -> str | None:
    """Why a path in the rollout folders is not a rollout; None if nothing says so. It may be
    anything: a pipe, a broken link, a folder that cannot be read."""
    for file in context.changes.ignored:
        if file.path == path:
            return file.ignored
    c = rollout_files.c
    found = sa.select(c.reason).where(c.path == path, c.bucket == "ignored")
    async with context.index.database.read() as connection:
        return await connection.scalar(found)


async def _explain_thread(
    context: ExplainContext, thread_id: str, asked: str | None = None
) -> Explanation:
    home = context.index.home
    thread = await read_thread(context, thread_id, asked)
    answer = await context.index.database.workers.run(
        partial(look_up_in_codex, context.database, thread_id)
    )
    if thread.row is None:
        reasons = thread.notes
        if not any(reason.hides for reason in reasons):
            reasons = [await _missing(context, thread, answer), *reasons]
        return Explanation(thread_id, asked or reasons[0].path, tuple(reasons))
    own = str(thread.row["rollout_path"])
    hidden = await context.index.database.workers.run(
        partial(_hidden_files, home, thread, context.picker)
    )
    shown = {path for path, found in hidden.items() if not found}
    others = {path: bucket_of(path, own) for path in thread.paths if path != own}
    main = own if own in hidden else logical_path(own)
    reasons = [
        *reasons_here(thread.row),
        *([] if shown else hidden[main]),
        *thread.notes,
        *reasons_by_files(home, own, others, shown),
        *reasons_by_database(home, answer, thread.row, thread.paths),
    ]
    aside = ""
    named = thread_id_in_name(asked or own)
    if named not in (thread_id, None):
        evidence = f"the file is named after thread {named} but holds thread {thread_id}"
        reasons.append(Reason("other_thread", BOTH, False, evidence, asked or own))
    if asked in others:
        what = "stale segment" if others[asked] == "segment" else "duplicate"
        aside = f"A {what} of thread {thread_id}: "
    return Explanation(thread_id, asked or own, tuple(reasons), list_command(thread.row), aside)


def _hidden_files(home: Path, thread: CurrentThread, picker: Picker) -> dict[str, list[Reason]]:
    """What keeps each file out of Codex's picker. A compressed one beside its plain form does
    not count."""
    plain = set(thread.paths)
    return {
        path: reasons_in_codex(home, path, thread.id, picker)
        for path in thread.paths
        if path == logical_path(path) or logical_path(path) not in plain
    }


async def _missing(
    context: ExplainContext, thread: CurrentThread, answer: CodexLookup | None
) -> Reason:
    """The reason for a thread that is mentioned but has no file."""
    async with context.index.database.read() as connection:
        found = (await mentions(connection, context.names, thread.id)).get(thread.id, [])
    found += [f"the index has it in {path}" for path in thread.gone]
    path = thread.gone[0] if thread.gone else None
    for row in answer.rows if answer else ():
        found.append(f"Codex's own database has it in {row.rollout_path}")
        path = path or path_in_home(context.index.home, row.rollout_path) or row.rollout_path
    evidence = f"it has no file in the home, but {'; '.join(found)}"
    mend = "threadkeep codex-check" if answer and answer.rows else None
    mend = mend or ("threadkeep sync" if thread.gone else None)
    return Reason("file_missing", BOTH, True, evidence, path, None, mend)
