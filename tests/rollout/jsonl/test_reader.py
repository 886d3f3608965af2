"""Bytes to lines, whatever the bytes are."""

import re
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import rollout.jsonl.reader
from rollout.errors import DamagedCompression
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.reader import HEAD_BYTES, LineReader, open_rollout
from tests.samples import strategies
from tests.samples.rollouts import (
    CORPUS,
    MemoryStream,
    content,
    corpus_rollouts,
    envelope,
    meta,
    read_lines,
    response,
    tokens,
    user,
)
from tests.support.each import each
from tests.support.effort import examples

CASES = examples(200)
buffers = st.integers(HEAD_BYTES, 5000)
BLANK = b" \t\r\0"
PLAIN_CORPUS = [path for path in corpus_rollouts() if path.endswith(".jsonl")]


class Skip:
    """Needs that pass over what the pattern matches."""

    def __init__(self, pattern: bytes) -> None:
        self.skip = re.compile(pattern)


def split(data: bytes) -> list[Line]:
    """What a reader must give, by the simplest means."""
    *whole, tail = data.split(b"\n")
    lines, offset = [], 0
    for piece in whole:
        lines.append(Line(offset, piece))
        offset += len(piece) + 1
    return [*lines, Line(offset, tail, ended=False)] if tail else lines


def agree(given_lines: list[Line | BadLine], data: bytes, buffer_bytes: int) -> None:
    """Assert that the lines are those of ``data``.

    Of a line that fills the buffer, leading NULs and blanks may have been dropped; and if it
    is no object anyway, it may have been reported instead of given.
    """
    expected = split(data)
    if len(given_lines) == len(expected) - 1:
        tail = expected.pop()
        assert not tail.ended
        assert len(tail.data) >= buffer_bytes
        assert not tail.data.strip(BLANK)
    assert len(given_lines) == len(expected)
    for got, want in zip(given_lines, expected, strict=True):
        if len(want.data) < buffer_bytes:
            assert got == want
        elif isinstance(got, Line):
            assert got.data.lstrip(BLANK) == want.data.lstrip(BLANK)
            assert got.ended == want.ended
            assert want.offset <= got.offset <= want.offset + len(want.data)
        else:
            assert got.offset == want.offset
            assert isinstance(parse_line(want), BadLine)


@CASES
@given(strategies.byte_lines(), buffers)
def test_the_lines_are_those_that_newlines_make_whatever_the_buffer(
    data: bytes, buffer_bytes: int
) -> None:
    agree(read_lines(data, buffer_bytes), data, buffer_bytes)


@CASES
@given(strategies.rollout_bytes(), buffers)
def test_the_lines_of_a_rollout_are_those_that_newlines_make(
    data: bytes, buffer_bytes: int
) -> None:
    agree(read_lines(data, buffer_bytes), data, buffer_bytes)


@CASES
@given(strategies.byte_lines(), buffers, st.integers(0, 10_000), st.booleans())
def test_the_end_is_after_the_last_newline_skipping_or_not(
    data: bytes, buffer_bytes: int, offset: int, skipping: bool
) -> None:
    reader = LineReader(buffer_bytes)
    needs = Skip(rb"\{|z|\0*$") if skipping else None
    for _ in reader.lines(MemoryStream(data), offset, needs):
        pass
    assert reader.end_offset == offset + data.rfind(b"\n") + 1


@CASES
@given(strategies.byte_lines(), buffers, st.data())
def test_a_file_cut_at_any_byte_has_a_prefix_of_the_lines(
    data: bytes, buffer_bytes: int, draw: st.DataObject
) -> None:
    """The torn line of the cut file is marked where a Line tells it."""
    cut = data[: draw.draw(st.integers(0, len(data)))]
    whole = read_lines(data, buffer_bytes)
    part = read_lines(cut, buffer_bytes)
    ended = cut.count(b"\n")
    assert part[:ended] == whole[:ended]
    assert len(part) <= ended + 1
    for line in part[ended:]:
        assert isinstance(line, BadLine) or not line.ended


@CASES
@given(strategies.byte_lines(), buffers)
def test_skipping_leaves_exactly_the_lines_that_do_not_match(
    data: bytes, buffer_bytes: int
) -> None:
    """A torn line is always given, but for a long one that is needless, which is told."""
    pattern = Skip(rb'\{"a":"|zz')
    everything = read_lines(data, buffer_bytes)
    needed = read_lines(data, buffer_bytes, pattern)
    kept = [
        line
        for line in everything
        if isinstance(line, Line)
        and (
            pattern.skip.match(line.data) is None
            or (
                not (line.ended and line.data.endswith(b"}"))
                and len(line.data) + line.ended <= buffer_bytes - (not line.ended)
            )
        )
    ]
    assert [line for line in needed if isinstance(line, Line)] == kept


def test_a_pattern_may_change_after_each_line_that_was_given() -> None:
    needs = Skip(rb"(?!)")
    lines = LineReader(600).lines(MemoryStream(b"a\nb}\na\nb}\nb\n"), needs=needs)
    assert next(lines) == Line(0, b"a")
    needs.skip = re.compile(rb"b")
    assert next(lines) == Line(5, b"a")
    assert list(lines) == [Line(10, b"b")], "which is torn, as it does not end as an object does"


def test_a_reader_serves_one_file_after_another() -> None:
    """What was left over of a reading that was given up does not show in the next."""
    reader = LineReader(600)
    unfinished = reader.lines(MemoryStream(b"first\n" + b"{" * 5000))
    assert next(unfinished) == Line(0, b"first")
    assert list(reader.lines(MemoryStream(b"a\nb"))) == [Line(0, b"a"), Line(2, b"b", False)]


def test_offsets_begin_where_the_stream_begins() -> None:
    lines = list(LineReader(600).lines(MemoryStream(b"a\nbc\nd"), 1000))
    assert lines == [Line(1000, b"a"), Line(1002, b"bc"), Line(1005, b"d", False)]


def test_an_empty_file_has_no_lines() -> None:
    reader = LineReader(600)
    assert list(reader.lines(MemoryStream(b""))) == []
    assert reader.end_offset == 0


@pytest.mark.parametrize("count", [600, 1199, 1200, 1201, 10_000])
def test_more_nuls_than_the_buffer_holds_do_not_hide_what_follows(count: int) -> None:
    """A crash leaves such padding; it need not be kept in memory."""
    data = content(meta()) + b"\0" * count + content(user("x"))
    first, second = read_lines(data, 600)
    assert isinstance(first, Line)
    assert isinstance(second, Line)
    assert parse_line(first) == meta()
    assert parse_line(second) == user("x")


@pytest.mark.parametrize("count", [10, 600, 1200, 5000])
def test_a_line_of_white_space_is_blank_however_long(count: int) -> None:
    (line,) = read_lines(b" " * count + b"\n", 600)
    assert isinstance(line, Line)
    assert parse_line(line) is None


@pytest.mark.parametrize("count", [10, 600, 1200, 5000])
def test_white_space_before_an_object_does_not_matter_however_long(count: int) -> None:
    (line,) = read_lines(b" " * count + content(meta()), 600)
    assert isinstance(line, Line)
    assert parse_line(line) == meta()


@pytest.mark.parametrize("length", [511, 512, 513, 599, 600, 601, 1199, 1200, 1201, 9999])
def test_a_line_about_as_long_as_the_buffer_is_whole(length: int) -> None:
    long = b'{"a":"' + b"x" * (length - 8) + b'"}'
    data = b"{}\n" + long + b"\n[]\n" + long
    assert [line.offset for line in read_lines(data, 600)] == [0, 3, length + 4, length + 7]
    agree(read_lines(data, 600), data, 600)


def sparse(path: Path, head: bytes, size: int, tail: bytes = b"") -> None:
    """A file of ``size`` bytes whose one line begins with ``head`` and ends with ``tail``; takes
    no room on disk."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size - 1)
        file.seek(size - 1 - len(tail))
        file.write(tail + b"\n")


def traced(path: Path, needs: Skip | None) -> tuple[list[Line | BadLine], int]:
    """The lines of a file, and the most memory that reading them took."""
    with open_rollout(path) as stream:
        tracemalloc.start()
        try:
            lines = list(LineReader().lines(stream, 0, needs))
            return lines, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_a_needless_line_of_50_mb_is_passed_over_without_being_kept(tmp_path: Path) -> None:
    torn = BadLine(0, "a line that ends in its middle")
    for tail, told in ((b'"}', []), (b"", [torn])):
        sparse(tmp_path / "f", b'{"needless":"', 50 * 2**20, tail)
        lines, peak = traced(tmp_path / "f", Skip(rb'\{"needless'))
        assert lines == told
        assert peak < 2**20


def test_a_long_line_that_is_no_object_is_reported_without_being_kept(tmp_path: Path) -> None:
    sparse(tmp_path / "f", b"garbage", 20 * 2**20)
    lines, peak = traced(tmp_path / "f", None)
    assert lines == [BadLine(0, "a long line that is no JSON object")]
    assert peak < 2**20


def test_a_line_beyond_the_limit_is_reported_and_the_next_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollout.jsonl.reader, "LONGEST_LINE", 2000)
    long = b"{" + b" " * 5000
    before, bad, after = read_lines(b"{}\n" + long + b"\n[]\n", 600)
    assert (before, after) == (Line(0, b"{}"), Line(len(long) + 4, b"[]"))
    assert bad == BadLine(3, "line longer than 2000 bytes")


def test_a_torn_line_beyond_the_limit_is_reported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout.jsonl.reader, "LONGEST_LINE", 2000)
    lines = read_lines(b"{}\n{" + b" " * 5000, 600)
    assert lines == [Line(0, b"{}"), BadLine(3, "line longer than 2000 bytes", False)]


def test_a_line_beyond_the_limit_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout.jsonl.reader, "LONGEST_LINE", 2**20)
    sparse(tmp_path / "f", b"{", 50 * 2**20)
    lines, peak = traced(tmp_path / "f", None)
    assert len(lines) == 1
    assert isinstance(lines[0], BadLine)
    assert peak < 4 * 2**20


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("buffer_bytes", [600, 256 * 1024])
def test_a_compressed_file_gives_the_lines_of_the_plain_one(
    tmp_path: Path, count: int, buffer_bytes: int
) -> None:
    """Several frames are one content; a line may go over their border."""
    data = content(meta(), *[response("x" * 700) for _ in range(500)], tokens(5), user("q"))
    size = len(data) // count + 1
    compress = zstandard.ZstdCompressor().compress
    frames = [compress(data[start : start + size]) for start in range(0, len(data), size)]
    assert len(frames) == count
    (tmp_path / "f.jsonl.zst").write_bytes(b"".join(frames))
    with open_rollout(tmp_path / "f.jsonl.zst") as stream:
        lines = list(LineReader(buffer_bytes).lines(stream))
    assert lines == split(data)


def test_a_compressed_file_can_be_begun_again_and_not_sought(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(b"a\nb\n"))
    with open_rollout(tmp_path / "f.jsonl.zst") as stream:
        reader = LineReader(600)
        first = next(reader.lines(stream))
        stream.seek(0)
        assert next(reader.lines(stream)) == first == Line(0, b"a")
        with pytest.raises(ValueError, match="from its beginning"):
            stream.seek(1)


def test_a_frame_without_content_is_put_up_with(tmp_path: Path) -> None:
    compress = zstandard.ZstdCompressor().compress
    (tmp_path / "f.zst").write_bytes(compress(b"") + compress(b"a\n") + compress(b""))
    with open_rollout(tmp_path / "f.zst") as stream:
        assert list(LineReader(600).lines(stream)) == [Line(0, b"a")]


def damaged_reading(path: Path, data: bytes) -> tuple[list[Line | BadLine], DamagedCompression]:
    """What a damaged file gives before the damage, and how that is told."""
    path.write_bytes(data)
    lines: list[Line | BadLine] = []

    def read() -> None:
        with open_rollout(path) as stream:
            lines.extend(LineReader(600).lines(stream))

    with pytest.raises(DamagedCompression) as caught:
        read()
    return lines, caught.value


def test_a_compressed_file_cut_short_gives_what_came_before(tmp_path: Path) -> None:
    data = content(*[meta(cwd=f"/{number}") for number in range(20_000)])
    whole = zstandard.ZstdCompressor().compress(data)
    lines, error = damaged_reading(tmp_path / "f.zst", whole[: len(whole) * 2 // 3])
    assert error.reason == "damaged zstd: cut short"
    assert 0 < error.offset < len(data)
    assert lines == split(data)[: len(lines)]
    assert len(lines) == data[: error.offset].count(b"\n")


@pytest.mark.parametrize("data", [b"", b"garbage", b"{}\n", b"\0" * 3000])
def test_garbage_in_a_compressed_file_is_damage_from_its_first_byte(
    tmp_path: Path, data: bytes
) -> None:
    lines, error = damaged_reading(tmp_path / "f.zst", data)
    assert (lines, error.offset) == ([], 0)


def test_garbage_after_a_frame_is_damage_after_its_content(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress(b"{}\n[]\n")
    lines, error = damaged_reading(tmp_path / "f.zst", frame + b"garbage")
    assert lines == [Line(0, b"{}"), Line(3, b"[]")]
    assert error.offset == 6


@examples(150)
@given(data=st.binary(max_size=200), cut=st.integers(0, 200), tail=st.binary(max_size=5))
def test_no_compressed_bytes_fail_but_as_damage(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int, tail: bytes
) -> None:
    """And of a frame that was only cut, a prefix of what was compressed is given."""
    path = tmp_path_factory.getbasetemp() / "any.zst"
    whole = zstandard.ZstdCompressor().compress(data)
    path.write_bytes(whole[:cut] + tail)
    lines: list[Line | BadLine] = []
    damaged = False
    try:
        with open_rollout(path) as stream:
            lines.extend(LineReader(600).lines(stream))
    except DamagedCompression:
        damaged = True
    if not tail:
        assert damaged == (cut < len(whole) or not data)
    if not tail or cut >= len(whole):
        assert lines == split(data)[: len(lines)]


def test_the_lines_of_real_files_do_not_depend_on_the_buffer() -> None:
    def same_by_any_buffer(path: str) -> None:
        data = (CORPUS / path).read_bytes()
        agree(read_lines(data, 1000), data, 1000)
        agree(read_lines(data, 2**18), data, 2**18)

    each(PLAIN_CORPUS[::4], same_by_any_buffer)


def test_a_line_is_judged_by_at_least_its_first_512_bytes() -> None:
    """Even by a reader that was given a smaller buffer."""
    data = content(envelope("x" * 300, {})) * 3
    assert read_lines(data, 1, Skip(rb'.{300}x*"')) == []
