"""Small files that ask for very much: of time, by what they expand to, or of memory."""

import json
import struct
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import pytest
import zstandard

from rollout.errors import DamagedCompression, ExpandsTooFar
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.zstd import Limits, ZstdContent
from tests.samples.rollouts import content, user
from tests.support.command import Inside, thread_id, write_rollout

MAGIC = struct.pack("<I", 0xFD2FB528)


def block(character: bytes, count: int, *, last: bool = False) -> bytes:
    """A block of one character over and over, in four bytes."""
    return ((count << 3) | 2 | last).to_bytes(3, "little") + character


def frame(*blocks: bytes, window_log: int = 20, dictionary: int | None = None) -> bytes:
    """A frame that does not say how long its content is."""
    window = bytes([(window_log - 10) << 3])
    if dictionary is None:
        return MAGIC + b"\0" + window + b"".join(blocks)
    return MAGIC + b"\3" + window + struct.pack("<I", dictionary) + b"".join(blocks)


def skipped(size: int) -> bytes:
    """A frame that holds nothing."""
    return struct.pack("<II", 0x184D2A50, size) + b"\0" * size


SMALL = Limits(free_bytes=2**22, free_lines=2**10)


def read(data: bytes, limits: Limits = SMALL) -> tuple[int, DamagedCompression | None]:
    """How much content comes of it, and what ends it."""
    stream, buffer, count = ZstdContent(BytesIO(data), limits), memoryview(bytearray(2**14)), 0
    try:
        while got := stream.readinto(buffer):
            count += got
    except DamagedCompression as error:
        return count, error
    return count, None


LONGEST = 2**17


@pytest.mark.parametrize(
    "bomb",
    [
        frame(*[block(b"x", LONGEST)] * 400, block(b"x", 1, last=True)),
        frame(*[block(b"\n", LONGEST)] * 9, block(b"\n", 1, last=True)),
        frame(block(b"\n", LONGEST, last=True)) * 9,
        frame(block(b"\n", LONGEST, last=True), dictionary=0) * 9,
        (skipped(0) + frame(block(b"\n", LONGEST, last=True))) * 9,
    ],
    ids=["one long line", "empty lines", "many frames", "dictionary frames", "skippable frames"],
)
def test_a_small_file_expands_so_far_and_no_further(bomb: bytes) -> None:
    count, error = read(bomb)

    assert isinstance(error, ExpandsTooFar)
    assert error.offset == count
    assert str(error).startswith(f"the content expands beyond {count:,} bytes")
    assert 0 < count < 8 * 2**20
    assert count < read(bomb, Limits(free_bytes=2**30, free_lines=2**30))[0]


@pytest.mark.parametrize(
    ("text", "count", "step_ms"),
    [("", 20_000, 1), ("", 20_000, 1000), ("y\\n" * 13_000, 1_000, 777)],
    ids=["a line each millisecond", "a line each second", "outputs of yes"],
)
def test_what_rollouts_shrink_to_is_read_whole(text: str, count: int, step_ms: int) -> None:
    lines = BytesIO()
    with zstandard.ZstdCompressor().stream_writer(lines, closefd=False) as packed:
        for number in range(count):
            seconds, ms = divmod(number * step_ms, 1000)
            time = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"
            call = blake2b(b"%d" % number, digest_size=18).hexdigest() if text else ""
            at = f'{{"timestamp":"2026-11-20T{time}Z","type":"event_msg","payload":'
            packed.write(f'{at}{{"call_id":"{call}","output":"{text}"}}}}\n'.encode())

    assert read(lines.getvalue())[1] is None


def test_a_frame_may_not_ask_for_more_memory_than_is_usual() -> None:
    usual = frame(block(b"x", 9, last=True), window_log=27)
    greedy = frame(block(b"x", 9, last=True), window_log=31)

    assert read(usual) == (9, None)
    count, error = read(greedy)
    assert count == 0
    assert "too much memory" in str(error)


def test_frames_that_hold_nothing_are_no_content() -> None:
    assert read(skipped(0) * 10_000)[0] == 0
    assert read(skipped(3) + frame(block(b"x", 9, last=True)) + skipped(2)) == (9, None)


@pytest.mark.parametrize(
    "value",
    [
        '{"a":1}',
        pytest.param("{}", marks=pytest.mark.full),
        pytest.param('""', marks=pytest.mark.full),
        '{"":[[]]}',
    ],
)
def test_a_line_of_very_many_values_is_a_bad_line(value: str) -> None:
    line = f'{{"x":[{",".join([value] * 2_200_000)}]}}'.encode()

    assert parse_line(Line(5, line)) == BadLine(5, "more than 2,097,152 values")


def test_a_line_of_a_long_text_that_looks_like_many_values_is_read() -> None:
    text = '{"a":[1,2]},' * 400_000

    assert parse_line(Line(0, json.dumps({"text": text}).encode())) == {"text": text}


@pytest.fixture
def bombed(tmp_path: Path) -> Inside:
    """A home with a bomb, between a first message and a last one, and a thread beside it."""
    home = tmp_path / "home"
    write_rollout(home, 1, "of the other thread")
    path = write_rollout(home, 2, "of the bomb")
    data = path.read_bytes() + b"\n" * 300_000 + content(user("at the very end"))
    path.with_name(f"{path.name}.zst").write_bytes(zstandard.ZstdCompressor().compress(data))
    path.unlink()
    return Inside(home, tmp_path)


def test_a_bomb_is_a_finding_and_the_next_file_is_read(bombed: Inside) -> None:
    assert [*bombed.ids()] == [thread_id(2), thread_id(1)]
    status = bombed.run("status", "--json").json
    assert "expands beyond" in json.dumps(status)
    assert bombed.run("search", "bomb", "--json").json["data"]
    bombed.run("search", "very end", status=1)
    codes = bombed.run("verify", "--deep", "--json", status=1).json["codes"]
    assert codes == {"damaged_lines": 1}


def test_a_bomb_is_shown_up_to_there_and_wholly_when_that_is_asked_for(bombed: Inside) -> None:
    ran = bombed.run("show", thread_id(2))
    assert "of the bomb" in ran.out
    assert "at the very end" not in ran.out
    assert "expands beyond" in ran.err
    assert "--force" in ran.err
    ran = bombed.run("export", thread_id(2), "--force")
    assert "at the very end" in ran.out
    assert "expands beyond" not in ran.err
    assert "cannot be read" not in ran.out
