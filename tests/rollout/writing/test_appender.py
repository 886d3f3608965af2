"""Every line once, whole and in order, whatever the disk and others do meanwhile."""

import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import DamagedCompression, NotAppendable
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.reader import LineReader, open_rollout
from rollout.jsonl.sources import FileSource, MemorySource
from rollout.writing.appender import RolloutAppender, encoded, last_ordinal, plain_file, timestamp

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["fits", "full", "full", "gone", "foreign"]),
        st.integers(0, 4),
        st.integers(0, 400),
    ),
    max_size=8,
)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let the system refuse to write beyond ``size``, in the middle of a line if need be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def readable(path: Path) -> list[dict[str, Any]]:
    """The objects in a file, line by line."""
    with open_rollout(path) as stream:
        lines = [line for line in LineReader().lines(stream) if isinstance(line, Line)]
    parsed = [parse_line(line) for line in lines]
    return [item for item in parsed if item is not None and not isinstance(item, BadLine)]


@given(steps=STEPS, before=st.sampled_from([None, b"", b'{"a":1}\n', b'{"a":1}\n{"to', b"\0\0"]))
def test_each_line_once_in_order_whatever_fails(
    steps: list[tuple[str, int, int]], before: bytes | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a", "b", "r.jsonl")
        if before is not None:
            path.parent.mkdir(parents=True)
            path.write_bytes(before)
        writer = RolloutAppender(path, new=before is None, next_ordinal=0)
        given_, acknowledged, others = 0, 0, 0
        for what, count, room in steps:
            items = [
                {"type": "x", "payload": {"n": given_ + at, "text": "ö" * room}}
                for at in range(count)
            ]
            lines, given_ = writer.encode(items), given_ + count
            size = path.stat().st_size if path.exists() else 0
            aside = path.with_suffix(".aside")
            try:
                if what == "full":
                    with no_file_beyond(size + room):
                        writer.write(lines)
                elif what == "gone" and path.exists() and (lines or writer.waiting):
                    path.rename(aside)
                    with pytest.raises(NotAppendable, match="moved or removed"):
                        writer.write(lines)
                    continue
                else:
                    if what == "foreign" and path.exists():
                        others += 1
                        with path.open("ab") as file:
                            file.write(b'{"foreign":1}\n')
                    writer.write(lines)
            except OSError:
                assert what == "full"
            else:
                acknowledged = given_
            finally:
                if aside.exists():
                    aside.rename(path)
            if path.exists():  # what was acknowledged is there whatever happens later
                numbers = [item["payload"]["n"] for item in readable(path) if "payload" in item]
                assert numbers[:acknowledged] == list(range(acknowledged))
        writer.write([])
        assert writer.waiting == 0
        if before is None and not given_:
            assert not path.exists()
            return
        found = [item for item in readable(path) if item.get("type") == "x"]
        assert [item["payload"]["n"] for item in found] == list(range(given_))
        assert [item["ordinal"] for item in found] == list(range(given_))
        torn = path.read_bytes().count(b'"foreign":1}\n')
        assert torn == others
        if not others:
            front = b"" if before is None else before
            front += b"" if not front or front.endswith(b"\n") or not given_ else b"\n"
            assert path.read_bytes().startswith(front)
            assert path.read_bytes()[len(front) :].count(b"\n") == given_


def test_a_line_cut_by_a_full_disk_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    writer = RolloutAppender(path, new=True, next_ordinal=None)
    lines = writer.encode([{"type": "a", "payload": {"n": n}} for n in range(3)])
    with no_file_beyond(len(lines[0]) + 5), pytest.raises(OSError, match="File too large"):
        writer.write(lines)
    assert path.read_bytes() == lines[0] + lines[1][:5]
    assert writer.waiting == 2
    assert writer.take_written() == (0, [len(lines[0])])
    writer.write([], durable=True)
    assert path.read_bytes() == b"".join(lines)
    assert writer.take_written().start == len(lines[0])


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"what somebody else has written\n")
    writer = RolloutAppender(path, new=True, next_ordinal=None)
    with pytest.raises(NotAppendable, match="another file"):
        writer.write([b"{}\n"])
    assert path.read_bytes() == b"what somebody else has written\n"


def test_a_file_put_in_the_place_of_ours_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    writer = RolloutAppender(path, new=True, next_ordinal=None)
    writer.write([b"{}\n"])
    path.rename(tmp_path / "ours")
    path.write_bytes(b"{}\n")
    with pytest.raises(NotAppendable, match="another file"):
        writer.write([b"{}\n"])
    assert path.read_bytes() == b"{}\n"


def test_lines_are_spelt_as_codex_spells_them() -> None:
    item = {
        "type": "event_msg",
        "payload": {"text": 'ä"\n\u2028'},
        "timestamp": "old",
        "ordinal": 9,
    }
    assert encoded(item, "now", 3).decode() == (
        '{"timestamp":"now","ordinal":3,"type":"event_msg","payload":{"text":"ä\\"\\n\u2028"}}\n'
    )
    assert encoded({"type": "a", "payload": {}, "metadata": {"x": 1}}, "now", None) == (
        b'{"timestamp":"now","type":"a","payload":{},"metadata":{"x":1}}\n'
    )
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    for value in (2**70, "\ud800", deep):
        line = encoded({"type": "a", "payload": {"v": value}}, "now", None)
        assert line.count(b"\n") == 1
        assert json.loads(line)["payload"]


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, float, [2**70, float("nan")]])
def test_what_is_no_json_is_refused_and_counts_for_nothing(value: object, tmp_path: Path) -> None:
    writer = RolloutAppender(tmp_path / "r.jsonl", new=True, next_ordinal=5)
    with pytest.raises(NotAppendable, match="cannot be written"):
        writer.encode([{"type": "a", "payload": {}}, {"type": "a", "payload": {"v": value}}])
    assert writer.next_ordinal == 5


def test_the_time_of_a_line_has_three_digits_after_the_second() -> None:
    stamp = timestamp()
    assert len(stamp) == len("2026-10-15T07:00:08.296Z")
    read = time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")
    assert stamp[19] == "."
    assert stamp[23:] == "Z"
    assert read.tm_year >= 2026


def test_the_next_ordinal_follows_the_last_line_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"ordinal":0}\n{"ordinal":41,"type":"a"}\n\n{"ordinal":42,"ty')
    assert last_ordinal(FileSource(path)) == 41
    assert last_ordinal(MemorySource()) is None
    for last in ({}, {"ordinal": "7"}, {"ordinal": True}, {"ordinal": -1}):
        with pytest.raises(LookupError):
            last_ordinal(MemorySource([{"ordinal": 3}, last]))


def test_a_compressed_rollout_becomes_a_plain_one(tmp_path: Path) -> None:
    content = b"".join(b'{"a":%d}\n' % number for number in range(100_000))
    compressed = tmp_path / "r.jsonl.zst"
    compressed.write_bytes(zstandard.ZstdCompressor().compress(content))
    compressed.chmod(0o600)
    plain = plain_file(compressed)
    assert plain == tmp_path / "r.jsonl"
    assert plain.read_bytes() == content
    assert plain.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["r.jsonl"]
    assert plain_file(plain) == plain


def test_a_damaged_compressed_rollout_stays_as_it_is(tmp_path: Path) -> None:
    compressed = tmp_path / "r.jsonl.zst"
    data = zstandard.ZstdCompressor().compress(os.urandom(50_000))[:-100]
    compressed.write_bytes(data)
    with pytest.raises(DamagedCompression):
        plain_file(compressed)
    assert os.listdir(tmp_path) == ["r.jsonl.zst"]
    assert compressed.read_bytes() == data


def test_no_room_for_the_plain_form_changes_nothing(tmp_path: Path) -> None:
    compressed = tmp_path / "r.jsonl.zst"
    compressed.write_bytes(zstandard.ZstdCompressor().compress(b"{}\n" * 50_000))
    with no_file_beyond(10_000), pytest.raises(OSError, match="File too large"):
        plain_file(compressed)
    assert os.listdir(tmp_path) == ["r.jsonl.zst"]
