"""The two history modes of a thread."""

from typing import Final

LEGACY: Final = "legacy"
PAGINATED: Final = "paginated"
MODES: Final = (LEGACY, PAGINATED)
"""The history modes that can be written."""
