"""The version of the extractor, in a module of its own so that importing it is cheap."""

from typing import Final

EXTRACTOR_VERSION: Final = 6
"""Raise it when a change in this package changes the metadata of any file: rows of another version
are extracted again. The other two numbers of this kind are ``VERSION`` in ``state.fulltext.due``
(messages) and in ``state.turns.store`` (turns and items)."""
