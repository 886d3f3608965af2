"""Codex's database of the corpus."""

from pathlib import Path

import pytest

from tests.state.codex.databases import Codex


@pytest.fixture
def codex(corpus_home: Path, tmp_path: Path) -> Codex:
    """The genuine database of the corpus home."""
    return Codex.of(corpus_home, tmp_path)
