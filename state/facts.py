"""What users set and rollouts do not hold: in the index, and first in a journal beside it.

The journal ``facts.jsonl`` is append-only, one JSON object a line: ``{"v":1,"thread_id":…,
"key":…,"value":…,"set_at_ms":…}``. The last line for a thread and key wins. It outlives the
database, so facts survive a lost index; a null value takes a fact back.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.lines import Line, LineReader, parse_line
from rollout.paths import parse_uuid
from state.schema import user_facts

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing a user set for a thread; ``value`` None takes it back."""

    thread_id: str
    key: str
    value: str | None
    set_at_ms: int


def journal_path(index: Path) -> Path:
    """Where the journal of the index at ``index`` lies."""
    return index.with_name("facts.jsonl")


def append_facts(index: Path, facts: Iterable[Fact]) -> None:
    """Write facts to the journal, on disk when this returns. Do this before :func:`put_facts`."""
    lines = [json.dumps({"v": _VERSION, **asdict(fact)}) for fact in facts]
    path = journal_path(index)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with open(descriptor, "r+b", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        file.write(("\n" * torn + "".join(line + "\n" for line in lines)).encode())
        os.fsync(descriptor)


def read_facts(index: Path) -> list[Fact]:
    """The latest fact of each thread and key in the journal; lines that cannot be read are
    passed over. Empty where there is no journal."""
    latest: dict[tuple[str, str], Fact] = {}
    try:
        file = journal_path(index).open("rb", buffering=0)
    except FileNotFoundError:
        return []
    with file:
        for line in LineReader().lines(file):
            value = parse_line(line) if isinstance(line, Line) else None
            if not isinstance(value, dict) or value.get("v") != _VERSION:
                continue
            match value:
                case {
                    "thread_id": str(thread_id),
                    "key": str(key),
                    "value": str() | None as setting,
                    "set_at_ms": int(set_at_ms),
                } if parse_uuid(thread_id) == thread_id:
                    latest[thread_id, key] = Fact(thread_id, key, setting, set_at_ms)
    return list(latest.values())


async def put_facts(connection: AsyncConnection, facts: Sequence[Fact]) -> None:
    """Set facts in the index. A fact that is older than the one there changes nothing."""
    if not facts:
        return
    entry = insert(user_facts)
    await connection.execute(
        entry.on_conflict_do_update(
            index_elements=[user_facts.c.thread_id, user_facts.c.key],
            set_={"value": entry.excluded.value, "set_at_ms": entry.excluded.set_at_ms},
            where=entry.excluded.set_at_ms >= user_facts.c.set_at_ms,
        ),
        [asdict(fact) for fact in facts],
    )


async def all_facts(connection: AsyncConnection) -> list[Fact]:
    """Every fact in the index."""
    return [Fact(**row._mapping) for row in await connection.execute(sa.select(user_facts))]
