"""Take over what users set in Codex: pins, and names that only its own database has.

What that database held at the last look is remembered, so that a later change is seen as one, and
what threadkeep wrote there itself is none. A change becomes a setting, in the journal first: it
outlives the index, and Codex's database, too. At the first look at a database, as at one that Codex
has made anew, nothing that users have set is replaced.
"""

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from state.clock import now_ms
from state.codex_db.database import NotComparable, codex_database
from state.codex_db.values import CodexLook, CodexValues, database_stamp, read_values
from state.db.database import Database
from state.db.sql import AMONG, Put, listed, meta, set_meta
from state.errors import SQLITE_ERRORS, StateError
from state.rows import thread_rows as rows
from state.rows.writer import load_context
from state.userdata.journal import append_settings
from state.userdata.marks import ON, PINNED
from state.userdata.model import LATEST_MS, NAME, UserValue, chosen_names
from state.userdata.store import (
    change_user_data,
    newer_names,
    put_settings,
    recorded_names,
    values_of_threads,
)

STAMP_KEY: Final = "codex_database"
"""In ``index_meta``: the state of Codex's database at the last look."""
_IDENTITY_KEY: Final = "codex_database_identity"
_NOTHING: Final = CodexValues()
_PUT: Final = Put("codex_values")
_log = logging.getLogger("threadkeep.codex")


async def take_from_codex(database: Database, home: Path, sqlite_home: Path | None) -> None:
    """Have the index follow what users set in Codex, if its database was written since the last
    look. What keeps it from being read fails nothing: the next sync tries it again, and
    ``codex-check`` says what is wrong."""
    try:
        codex, stamp = await database.workers.run(partial(_now, home, sqlite_home))
        if stamp is None or stamp == await database.look(partial(meta, key=STAMP_KEY)):
            return
        known = await database.look(_remembered)
        look = await database.workers.run(partial(read_values, codex, known))
        if await database.look(partial(_is_news, look, known)):
            taken = partial(_take, database.path, home, look, known)
            if not await change_user_data(database, taken):
                return  # so that the next sync looks again
        await database.transact(partial(set_meta, values={STAMP_KEY: stamp}))
    except (NotComparable, OSError, StateError, *SQLITE_ERRORS) as error:
        _log.info("what was set in Codex is not taken over: %s", error)


async def remember_written(
    database: Database, changes: Mapping[str, Mapping[str, str | None]]
) -> None:
    """Note what threadkeep has written to Codex's database, so that another value is news there. It
    is no loss if that fails: what is equal on both sides is no news either."""

    written = {id_: given for id_, given in changes.items() if given.keys() & {NAME, PINNED}}
    if not written:
        return

    def note(connection: sqlite3.Connection) -> None:
        known = _remembered(connection)
        noted = {}
        for id_ in rows.existing(connection, written):
            held, given = known.get(id_, _NOTHING), written[id_]
            name = given.get(NAME, held.name)
            pinned = given[PINNED] is not None if PINNED in given else held.pinned
            noted[id_] = CodexValues(name, pinned)
        _remember(connection, noted)

    try:
        await database.transact(note)
    except StateError as error:
        _log.info("what was written to Codex's database is not noted: %s", error)


def remember_as(replaced: sqlite3.Connection, connection: sqlite3.Connection) -> None:
    """Remember what an index does that this one replaces, for the threads that this one has."""
    identity, values = meta(replaced, _IDENTITY_KEY), _remembered(replaced)
    if identity is not None:
        _remember(connection, {id_: values[id_] for id_ in rows.existing(connection, values)})
        set_meta(connection, {_IDENTITY_KEY: identity})


def _now(home: Path, sqlite_home: Path | None) -> tuple[Path, str | None]:
    codex = codex_database(home, sqlite_home)
    return codex, database_stamp(codex)


class _News(NamedTuple):
    """What a look finds that is not remembered."""

    remembered: dict[str, CodexValues]
    settings: list[UserValue]


def _is_news(
    look: CodexLook, known: Mapping[str, CodexValues], connection: sqlite3.Connection
) -> bool:
    if meta(connection, _IDENTITY_KEY) != look.identity:
        return True
    return look.values != known and any(_news(look, connection))


def _take(
    index: Path,
    home: Path,
    look: CodexLook,
    known: Mapping[str, CodexValues],
    connection: sqlite3.Connection,
) -> bool:
    """Gives False, and changes nothing, if more is remembered than was ``known`` before the look:
    what was written to Codex meanwhile would seem to be taken back there."""
    if _remembered(connection) != known:
        return False
    news = _news(look, connection)
    if news.settings:
        append_settings(index, news.settings)
        put_settings(connection, news.settings)
        _rename(connection, home, [given for given in news.settings if given.key == NAME])
    _remember(connection, news.remembered)
    set_meta(connection, {_IDENTITY_KEY: look.identity})
    return True


def _news(look: CodexLook, connection: sqlite3.Connection) -> _News:
    """Threads that the index does not have are left for a look when it has them."""
    first = meta(connection, _IDENTITY_KEY) != look.identity
    known = _remembered(connection)
    other = [
        id_
        for id_ in known.keys() | look.values.keys()
        if first or known.get(id_) != look.values.get(id_)
    ]
    found = _News({}, [])
    if not other:
        return found
    names = connection.execute(f"SELECT id, name FROM threads WHERE id {AMONG}", [listed(other)])
    set_by_users = {given.subject: given for given in values_of_threads(connection, other)}
    for id_, name in names.fetchall():
        before = _NOTHING if first else known.get(id_, _NOTHING)
        there = look.values.get(id_, _NOTHING)
        found.remembered[id_] = there
        if there == _NOTHING and (first or id_ not in look.without):
            continue  # the row is gone, which says nothing of the thread
        pin = set_by_users.get((id_, PINNED))
        ours = pin is not None and pin.value is not None
        if there.pinned not in (before.pinned, ours) and not (first and pin):
            found.settings.append(_setting(id_, PINNED, ON if there.pinned else None, pin))
        # Codex takes no name back: one that is not there any more is lost.
        given = set_by_users.get((id_, NAME))
        if there.name not in (None, before.name, name) and not (first and (name or given)):
            found.settings.append(_setting(id_, NAME, there.name, given))
    return found


def _setting(id_: str, key: str, value: str | None, replaced: UserValue | None) -> UserValue:
    # Newer than what it replaces, even if the clock was set back.
    at_ms = max(now_ms(), replaced.set_at_ms + 1 if replaced else 0)
    return UserValue(id_, key, value, min(at_ms, LATEST_MS))


def _rename(connection: sqlite3.Connection, home: Path, named: Sequence[UserValue]) -> None:
    """Names in the home that are newer win."""
    if not named:
        return
    ids = [given.thread_id for given in named]
    written = load_context(home).names
    written = {id_: written[id_] for id_ in ids if id_ in written}
    chosen = chosen_names(newer_names(written, recorded_names(connection, ids)), named)
    rows.rename(connection, {id_: chosen[id_] for id_ in ids})


def _remembered(connection: sqlite3.Connection) -> dict[str, CodexValues]:
    found = connection.execute("SELECT thread_id, name, pinned FROM codex_values")
    return {id_: CodexValues(name, bool(pinned)) for id_, name, pinned in found}


def _remember(connection: sqlite3.Connection, values: Mapping[str, CodexValues]) -> None:
    gone = [id_ for id_, held in values.items() if held == _NOTHING]
    connection.execute(f"DELETE FROM codex_values WHERE thread_id {AMONG}", [listed(gone)])
    kept = [
        {"thread_id": id_, "name": held.name, "pinned": int(held.pinned)}
        for id_, held in values.items()
        if held != _NOTHING
    ]
    _PUT.rows(connection, kept)
