"""Record what the real Codex 0.169 says to the scripts.

    THREADKEEP_CODEX_BIN=/path/to/codex python -m tests.protocol.record [golden] [turns]

One exchange is one line of ``fixtures/protocol/golden.json``, or of ``turns.json``.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tests import FIXTURES
from tests.codex.codex_app import CONFIG
from tests.conftest import copy_corpus
from tests.protocol.dialogue import Exchange, Step, dialogue
from tests.protocol.script import script
from tests.protocol.turns_script import turns_script

SCRIPTS: Final[dict[str, Callable[[], list[Step]]]] = {"golden": script, "turns": turns_script}
GOLDEN = FIXTURES / "protocol" / "golden.json"


def sample_home(target: Path) -> Path:
    """The home on which the dialogue is played."""
    copy_corpus(target)
    (target / "config.toml").write_text(CONFIG)
    return target


def golden(name: str = "golden") -> list[Exchange]:
    """What the real Codex said to one of :data:`SCRIPTS`."""
    recorded: list[Exchange] = json.loads(_file(name).read_text("utf-8"))
    return recorded


def _file(name: str) -> Path:
    return GOLDEN.with_name(f"{name}.json")


def text(exchanges: Sequence[Exchange]) -> str:
    """How a record is written."""
    lines = [json.dumps(one, ensure_ascii=False) for one in exchanges]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def command(binary: str) -> list[str]:
    """How an app-server is started."""
    return [binary, "app-server", "--listen", "stdio://"]


def main() -> None:
    binary = os.environ["THREADKEEP_CODEX_BIN"]
    for name in sys.argv[1:] or SCRIPTS:
        with tempfile.TemporaryDirectory() as folder:
            home = sample_home(Path(folder) / "home")
            told: list[Any] = dialogue(command(binary), home, SCRIPTS[name](), quiet=0.3)
        _file(name).write_text(text(told), "utf-8")


if __name__ == "__main__":
    main()
