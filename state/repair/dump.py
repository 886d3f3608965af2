"""Dump user data as text that can be kept, compared and merged, and restore it.

The first line of a dump names the format and its version. The other lines are sorted, and each is
as in the journal (:mod:`state.userdata.store`).
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from rollout.jsonl.parse import BadLine, Line
from rollout.jsonl.reader import LineReader, RolloutStream
from state.db.database import Database
from state.errors import BadDump, DumpTooNew, IndexDamaged
from state.rows import thread_rows as rows
from state.rows.writer import Context, invalidate_inputs, load_context
from state.userdata import model, store
from state.userdata.journal import append_settings, parse_setting, read_settings, setting_line

FORMAT: Final = "threadkeep-facts"
VERSION: Final = 1
BATCH_SETTINGS: Final = 200
"""Settings in one transaction."""


@dataclass(slots=True)
class Restored:
    """The outcome of a restore, in settings."""

    set: int = 0
    equal: int = 0
    """As old as the present ones, which stay."""
    older: int = 0


async def known_user_data(path: Path) -> tuple[list[model.Setting], bool]:
    """The user data in the index at ``path``, as far as it can be read, and in the journal beside
    it; and whether the index is damaged. Does not create an index. Raises IndexTooNew if the index
    belongs to a newer threadkeep."""
    journal = read_settings(path)
    if not path.exists():
        return journal, False
    try:
        async with store.open_with_user_data(path) as database:
            return [*await database.look(store.all_settings), *journal], False
    except IndexDamaged:
        return journal, True


def dump_lines(settings: Iterable[model.Setting]) -> Iterator[str]:
    """The lines of a dump, with the newest setting of each subject."""
    yield json.dumps({"format": FORMAT, "version": VERSION})
    for _, setting in sorted(model.newest_settings(settings).items()):
        yield setting_line(setting)


def read_dump(stream: RolloutStream) -> list[model.Setting]:
    """The settings of a dump. Raises BadDump if a line is no setting, or the dump does not begin as
    one, and DumpTooNew if a newer threadkeep wrote it."""
    found: list[model.Setting] = []
    begun = False
    for number, line in enumerate(LineReader().lines(stream), 1):
        if isinstance(line, Line) and not line.data.strip():
            continue
        value = _value(number, line)
        if not begun:
            _check_header(number, line.offset, value)
            begun = True
            continue
        setting = parse_setting(value)
        if setting is None:
            raise BadDump(number, line.offset, "it is no setting that this version knows")
        found.append(setting)
    if not begun:
        raise BadDump(1, 0, "it is empty, not a dump")
    return list(model.newest_settings(found).values())


def _value(number: int, line: Line | BadLine) -> Any:
    """The JSON value of a line, parsed strictly, because what is restored stays."""
    if isinstance(line, BadLine):
        raise BadDump(number, line.offset, line.reason)
    try:
        return orjson.loads(line.data)
    except ValueError as error:
        raise BadDump(number, line.offset, f"not valid JSON: {error}") from None


def _check_header(number: int, offset: int, value: Any) -> None:
    match value:
        case {"format": str(name), "version": int(version)} if (
            name == FORMAT and not isinstance(version, bool) and version >= 1
        ):
            if version > VERSION:
                raise DumpTooNew(version, VERSION)
        case _:
            raise BadDump(number, offset, f'a dump begins with {{"format": "{FORMAT}", …}}')


async def restore(database: Database, home: Path, settings: Sequence[model.Setting]) -> Restored:
    """Merge settings with those that are present; the newer one of two counts.

    They go into the journal first, in batches, and what a crash has left in the journal alone goes
    into the index as well. The rows have the restored names when this returns. Raises FileUnusable
    if the journal cannot be read or written.
    """
    counts = Restored()
    context = load_context(home)
    journal = model.newest_settings(read_settings(database.path))
    for start in range(0, len(settings), BATCH_SETTINGS):
        merge = partial(_merge, database.path, context, journal, counts)
        batch = settings[start : start + BATCH_SETTINGS]
        counts.set += await store.change_user_data(database, partial(merge, batch))
    return counts


def _merge(
    index: Path,
    context: Context,
    journal: Mapping[tuple[str, str], model.Setting],
    counts: Restored,
    batch: Sequence[model.Setting],
    connection: sqlite3.Connection,
) -> int:
    indexed = model.newest_settings(_settings_about(connection, batch))
    fresh: list[model.Setting] = []
    changed: list[model.Setting] = []
    for given in batch:
        there = (indexed.get(given.subject), journal.get(given.subject))
        best = model.newest_settings(known for known in there if known).get(given.subject)
        if best is None or given.set_at_ms > best.set_at_ms:
            best = given
            fresh.append(given)
        elif given.set_at_ms == best.set_at_ms:
            counts.equal += 1
        else:
            counts.older += 1
        if best != indexed.get(given.subject):
            changed.append(best)
    if fresh:
        append_settings(index, fresh)
    store.put_settings(connection, changed)
    named = [one for one in changed if isinstance(one, model.UserValue) and one.key == model.NAME]
    ids = [one.thread_id for one in named]
    recorded = store.recorded_names(connection, ids)
    chosen = model.chosen_names(store.newer_names(context.names, recorded), named)
    rows.rename(connection, {id_: chosen.get(id_) for id_ in ids})
    invalidate_inputs(connection, context.inputs)
    return len(fresh)


def _settings_about(
    connection: sqlite3.Connection, batch: Sequence[model.Setting]
) -> list[model.Setting]:
    """The settings in the index of the subjects of ``batch``, and perhaps of others."""
    ids = {setting.thread_id for setting in batch if isinstance(setting, model.UserValue)}
    found: list[model.Setting] = [*store.values_of_threads(connection, ids)]
    if any(isinstance(setting, model.FolderAlias) for setting in batch):
        found += store.all_aliases(connection)
    return found
