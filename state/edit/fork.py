"""Make a new thread that begins as another one did: its file, its name, its row."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from rollout.files.writer_lock import WriterLock
from rollout.history.segments import Find, source_meta
from rollout.jsonl.parse import Item
from rollout.metadata.session_index import append_name
from rollout.schema.modes import MODES, PAGINATED
from rollout.writing.fork import Cut, Fork, plan_fork, write_fork
from rollout.writing.new_thread import NewThread, rollout_path
from state.edit.git import git_facts
from state.edit.refresh import refresh_file, refresh_names
from state.errors import ThreadArchived, UnsupportedHistory, file_errors
from state.query.rows import Row
from state.query.thread_json import display_name, display_text
from state.rollout_locator import rollout_locator
from state.sync.thread_rows import written_provider
from state.thread_index import ThreadIndex

_LONGEST_LABEL = 120


@dataclass(frozen=True, slots=True)
class Forked:
    """A fork that was made."""

    thread_id: str
    source_id: str
    path: str
    """Relative to the home."""
    name: str | None
    indexed: bool
    """False if the index was busy: the next command that looks at the files has it."""


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
    settle: bool = True,
) -> Forked:
    """Fork the thread that ``reference`` means: all of it, or through ``last_turn``, or up to
    ``before_turn``. ``source`` is who forks, as in a ``session_meta``;
    ``cwd`` and ``thread_source`` go there as well, in place of the source's folder and of nothing.

    With ``dry_run`` it is only checked whether that can be; without ``settle`` the caller has the
    index follow the fork's name.

    The fork has the source's name. A paginated one, which holds no message of its own yet, else
    has the source's beginning for its name, as lists could show nothing of it.

    Raises:
        AmbiguousThread: more than one thread is meant.
        DamagedCompression: the source is compressed, and damaged.
        FileUnusable: the home cannot be read or written.
        HistoryIncomplete: its history is not all there.
        ThreadArchived: it is archived.
        ThreadNotFound: there is no such thread.
        TurnNotFound: its history has no such turn.
        TurnUnfinished: the last turn has not ended.
        UnsupportedHistory: this version does not know the form of its history.
        ValueError: both cuts are named.
    """
    cut = fork_point(last_turn, before_turn)
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
        fork = plan_at_folder(path, thread, cut, find, cwd)
        if dry_run:
            return
        with WriterLock.acquire(index.home, thread.id):
            write_fork(fork, index.home / made, git)
            if name is not None:
                try:
                    append_name(index.home, thread.id, name)
                except OSError:
                    (index.home / made).unlink()  # nobody has seen it: what is refused leaves none
                    raise

    with file_errors(index.home):
        await index.database.workers.run(write)
    indexed = dry_run or await refresh_file(index, made)
    if settle and name is not None and not dry_run:
        indexed = await refresh_names(index) and indexed
    return Forked(thread.id, row["id"], made, name, indexed)


def fork_point(last_turn: str | None, before_turn: str | None) -> Cut:
    """How much a fork begins with.

    Raises:
        ValueError: both are named.
    """
    if last_turn is not None and before_turn is not None:
        raise ValueError("a fork ends at one turn")
    return Cut(last_turn, before_turn)


def plan_at_folder(path: Path, thread: NewThread, cut: Cut, find: Find, cwd: str | None) -> Fork:
    """What the fork is to hold (:func:`rollout.writing.fork.plan_fork`), with its settings those of
    ``cwd`` if a folder is given."""
    fork = plan_fork(path, thread, cut, find)
    if cwd is None:
        return fork
    return replace(fork, lines=tuple(_elsewhere(line, cwd) for line in fork.lines))


def name_of_fork(row: Row) -> str | None:
    """What a fork of the thread is called: as that is, or a paginated one by its beginning."""
    name = display_name(row)
    if name is None and row["history_mode"] == PAGINATED:
        name = " ".join(display_text(row).split())[:_LONGEST_LABEL].strip() or None
    return name


def _elsewhere(line: Item, cwd: str) -> Item:
    """A line with this folder, if it tells of settings: they would put the fork where its source
    is."""
    settings = line["payload"].get("thread_settings")
    if not isinstance(settings, dict):
        return line
    place = {"cwd": cwd, "runtime_workspace_roots": [cwd]}
    return {**line, "payload": {**line["payload"], "thread_settings": {**settings, **place}}}


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def settings_of_fork(
    row: Mapping[str, Any],
    meta: dict[str, Any],
    source: str,
    *,
    thread_source: str | None,
    cwd: str | None,
) -> NewThread:
    """What a fork has of its source, all of whose columns are in ``row``: where it works, and
    what its model was told."""
    instructions, tools = meta.get("base_instructions"), meta.get("dynamic_tools")
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
        dynamic_tools=tools if tools and _are_objects(tools) else None,
        memory_mode=row["memory_mode"] if row["memory_mode"] != "enabled" else None,
    )
