"""Databases that real Codexes made, and what to do to them: 0.169 of the corpus home, 0.171 of an
empty one."""

import gzip
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import FIXTURES
from tests.samples.gold import GOLD_HOME

STATE = gzip.decompress((FIXTURES / "codex" / "state_5.sqlite.gz").read_bytes())
STATE_OF_64 = gzip.decompress((FIXTURES / "codex" / "state_5_of_64.sqlite.gz").read_bytes())
"""That of Codex 0.171, with its 64 migrations."""
_HOLD = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM threads')"


@dataclass(frozen=True)
class Codex:
    """Codex's database at a path."""

    path: Path

    @classmethod
    def of(cls, home: Path, folder: Path) -> "Codex":
        """A copy in ``folder``, in WAL mode and closed, that belongs to ``home``."""
        codex = cls(folder / "state_5.sqlite")
        codex.path.write_bytes(STATE)
        codex.change("PRAGMA journal_mode = WAL")
        codex.change(
            "UPDATE threads SET rollout_path = replace(rollout_path, ?, ?)",
            f"{GOLD_HOME}/",
            f"{home.resolve()}/",
        )
        return codex

    @classmethod
    def empty(cls, folder: Path, state: bytes = STATE_OF_64) -> "Codex":
        """One of a home that Codex has no thread of yet."""
        codex = cls(folder / "state_5.sqlite")
        codex.path.write_bytes(state)
        codex.change("PRAGMA journal_mode = WAL", "DELETE FROM threads")
        codex.change("DELETE FROM thread_spawn_edges")
        return codex

    def insert(self, thread_id: str, path: Path, **values: Any) -> None:
        """Add a row of an active legacy thread, less what ``values`` say."""
        row = {
            **{"id": thread_id, "rollout_path": str(path), "created_at": 1, "updated_at": 1},
            **{"source": "cli", "model_provider": "x", "cwd": "/", "title": "a title"},
            **{"sandbox_policy": "{}", "approval_mode": "never", **values},
        }
        marks = ", ".join("?" * len(row))
        self.change(f"INSERT INTO threads ({', '.join(row)}) VALUES ({marks})", *row.values())

    def change(self, *statements: Any) -> None:
        """Carry out statements, each followed by its parameters."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            texts = [i for i, part in enumerate(statements) if _is_sql(part)]
            for start, end in zip(texts, [*texts[1:], len(statements)], strict=True):
                connection.execute(statements[start], statements[start + 1 : end])

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """What a query gives."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters)]

    def threads(self) -> dict[str, dict[str, Any]]:
        """Every row of ``threads``, by id."""
        return {row["id"]: row for row in self.rows("SELECT * FROM threads")}

    def content(self) -> list[str]:
        """All of it, as SQL."""
        with closing(sqlite3.connect(self.path)) as connection:
            return list(connection.iterdump())

    @contextmanager
    def open_elsewhere(self) -> "Iterator[subprocess.Popen[bytes]]":
        """Another process that has it open, and does nothing with it."""
        with subprocess.Popen(
            [sys.executable, "-c", f"{_HOLD}; print(flush=True); input()", str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout
            process.stdout.readline()
            yield process
            process.communicate(b"\n")


def _is_sql(part: Any) -> bool:
    return isinstance(part, str) and part.startswith(
        ("UPDATE ", "DELETE ", "INSERT ", "PRAGMA ", "ALTER ", "CREATE ", "DROP ")
    )
