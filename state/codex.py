"""Codex's own index, ``state_5.sqlite``: where it lies (state-and-service §1)."""

import tomllib
from pathlib import Path
from typing import Final

STATE_FILE: Final = "state_5.sqlite"


def codex_database(home: Path, sqlite_home: Path | None = None) -> Path:
    """Where the database of the Codex that uses ``home`` lies, whether it is there or not.

    ``sqlite_home`` is what ``CODEX_SQLITE_HOME`` names; ``config.toml``'s goes before it.
    """
    try:
        with (home / "config.toml").open("rb") as file:
            configured = tomllib.load(file).get("sqlite_home")
    except (OSError, ValueError):
        configured = None
    if isinstance(configured, str) and configured:
        return home / Path(configured).expanduser() / STATE_FILE
    return (sqlite_home or home) / STATE_FILE
