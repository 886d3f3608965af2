"""Record what the real Codex 0.169 says to the script.

    THREADKEEP_CODEX_BIN=/path/to/codex python -m tests.protocol.record

One exchange is one line of ``fixtures/protocol/golden.json``.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.codex_app import CONFIG
from tests.conftest import FIXTURES, copy_corpus

from .dialogue import Exchange, dialogue
from .script import script

GOLDEN = FIXTURES / "protocol" / "golden.json"


def sample_home(target: Path) -> Path:
    """The home on which the dialogue is played."""
    copy_corpus(target)
    (target / "config.toml").write_text(CONFIG)
    return target


def golden() -> list[Exchange]:
    """What the real Codex said."""
    recorded: list[Exchange] = json.loads(GOLDEN.read_text("utf-8"))
    return recorded


def text(exchanges: Sequence[Exchange]) -> str:
    """How a record is written."""
    lines = [json.dumps(one, ensure_ascii=False) for one in exchanges]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def command(binary: str) -> list[str]:
    """How an app-server is started."""
    return [binary, "app-server", "--listen", "stdio://"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = sample_home(Path(folder) / "home")
        told: list[Any] = dialogue(
            command(os.environ["THREADKEEP_CODEX_BIN"]), home, script(), quiet=0.3
        )
    GOLDEN.write_text(text(told), "utf-8")


if __name__ == "__main__":
    main()
