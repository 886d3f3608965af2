"""A line to its object, leniently."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.jsonl.parse import BadLine, Line, parse_line
from tests.samples.rollouts import (
    CORPUS,
    content,
    corpus_rollouts,
    user,
)
from tests.support.effort import examples

CASES = examples(200)


PLAIN_CORPUS = [path for path in corpus_rollouts() if path.endswith(".jsonl")]


def parsed(data: bytes) -> object:
    """The object, None, or the reason why there is none."""
    value = parse_line(Line(0, data))
    return value.reason if isinstance(value, BadLine) else value


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1}',
        b'{"a":1}\r',
        b' \t{"a" : 1} \t',
        b'\0\0\0{"a":1}',
        b'{"a":1}\0\0\0',
        b'\xef\xbb\xbf{"a":1}',
        b'\0\xef\xbb\xbf {"a":1}\r',
        bytearray(b'{"a":1}'),
    ],
)
def test_what_stands_around_an_object_does_not_matter(data: bytes) -> None:
    assert parsed(data) == {"a": 1}


@pytest.mark.parametrize("data", [b"", b"\r", b" \t", b"\0", b"\0" * 5000, b"\0 \0\r"])
def test_white_space_and_nuls_are_blank(data: bytes) -> None:
    assert parsed(data) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"5", "a JSON number, not an object"),
        (b"[{}]", "a JSON array, not an object"),
        (b"null", "a JSON null, not an object"),
        (b"true", "a JSON boolean, not an object"),
        (b'"text"', "a JSON string, not an object"),
        (b'{"a":1}{"b":2}', "not valid JSON: Extra data"),
        (b'{"a":1', "not valid JSON: "),
        (b"{a:1}", "not valid JSON: "),
        (b"\xff\xff", "not valid JSON: "),
        (b"[" * 100_000, "n"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_object_is_reported_with_its_reason(data: bytes, reason: str) -> None:
    found = parsed(data)
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_a_bad_line_is_reported_with_its_place() -> None:
    assert parse_line(Line(77, b"[]")) == BadLine(77, "a JSON array, not an object")


def test_bytes_that_are_not_utf8_are_replaced_and_the_rest_is_kept() -> None:
    assert parsed(b'{"a":"x\xffy","b":"\xc3\xa4"}') == {"a": "x\ufffdy", "b": "ä"}


def test_a_lone_surrogate_is_replaced() -> None:
    assert parsed(rb'{"a":"\ud83d!","b":"\ud83d\ude00"}') == {"a": "?!", "b": "😀"}


def test_control_characters_in_strings_are_put_up_with() -> None:
    assert parsed(b'{"a":"x\0y\tz"}') == {"a": "x\0y\tz"}


def test_an_inline_image_in_a_huge_line_is_not_kept() -> None:
    picture = b"data:image/png;base64," + b"A" * (3 * 2**20)
    data = b'{"text":"hello","images":["' + picture + b'"],"quoted":"\\"data:,"}'
    found = parsed(data)
    assert found == {"text": "hello", "images": ["data:image/png;base64,"], "quoted": '"data:,'}


def test_a_huge_line_without_an_image_is_kept_whole() -> None:
    data = content(user("x" * (2 * 2**20)))
    assert parsed(data.rstrip(b"\n")) == user("x" * (2 * 2**20))


@CASES
@given(st.binary(max_size=300))
def test_no_bytes_make_parsing_fail(data: bytes) -> None:
    assert isinstance(parse_line(Line(0, data)), dict | BadLine | None)


def corpus_lines() -> Iterator[bytes]:
    """A few lines of each kind that occurs in the corpus."""
    for path in PLAIN_CORPUS[::5]:
        yield from (CORPUS / path).read_bytes().split(b"\n")[:12]


REAL_LINES = sorted({line[:3000] for line in corpus_lines()})


@CASES
@given(
    st.sampled_from(REAL_LINES),
    st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=3)), min_size=1, max_size=4),
)
def test_no_damage_to_a_real_line_makes_parsing_fail(
    line: bytes, changes: list[tuple[int, bytes]]
) -> None:
    for place, piece in changes:
        line = line[:place] + piece + line[place + len(piece) :]
    assert isinstance(parse_line(Line(0, line)), dict | BadLine | None)
