"""Which schema revisions this program knows. Apart from the schema, so that asking is cheap."""

from typing import Final

REVISIONS: Final = ("v0001", "v0002", "v0003", "v0004", "v0005", "v0006", "v0007", "v0008", "v0009")
"""Every released revision, oldest first."""

HEAD: Final = REVISIONS[-1]
"""Newest revision in ``migrations``; a test keeps the two equal."""
