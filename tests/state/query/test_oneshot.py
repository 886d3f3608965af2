"""One-shot reads give what the open index gives, or nothing if that may be out of date."""

from pathlib import Path

import pytest

from state.errors import AmbiguousThread
from state.query.oneshot import IndexReader
from tests.support.command import thread_id, write_rollout
from tests.support.indexes import empty_index, in_index


def test_a_reference_means_a_thread_only_as_long_as_its_file_stays(tmp_path: Path) -> None:
    home, index = tmp_path / "home", tmp_path / "index.sqlite3"
    files = [write_rollout(home, number) for number in (1, 2)]
    empty_index(index)
    in_index(home, index, lambda opened: opened.backfill())
    with IndexReader.opened(home, index) as reader:
        assert reader
        for reference in (thread_id(1), str(files[0])):
            row = reader.thread(reference)
            assert row
            assert row["id"] == thread_id(1)
        assert reader.thread(thread_id(3)) is None
        with pytest.raises(AmbiguousThread):
            reader.thread(thread_id(1)[:8])
    with files[0].open("a") as file:
        file.write("\n")
    with IndexReader.opened(home, index) as reader:
        assert reader is None
    with IndexReader.opened(home, index, scan=False) as reader:
        assert reader
        assert reader.thread(thread_id(1)) is None
        assert reader.thread(thread_id(2))
