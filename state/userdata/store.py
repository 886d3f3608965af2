"""What users set and rollouts do not hold: in the index, and first in a journal beside it.

The journal ``facts.jsonl`` is append-only, one JSON object a line, of two kinds:
``{"v":1,"thread_id":…,"key":…,"value":…,"set_at_ms":…}`` for a thread, and
``{"v":1,"alias":…,"value":…,"set_at_ms":…}`` for a folder that moved. The last line for a
thread and key, or for a folder, wins. It outlives the database, so facts survive a lost index;
a null value takes a fact back.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.files.layout import parse_uuid
from rollout.jsonl.parse import Line, parse_line
from rollout.jsonl.reader import LineReader
from rollout.metadata.facts import ThreadFacts
from rollout.metadata.session_index import Named
from rollout.schema.modes import PAGINATED
from state.db.location import JOURNAL_KEY, NO_JOURNAL, cwd_key, journal_path, journal_state
from state.db.schema import index_meta, path_aliases, rollout_files, threads, user_facts
from state.errors import FileUnusable
from state.sync import thread_rows as rows

_VERSION: Final = 1

NAME: Final = "name"
LATEST_MS: Final = 2**63 - 1
"""The latest time that a column holds."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing a user set for a thread; ``value`` None takes it back."""

    thread_id: str
    key: str
    value: str | None
    set_at_ms: int

    @property
    def subject(self) -> tuple[str, str]:
        """What it is about: of two facts with the same subject one counts."""
        return (self.thread_id, self.key)


@dataclass(frozen=True, slots=True)
class Alias:
    """The folder ``old`` is where ``value`` is now; None takes it back."""

    alias: str
    value: str | None
    set_at_ms: int

    @property
    def subject(self) -> tuple[str, str]:
        """What it is about; no thread's, as no id is empty."""
        return ("", cwd_key(self.alias))


Setting = Fact | Alias


def setting_line(setting: Setting) -> str:
    """A setting as a line of the journal, without its newline."""
    return json.dumps({"v": _VERSION, **asdict(setting)}, ensure_ascii=False)


def parse_setting(value: object) -> Setting | None:
    """The setting in an object of the journal; None if it holds none that this version knows."""
    match value:
        case {"v": version, "value": str() | None as setting, "set_at_ms": int(set_at_ms)} if (
            version == _VERSION and not isinstance(set_at_ms, bool) and abs(set_at_ms) <= LATEST_MS
        ):
            match value:
                case {"alias": str(alias)} if alias:
                    return Alias(alias, setting, set_at_ms)
                case {"thread_id": str(thread_id), "key": str(key)} if (
                    parse_uuid(thread_id) == thread_id
                ):
                    return Fact(thread_id, key, setting, set_at_ms)
    return None


def append_facts(index: Path, facts: Iterable[Setting]) -> None:
    """Write facts to the journal, on disk when this returns. Do this before :func:`put_facts`.

    Raises:
        FileUnusable: they could not be written; what was is passed over as a torn line.
    """
    path = journal_path(index)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with open(descriptor, "r+b", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            text = "\n" * torn + "".join(f"{setting_line(fact)}\n" for fact in facts)
            rest = memoryview(text.encode())
            while rest:  # an unbuffered write may take a part, on a disk that is nearly full
                rest = rest[file.write(rest) :]
            os.fsync(descriptor)
    except OSError as error:
        raise FileUnusable(path, error.strerror or str(error)) from error


def read_facts(index: Path) -> list[Setting]:
    """The latest fact of each subject in the journal; lines that cannot be read are passed
    over. Empty where there is no journal.

    Raises:
        FileUnusable: it is there and cannot be read.
    """
    latest: dict[tuple[str, str], Setting] = {}
    path = journal_path(index)
    try:
        with path.open("rb", buffering=0) as file:
            for line in LineReader().lines(file):
                setting = parse_setting(parse_line(line)) if isinstance(line, Line) else None
                if setting:
                    latest[setting.subject] = setting
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FileUnusable(path, error.strerror or str(error)) from error
    return list(latest.values())


async def follows_journal(connection: AsyncConnection, index: Path) -> bool:
    """Whether the index has all of the journal, as far as the journal's identity tells."""
    c = index_meta.c
    held = await connection.scalar(sa.select(c.value).where(c.key == JOURNAL_KEY))
    return bool((held or NO_JOURNAL) == journal_state(index))


async def follow_journal(connection: AsyncConnection, index: Path) -> None:
    """Put what the journal has and the index may lack; the next sync settles names. Hold the
    index's lock.

    Raises:
        FileUnusable: the journal cannot be read.
    """
    if await follows_journal(connection, index):
        return
    await put_facts(connection, read_facts(index))
    await rows.forget_inputs(connection)
    await note_journal(connection, index)


async def note_journal(connection: AsyncConnection, index: Path) -> None:
    """Remember that the index has all of the journal as it is now."""
    await rows.set_meta(connection, {JOURNAL_KEY: journal_state(index)})


async def put_facts(connection: AsyncConnection, facts: Sequence[Setting]) -> None:
    """Set facts in the index, and what of rows they decide besides names. A fact that is older
    than the one there changes nothing."""
    await _put(
        connection,
        user_facts,
        ("thread_id", "key"),
        [asdict(fact) for fact in facts if isinstance(fact, Fact)],
    )
    await _put(
        connection,
        path_aliases,
        ("old_key",),
        [
            {
                "old_key": cwd_key(fact.alias),
                "old": fact.alias,
                "new": fact.value,
                "new_key": None if fact.value is None else cwd_key(fact.value),
                "set_at_ms": fact.set_at_ms,
            }
            for fact in facts
            if isinstance(fact, Alias)
        ],
    )
    for key in rows.OVERRIDDEN:
        ids = [fact.thread_id for fact in facts if isinstance(fact, Fact) and fact.key == key]
        if ids:
            await _override(connection, key, ids)


async def _override(connection: AsyncConnection, key: str, ids: Sequence[str]) -> None:
    """Have a column of rows follow the facts about it."""
    c, u = threads.c, user_facts.c
    ours = (u.thread_id == c.id) & (u.key == key)
    given = sa.select(u.value).where(ours, u.value.is_not(None))
    concerned = rows.among(c.id, ids) & (c.history_mode == PAGINATED)
    await connection.execute(
        sa.update(threads)
        .where(concerned, given.exists())
        .values({key: sa.func.nullif(given.scalar_subquery(), "")})
    )
    taken_back = sa.select(c.id).where(
        concerned, sa.select(u.key).where(ours, u.value.is_(None)).exists()
    )
    freed = list(await connection.scalars(taken_back))
    if freed:  # what the file says is not in the row: it is to be read again
        for table, column in ((threads, c.id), (rollout_files, rollout_files.c.thread_id)):
            await connection.execute(
                sa.update(table).where(rows.among(column, freed)).values(extractor_version=0)
            )


async def _put(
    connection: AsyncConnection,
    table: sa.Table,
    subject: tuple[str, ...],
    values: list[dict[str, Any]],
) -> None:
    if not values:
        return
    entry = insert(table)
    await connection.execute(
        entry.on_conflict_do_update(
            index_elements=subject,
            set_={name: entry.excluded[name] for name in values[0] if name not in subject},
            where=entry.excluded.set_at_ms >= table.c.set_at_ms,
        ),
        values,
    )


async def all_facts(connection: AsyncConnection) -> list[Setting]:
    """Every fact in the index."""
    found: list[Setting] = [
        Fact(**row._mapping) for row in await connection.execute(sa.select(user_facts))
    ]
    return [*found, *await all_aliases(connection)]


async def facts_about(connection: AsyncConnection, thread_ids: Sequence[str]) -> list[Fact]:
    """What users set for threads, also what they took back."""
    among = rows.among(user_facts.c.thread_id, thread_ids)
    found = await connection.execute(sa.select(user_facts).where(among))
    return [Fact(**row._mapping) for row in found]


async def all_aliases(connection: AsyncConnection) -> list[Alias]:
    """Every alias in the index, also those that were taken back."""
    c = path_aliases.c
    rows = await connection.execute(sa.select(c.old, c.new, c.set_at_ms).order_by(c.old_key))
    return [Alias(*row) for row in rows]


def newest(settings: Iterable[Setting]) -> dict[tuple[str, str], Setting]:
    """The newest setting of each subject; the last one of those of one time."""
    found: dict[tuple[str, str], Setting] = {}
    for setting in settings:
        known = found.get(setting.subject)
        if known is None or setting.set_at_ms >= known.set_at_ms:
            found[setting.subject] = setting
    return found


def told_name(facts: ThreadFacts) -> Named | None:
    """The name that a rollout itself tells, by a ``thread_name_updated`` event; None without."""
    if facts.rollout_name is None:
        return None
    return Named(facts.rollout_name, facts.rollout_name_ms)


def newer_names(written: Mapping[str, Named], told: Mapping[str, Named]) -> dict[str, Named]:
    """Of the names that the home's file has and that rollouts tell the newer ones; the home's file
    counts where it does not say when."""
    names = dict(written)
    for thread_id, name in told.items():
        rival = written.get(thread_id)
        if rival is None or 0 < rival.set_at_ms < name.set_at_ms:
            names[thread_id] = name
    return names


async def told_names(
    connection: AsyncConnection, thread_ids: Sequence[str] | None = None
) -> dict[str, Named]:
    """The names that rollouts tell, of some threads or of all."""
    c = threads.c
    asked = sa.select(c.id, c.rollout_name, c.rollout_name_ms).where(c.rollout_name.is_not(None))
    if thread_ids is not None:
        asked = asked.where(rows.among(c.id, thread_ids))
    return {row[0]: Named(row[1], row[2]) for row in await connection.execute(asked)}


def chosen_names(written: Mapping[str, Named], facts: Iterable[Fact]) -> dict[str, str]:
    """The name of each thread: of what files and a fact say the newer one, and the fact where
    they are of one time. Facts about other things count for nothing."""
    names = {thread_id: named.name for thread_id, named in written.items()}
    for fact in facts:
        if fact.key == NAME and fact.value is not None:
            rival = written.get(fact.thread_id)
            if rival is None or fact.set_at_ms >= rival.set_at_ms:
                names[fact.thread_id] = fact.value
    return names


def overrides_of(facts: Iterable[Fact]) -> dict[str, dict[str, str]]:
    """What :func:`state.sync.thread_rows.thread_row` takes, by thread."""
    found: dict[str, dict[str, str]] = {}
    for fact in facts:
        if fact.key in rows.OVERRIDDEN and fact.value is not None:
            found.setdefault(fact.thread_id, {})[fact.key] = fact.value
    return found
