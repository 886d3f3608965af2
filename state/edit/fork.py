"""Make a new thread that begins as another one: its file, its name, its row."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from rollout.files.writer_lock import WriterLock
from rollout.history.segments import Find, source_meta
from rollout.jsonl.parse import Item
from rollout.metadata.session_index import append_name
from rollout.schema.modes import MODES, PAGINATED
from rollout.writing.fork import Fork, ForkPoint, plan_fork, write_fork
from rollout.writing.new_thread import NewThread, rollout_path
from state.edit.git import git_facts
from state.edit.refresh import refresh_files, refresh_names
from state.errors import ThreadArchived, UnsupportedHistory, file_errors
from state.query.rows import Row
from state.query.thread_json import display_name, display_text
from state.rollout_locator import rollout_locator
from state.rows.thread_rows import written_provider
from state.thread_index import ThreadIndex

_LONGEST_LABEL = 120


class ForkOptions(TypedDict, total=False):
    """How a fork is made: see :func:`fork_thread`."""

    last_turn: str | None
    before_turn: str | None
    source: str
    cwd: str | None
    thread_source: str | None
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Forked:
    """A fork that was made."""

    thread_id: str
    path: str
    """Relative to the home."""
    name: str | None
    indexed: bool
    """False if the index was busy: the next sync adds the fork."""


async def fork_thread(
    index: ThreadIndex,
    reference: str,
    *,
    last_turn: str | None = None,
    before_turn: str | None = None,
    source: str = "cli",
    cwd: str | None = None,
    thread_source: str | None = None,
    dry_run: bool = False,
    refresh: bool = True,
) -> Forked:
    """Fork the thread that ``reference`` means: all of it, or through ``last_turn``, or up to
    ``before_turn`` (docs/rollout-format.md#forks-and-reverts). ``source`` is who forks, as in a
    ``session_meta``; ``cwd`` and ``thread_source`` go there too, in place of the source's folder
    and of nothing.

    ``dry_run`` only checks whether that can be done. Without ``refresh`` the caller updates the
    index from the fork's name.

    The fork has the source's name. A paginated fork of a nameless thread is named after the
    source's beginning: it has no message of its own yet that a list could show.

    Raises:
        AmbiguousThread: more than one thread is meant.
        DamagedCompression: the source is compressed, and damaged.
        FileUnusable: the home cannot be read or written.
        HistoryIncomplete: a part of its history is missing.
        ThreadArchived: it is archived.
        ThreadNotFound: there is no such thread.
        TurnNotFound: its history has no such turn.
        TurnUnfinished: the last turn has not ended.
        UnsupportedHistory: this version does not know its history mode.
        ValueError: both turns are given.
    """
    point = fork_point(last_turn, before_turn)
    row = await index.thread(reference)
    if row["archived"]:
        raise ThreadArchived(row["id"])
    if row["history_mode"] not in MODES:
        raise UnsupportedHistory(row["id"], row["history_mode"])
    path = index.home / row["rollout_path"]
    with file_errors(path):
        meta = await index.database.workers.run(partial(source_meta, path))
    details = await index.details(row["id"])
    thread = settings_of_fork(details, meta, source, thread_source=thread_source, cwd=cwd)
    git = await git_facts(thread.cwd) if os.path.isdir(thread.cwd) else None
    name = name_of_fork(row)
    made = rollout_path(thread.id, datetime.now())

    find = rollout_locator(index)

    def write() -> None:
        fork = plan_at_folder(path, thread, point, find, cwd)
        if dry_run:
            return
        with WriterLock.acquire(index.home, thread.id):
            write_fork(fork, index.home / made, git)
            if name is not None:
                try:
                    append_name(index.home, thread.id, name)
                except OSError:
                    (index.home / made).unlink()  # a refused fork leaves no file
                    raise

    with file_errors(index.home):
        await index.database.workers.run(write)
    indexed = dry_run or await refresh_files(index, [made])
    if refresh and name is not None and not dry_run:
        indexed = await refresh_names(index) and indexed
    return Forked(thread.id, made, name, indexed)


def fork_point(last_turn: str | None, before_turn: str | None) -> ForkPoint:
    """Where a fork leaves its source. Raises ValueError if both turns are given."""
    if last_turn is not None and before_turn is not None:
        raise ValueError("a fork ends at one turn")
    return ForkPoint(last_turn, before_turn)


def plan_at_folder(
    path: Path, thread: NewThread, point: ForkPoint, find: Find, cwd: str | None
) -> Fork:
    """The fork's lines (:func:`rollout.writing.fork.plan_fork`), with ``cwd`` in its settings if
    that is given."""
    fork = plan_fork(path, thread, point, find)
    if cwd is None:
        return fork
    return replace(fork, lines=tuple(_at_folder(line, cwd) for line in fork.lines))


def name_of_fork(row: Row) -> str | None:
    """The name of a fork: the thread's, or if a paginated one has none, its beginning."""
    name = display_name(row)
    if name is None and row["history_mode"] == PAGINATED:
        name = " ".join(display_text(row).split())[:_LONGEST_LABEL].strip() or None
    return name


def _at_folder(line: Item, cwd: str) -> Item:
    """A line of settings with ``cwd`` in place of the source's folder; others as they are."""
    settings = line["payload"].get("thread_settings")
    if not isinstance(settings, dict):
        return line
    place = {"cwd": cwd, "runtime_workspace_roots": [cwd]}
    return {**line, "payload": {**line["payload"], "thread_settings": {**settings, **place}}}


def settings_of_fork(
    row: Mapping[str, Any],
    meta: dict[str, Any],
    source: str,
    *,
    thread_source: str | None,
    cwd: str | None,
) -> NewThread:
    """The first line of a fork, from the columns and the ``session_meta`` of its source."""
    instructions, tools = meta.get("base_instructions"), meta.get("dynamic_tools")
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        tools = None
    return NewThread(
        cwd=row["cwd"] if cwd is None else cwd,
        originator=row["originator"] or "codex_cli_rs",
        cli_version=row["cli_version"],
        source=source,
        thread_source=thread_source,
        model_provider=written_provider(row),
        history_mode=row["history_mode"],
        forked_from_id=row["id"],
        base_instructions=instructions if isinstance(instructions, dict) else None,
        dynamic_tools=tools or None,
        memory_mode=row["memory_mode"] if row["memory_mode"] != "enabled" else None,
    )
