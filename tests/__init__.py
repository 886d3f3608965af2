"""The tests lie as the code lies; ``support`` and ``samples`` are what they share."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FIXTURES: Final = ROOT / "tests" / "fixtures"
