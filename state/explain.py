"""Why a thread is listed or not, here and in the picker of Codex 0.169: every reason, with its
evidence and what to do about it. Reads files and databases, and changes none of them."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rollout.extract import Extracted, Unusable, extract_file
from rollout.paths import ROOTS, logical_path, parse_name, precedence
from rollout.scan import stat_file
from state.codex import codex_database
from state.errors import AmbiguousThread, ThreadNotFound
from state.index import ThreadIndex, below
from state.ledger import Changes
from state.listing import Row
from state.reasons import (
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
from state.rows import thread_row
from state.schema import rollout_files, threads, user_facts
from state.store import role
from state.subject import (
    NO_THREAD,
    file_named,
    id_in_name,
    known_elsewhere,
    path_with_id,
    similar,
    storable,
)
from state.sync import load_context
from state.traces import CodexAnswer, ask_codex, mentions


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on one thread, or on a file that holds none, with all reasons."""

    thread_id: str | None
    path: str | None
    """The file that was asked for, else the thread's: relative to the home if below it."""
    reasons: tuple[Reason, ...]
    command: str | None = None
    """The ``threadkeep list`` that shows the thread; None if none does."""
    aside: str = ""
    """What the file that was asked for is, when it is not the thread's own."""

    @property
    def listed(self) -> bool:
        """Whether ``threadkeep list`` shows the thread without an option."""
        return not self._hiding(HERE)

    @property
    def listed_in_codex(self) -> bool:
        """Whether Codex's picker shows it."""
        return not self._hiding(CODEX)

    @property
    def verdict(self) -> str:
        """Both answers in one line."""
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
        """What keeps it out of the list there, in words."""
        codes = dict.fromkeys(
            reason.code for reason in self.reasons if reason.hides and reason.where in (where, BOTH)
        )
        return ", ".join(code.replace("_", " ") for code in codes)


@dataclass(frozen=True, slots=True)
class _Known:
    """What all steps of an explanation need."""

    index: ThreadIndex
    changes: Changes
    names: dict[str, str]
    database: Path
    picker: Picker


async def explain(
    index: ThreadIndex, reference: str, *, cwd: str | None = None, sqlite_home: Path | None = None
) -> Explanation:
    """Why the thread or file that ``reference`` means is listed or not.

    ``cwd`` is the folder that Codex's picker is opened in; None for all folders.
    ``sqlite_home`` is what ``CODEX_SQLITE_HOME`` names.

    Raises:
        AmbiguousThread: the reference fits more than one thread.
        ThreadNotFound: nothing is known by it; ``close`` are threads it may have meant.
    """
    home = index.home
    changes = await index.pending()
    context = await asyncio.to_thread(load_context, home)
    picker = Picker(cwd, context.default_provider)
    database = codex_database(home, sqlite_home)
    known = _Known(index, changes, dict(context.names), database, picker)
    path = file_named(home, reference)
    reference = storable(reference)
    ids = await index.resolve(reference)
    if path is not None and (parse_name(Path(path).name) or not ids):
        return await _explain_file(known, path)
    ids = ids or await known_elsewhere(index, changes, known.names, database, reference)
    if len(ids) > 1:
        raise AmbiguousThread(reference, ids)
    if not ids and (misnamed := await path_with_id(index, reference)):
        return await _explain_file(known, misnamed)
    if not ids:
        raise ThreadNotFound(reference, await similar(index, reference))
    return await _explain_thread(known, ids[0])


async def _explain_file(known: _Known, path: str) -> Explanation:
    home = known.index.home
    if not path.startswith(tuple(f"{root}/" for root in ROOTS)):
        return await _explain_outside(home, path)
    found = stat_file(home, path)
    shown = storable(path)
    ignored = next((file.ignored for file in known.changes.ignored if file.path == shown), None)
    ignored = ignored or await _reason_in_ledger(known.index, shown) or (found and found.ignored)
    if ignored:
        return _no_thread(shown, "ignored", f"it is no rollout: {ignored}")
    outcome = await asyncio.to_thread(extract_file, home, path)
    if isinstance(outcome, Unusable):
        return Explanation(None, path, (_unreadable(outcome),))
    return await _explain_thread(known, outcome.facts.id, path)


async def _explain_outside(home: Path, path: str) -> Explanation:
    evidence = f"the file lies neither below sessions nor below archived_sessions of {home}"
    full = home / path  # absolute paths stay what they are
    outcome = await asyncio.to_thread(extract_file, full.parent, full.name)
    if isinstance(outcome, Unusable):
        return _no_thread(path, "outside_home", f"{evidence}; {outcome.reason}")
    evidence += f"; it holds thread {outcome.facts.id}"
    reason = Reason("outside_home", BOTH, True, evidence, path, None, move_command(home, str(full)))
    return Explanation(None, path, (reason,))


def _no_thread(path: str, code: str, evidence: str) -> Explanation:
    return Explanation(None, path, (Reason(code, BOTH, True, evidence, path),))


def _unreadable(file: Unusable) -> Reason:
    evidence = f"no thread can be made of the file: {file.reason}"
    return Reason("unreadable_file", BOTH, True, evidence, file.path, file.offset)


async def _reason_in_ledger(index: ThreadIndex, path: str) -> str | None:
    c = rollout_files.c
    found = sa.select(c.reason).where(c.path == path, c.bucket == "ignored")
    async with index.database.read() as connection:
        return await connection.scalar(found)


@dataclass(slots=True)
class _Thread:
    """One thread as its files are now."""

    id: str
    row: Row | None
    """The row that a list would show; None if no file of it can be read."""
    paths: list[str]
    """Its readable files."""
    notes: list[Reason]
    gone: list[str]
    """Files that the index has and the disk has not."""


async def _explain_thread(known: _Known, thread_id: str, asked: str | None = None) -> Explanation:
    home = known.index.home
    thread = await _read_thread(known, thread_id, asked)
    answer = await asyncio.to_thread(ask_codex, known.database, thread_id)
    if thread.row is None:
        reasons = thread.notes
        if not any(reason.hides for reason in reasons):
            reasons = [await _missing(known, thread, answer), *reasons]
        return Explanation(thread_id, asked or reasons[0].path, tuple(reasons))
    own = str(thread.row["rollout_path"])
    hidden = await asyncio.to_thread(_hidden_files, home, thread, known.picker)
    shown = {path for path, found in hidden.items() if not found}
    others = {path: role(path, own) for path in thread.paths if path != own}
    main = max(hidden, key=precedence)
    reasons = [
        *reasons_here(thread.row),
        *([] if shown else hidden[main]),
        *thread.notes,
        *reasons_by_files(home, own, others, shown),
        *reasons_by_database(home, answer, thread_id, own, thread.paths),
    ]
    aside = ""
    named = id_in_name(asked or own)
    if named not in (thread_id, None):
        evidence = f"the file is named after thread {named} and holds thread {thread_id}"
        reasons.append(Reason("other_thread", BOTH, False, evidence, asked or own))
    if asked in others:
        what = "stale segment" if others[asked] == "segment" else "duplicate"
        aside = f"A {what} of thread {thread_id}: "
    return Explanation(thread_id, asked or own, tuple(reasons), list_command(thread.row), aside)


def _hidden_files(home: Path, thread: _Thread, picker: Picker) -> dict[str, list[Reason]]:
    """What keeps each file out of Codex's picker. A compressed one beside its plain form does
    not count (rollout-format §1.3)."""
    plain = set(thread.paths)
    return {
        path: reasons_in_codex(home, path, thread.id, picker)
        for path in thread.paths
        if path == logical_path(path) or logical_path(path) not in plain
    }


async def _read_thread(known: _Known, thread_id: str, asked: str | None) -> _Thread:
    """The thread by its row where that is in step, else by its files, which are then read."""
    index, changes = known.index, known.changes
    entries, row, name = await _stored(index, thread_id)
    gone = [path for path in entries if path in set(changes.vanished)]
    new = [
        file.path
        for file in changes.to_read
        if file.path in (*entries, asked) or id_in_name(file.path) == thread_id
    ]
    no_rollouts = {path: e["reason"] for path, e in entries.items() if e["bucket"] == "ignored"}
    no_rollouts |= {f.path: f.ignored for f in changes.ignored if id_in_name(f.path) == thread_id}
    paths = sorted({*entries, *new, *filter(None, [asked])} - {*gone, *no_rollouts})
    notes = [_not_indexed(path, entries) for path in new]
    if row is not None and not new and not gone:
        readable = [path for path in paths if entries[path]["bucket"] != "unreadable"]
        notes += [_ledger_note(entry) for entry in entries.values() if entry["reason"]]
        return _Thread(thread_id, row, readable, notes, gone)
    outcomes = await asyncio.to_thread(lambda: [extract_file(index.home, path) for path in paths])
    held = [o for o in outcomes if isinstance(o, Extracted) and o.facts.id == thread_id]
    if not held:
        notes += [_unreadable(file) for file in outcomes if isinstance(file, Unusable)]
        notes += [
            Reason("ignored", BOTH, True, f"it is no rollout: {why}", path)
            for path, why in no_rollouts.items()
        ]
        return _Thread(thread_id, None, [], notes, gone)
    own = max(held, key=lambda file: precedence(file.path))
    if own.first_bad:
        bad = own.first_bad
        notes.append(_bad_lines(own.path, own.bad_lines, bad.offset, bad.reason))
    row = thread_row(own, name or known.names.get(thread_id), known.picker.provider)
    return _Thread(thread_id, row, [file.path for file in held], notes, gone)


async def _stored(
    index: ThreadIndex, thread_id: str
) -> tuple[dict[str, dict[str, Any]], Row | None, str | None]:
    """Ledger entries by path, the unreadable ones too; the row; the name that a user set."""
    f, u = rollout_files.c, user_facts.c
    async with index.database.read() as connection:
        unread = f.bucket.in_(NO_THREAD) & sa.func.instr(f.path, thread_id)
        entries = await connection.execute(
            sa.select(rollout_files).where((f.thread_id == thread_id) | unread).order_by(f.path)
        )
        by_path = {entry.path: dict(entry._mapping) for entry in entries}
        rows = await connection.execute(sa.select(threads).where(threads.c.id == thread_id))
        row = rows.one_or_none()
        name = await connection.scalar(
            sa.select(u.value).where(u.thread_id == thread_id, u.key == "name")
        )
    return by_path, dict(row._mapping) if row else None, name


def _not_indexed(path: str, entries: dict[str, dict[str, Any]]) -> Reason:
    what = "has changed since the index read it" if path in entries else "is new to the index"
    evidence = f"the file {what}; it is told here as it is now, and list catches up by itself"
    return Reason("not_yet_indexed", HERE, False, evidence, path, None, "threadkeep sync")


def _ledger_note(entry: dict[str, Any]) -> Reason:
    place = entry["reason_offset"], entry["reason"]
    if entry["bucket"] not in NO_THREAD:
        return _bad_lines(entry["path"], entry["bad_lines"], *place)
    code = "ignored" if entry["bucket"] == "ignored" else "unreadable_file"
    evidence = f"there is another file, which gives no thread: {entry['reason']}"
    return Reason(code, BOTH, False, evidence, entry["path"], entry["reason_offset"])


def _bad_lines(path: str, count: int, offset: int | None, reason: str) -> Reason:
    evidence = f"{count:,} of its lines could not be read, the first because: {reason}"
    return Reason("unreadable_line", HERE, False, evidence, path, offset)


async def _missing(known: _Known, thread: _Thread, answer: CodexAnswer | None) -> Reason:
    """A thread that others know of, and of which there is no file."""
    async with known.index.database.read() as connection:
        said = (await mentions(connection, known.names, thread.id)).get(thread.id, [])
    said += [f"the index had it in {path}" for path in thread.gone]
    path = thread.gone[0] if thread.gone else None
    for row in answer.rows if answer else ():
        said.append(f"Codex's own database has it in {row.rollout_path}")
        path = path or below(known.index.home, row.rollout_path) or row.rollout_path
    evidence = f"there is no file of it in the home, but {'; '.join(said)}"
    mend = "threadkeep codex-check" if answer and answer.rows else None
    mend = mend or ("threadkeep sync" if thread.gone else None)
    return Reason("file_missing", BOTH, True, evidence, path, None, mend)
