"""The extractor's version. Apart from the extractor, so that asking is cheap."""

from typing import Final

EXTRACTOR_VERSION: Final = 5
"""Raise it when a change in this room changes the facts of any file: rows of another version
are extracted afresh."""
