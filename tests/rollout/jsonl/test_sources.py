"""Sources in memory and in files give the same, in both directions."""

import json
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.sources import FileSource, MemorySource, RolloutSource, session_meta
from rollout.writing.appender import RolloutAppender, encoded
from tests.samples.rollouts import CORPUS, corpus_rollouts

ITEMS = st.builds(
    lambda kind, text: {"type": kind, "payload": {"text": text}},
    st.sampled_from(["session_meta", "event_msg", "unheard_of"]),
    st.sampled_from(["", "ä\n", "long " * 30]),
)
GARBAGE = st.sampled_from(
    [b"", b"{", b"null", b"[1]", b"\xff\xfe", b"\0" * 700, b"\0{}", b"x" * 300, b'{"a":1}x']
)
LINES = st.lists(st.one_of(ITEMS.map(lambda item: json.dumps(item).encode()), GARBAGE), max_size=9)
RANGES = st.tuples(st.integers(0, 10), st.one_of(st.none(), st.integers(0, 12)))


def everything(source: RolloutSource) -> list[tuple[int, dict[str, Any]]]:
    """All that a source gives, checked to be the same backwards."""
    found = list(source.items())
    assert list(source.backwards()) == found[::-1]
    return found


def by_definition(lines: list[bytes]) -> list[tuple[int, dict[str, Any]]]:
    """Each line by its number, if it is an object."""
    parsed = [(number, parse_line(Line(0, line))) for number, line in enumerate(lines)]
    return [(at, item) for at, item in parsed if item is not None and not isinstance(item, BadLine)]


@given(items=st.lists(ITEMS, max_size=9), part=RANGES)
def test_memory_and_file_agree_on_any_range(
    items: list[dict[str, Any]], part: tuple[int, int | None]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "r.jsonl")
        path.write_bytes(b"".join(json.dumps(item).encode() + b"\n" for item in items))
        memory, file = MemorySource(items), FileSource(path)
        assert len(memory) == len(file) == len(items)
        expected = list(enumerate(items))[slice(*part)]
        for source in (memory, file):
            assert list(source.items(*part)) == expected
            assert list(source.backwards(*part)) == expected[::-1]
            assert session_meta(source) == next(
                (item for item in items if item["type"] == "session_meta"), None
            )


@given(lines=LINES, ended=st.booleans(), part=RANGES)
def test_lines_that_cannot_be_read_keep_their_number(
    lines: list[bytes], ended: bool, part: tuple[int, int | None]
) -> None:
    data = b"\n".join(lines) + (b"\n" if lines and ended else b"")
    expected = by_definition(lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "r.jsonl")
        path.write_bytes(data)
        source = FileSource(path)
        assert everything(source) == expected
        there = range(*slice(*part).indices(len(lines)))
        assert list(source.items(*part)) == [(at, item) for at, item in expected if at in there]
        packed = Path(folder, "r.jsonl.zst")
        packed.write_bytes(zstandard.ZstdCompressor().compress(data or b"\n"))
        with FileSource(packed) as compressed:
            assert everything(compressed) == expected


@given(before=LINES, torn=st.booleans(), foreign=LINES, more=st.lists(ITEMS, max_size=4))
def test_a_source_follows_its_writer(
    before: list[bytes], torn: bool, foreign: list[bytes], more: list[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "r.jsonl")
        path.write_bytes(b"\n".join(before) + (b"" if torn else b"\n"))
        source = FileSource(path)
        writer = RolloutAppender(path, new=False, next_ordinal=None)
        for item in more:
            writer.write([encoded(item, "now", None)])
            source.append(*writer.take_written())
            with path.open("ab") as file:  # as Codex does when a memory mode is set
                file.writelines(line + b"\n" for line in foreign)
        writer.write([encoded({"type": "last"}, "now", None)])
        source.append(*writer.take_written())
        afresh = FileSource(path)
        assert everything(source) == everything(afresh)
        assert len(source) == len(afresh)


def test_lines_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    sizes = [10, 300_000, 200_000, 50_000, 10, 10, 1_000_000, 0, 262_100, 40, 3]
    lines = [b"{" if not size else encoded({"a": "b" * size}, "now", None) for size in sizes]
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"".join(line.rstrip() + b"\n" for line in lines))
    with FileSource(path) as source:
        assert everything(source) == by_definition(lines)
        for start in range(len(lines)):
            assert [at for at, _ in source.backwards(start, start + 2)] == [
                at for at in (start + 1, start) if at < len(lines) and sizes[at]
            ]


def test_a_source_follows_a_file_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "day" / "r.jsonl"
    writer = RolloutAppender(path, new=True, next_ordinal=0)
    source = FileSource(path, new=True)
    assert len(source) == 0
    for number in range(3):
        writer.write(writer.encode([{"type": "a", "payload": {"number": number}}] * 2))
        source.append(*writer.take_written())
        assert [item["ordinal"] for _, item in everything(source)] == list(range(2 * number + 2))


def test_every_line_of_the_corpus_is_given() -> None:
    for path in corpus_rollouts():
        data = (CORPUS / path).read_bytes()
        if path.endswith(".zst"):
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        with FileSource(CORPUS / path) as source:
            assert everything(source) == by_definition(data.split(b"\n")), path


def test_enriching_is_seen_by_all_and_changes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    items: list[dict[str, Any]] = [
        {"type": "session_meta", "payload": "no object"},
        {"type": "session_meta", "payload": {"id": "a"}},
        {"type": "session_meta", "payload": {"id": "b"}},
    ]
    path.write_bytes(b"".join(json.dumps(item).encode() + b"\n" for item in items))
    before = path.read_bytes()
    for source in (MemorySource(items), FileSource(path)):
        source.enrich(git={"branch": "main"})
        source.enrich(name="n")
        with closing(source):
            found = [item for _, item in everything(source)]
        assert found[1]["payload"] == {"id": "a", "git": {"branch": "main"}, "name": "n"}
        assert [found[0], found[2]] == [items[0], items[2]]
    assert items[1]["payload"] == {"id": "a"}
    assert path.read_bytes() == before


def test_nothing_to_enrich_and_no_such_index_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"{}\n")
    for source in (MemorySource([{}]), FileSource(path)):
        with pytest.raises(LookupError):
            source.enrich(git={})
        with pytest.raises(ValueError, match="begin at 0"):
            list(source.items(-1))
        with pytest.raises(ValueError, match="begin at 0"):
            list(source.backwards(0, -1))
