"""The database that a real Codex 0.169 made of the corpus home, and what to do to it."""

import gzip
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .conftest import FIXTURES
from .gold import GOLD_HOME

STATE = gzip.decompress((FIXTURES / "codex" / "state_5.sqlite.gz").read_bytes())
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
