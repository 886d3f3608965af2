"""One file to its metadata: whole, from where a pass ended, compressed."""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from rollout.jsonl.reader import HEAD_BYTES, LineReader
from rollout.metadata.extract import extract_file
from rollout.metadata.model import ToolMetadata
from rollout.metadata.outcomes import EarlierMetadata, Extracted, Unusable
from rollout.metadata.version import EXTRACTOR_VERSION
from tests.rollout.metadata.reading import TOOLS, earlier_of, go_on, told
from tests.samples import strategies
from tests.samples.rollouts import (
    CORPUS,
    FOREIGN_ID,
    agent,
    append,
    content,
    corpus_rollouts,
    encode,
    extracted,
    goal,
    meta,
    reduce_lines,
    response,
    rollout_name,
    rollout_path,
    tokens,
    turn,
    unusable,
    user,
    write_rollout,
)
from tests.support.each import each
from tests.support.effort import examples


def grown(home: Path, chunks: list[bytes], buffer_bytes: int = 2**18) -> None:
    """Let a file grow chunk by chunk and assert that it is known each time as if read anew."""
    path = write_rollout(home, b"")
    reader = LineReader(buffer_bytes)
    earlier: EarlierMetadata | None = None
    tools: list[ToolMetadata] | None = None
    for chunk in chunks:
        append(home, path, chunk)
        found = extract_file(home, path, earlier, reader)
        fresh = extract_file(home, path, None, reader)
        if isinstance(fresh, Unusable):
            assert found == fresh
            earlier = None
            continue
        assert isinstance(found, Extracted)
        assert told(found) == told(fresh)
        tools = found.tools if found.tools is not None else tools
        assert tools == fresh.tools
        earlier = earlier_of(found)


@st.composite
def chunked(draw: st.DrawFn) -> list[bytes]:
    """A rollout cut into pieces anywhere, in lines and between them."""
    data = draw(strategies.rollout_bytes())
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=6))
    borders = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in pairwise(borders)]


@examples(200)
@given(chunks=chunked(), buffer_bytes=st.integers(HEAD_BYTES, 3000))
@example(
    chunks=[content(meta()), encode(user("a"))[:50], content(user("a"))[50:]], buffer_bytes=600
)
@example(chunks=[content(meta()), b"x" * 2000, b"x\n"], buffer_bytes=600)
def test_a_file_that_grows_in_any_pieces_is_known_as_if_read_once(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], buffer_bytes: int
) -> None:
    grown(tmp_path_factory.mktemp("home"), chunks, buffer_bytes)


def test_real_files_that_grow_are_known_as_if_read_once(tmp_path: Path) -> None:
    def grows(path: str) -> None:
        data = (CORPUS / path).read_bytes()
        step = len(data) // 7 + 1
        home = tmp_path / Path(path).stem
        grown(home, [data[start : start + step] for start in range(0, len(data), step)])

    each([path for path in corpus_rollouts() if path.endswith("l")][::5], grows)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([content(meta()), b'{"torn', b'":1}\n'], id="torn line"),
        pytest.param([content(meta()), b"\0\0", b"\0\n", content(user("a"))], id="NULs"),
        pytest.param([content(meta()), b"\n", b" ", b"\n"], id="blanks"),
        pytest.param([content(user("a")), content(meta())], id="session_meta late"),
        pytest.param(
            [content(user("a")), content(meta(dynamic_tools=TOOLS))], id="tools come late"
        ),
        pytest.param(
            [content(meta(dynamic_tools=TOOLS)), content(user("a")), content(tokens(1))],
            id="tools come early",
        ),
        pytest.param([content(user("a")), b"bad\n", content(meta())], id="bad, then session_meta"),
        pytest.param([content(meta()), b"bad\n", b"worse\n"], id="bad lines"),
        pytest.param([content(meta()), b"x" * 300_000, b"x\n", content(user("a"))], id="long bad"),
        pytest.param(
            [content(meta()), encode(response("y" * 300_000)), b"\n", content(user("a"))],
            id="long needless",
        ),
        pytest.param(
            [content(meta()), encode(user("y" * 300_000)), b"\n", content(user("a"))],
            id="long needed",
        ),
        pytest.param([content(meta(), tokens(1)), encode(tokens(2)), b"\n"], id="tokens, unended"),
        pytest.param(
            [content(meta(), tokens(7)), *[content(tokens("?"))] * 6, content(tokens(1))],
            id="useless tokens one by one",
        ),
        pytest.param(
            [content(meta(), tokens(7)), content(*[tokens("?")] * 9)], id="useless tokens"
        ),
        pytest.param(
            [content(meta(), encode(response("x"))[:-3], *[tokens("?")] * 9), content(tokens(1))],
            id="useless tokens and a damaged line that is needless",
        ),
        pytest.param([encode(meta()), b"\n", content(user("a"))], id="whole object, unended"),
        pytest.param([encode(meta()), b"{}\n", content(user("a"))], id="whole object, then spoilt"),
        pytest.param([content(meta()), encode(agent("b")), b"\n", content(goal("g"))], id="agent"),
        pytest.param([content(meta()), b"5", b"6\n", content(turn())], id="a number, unended"),
    ],
)
def test_a_file_that_grows_is_known_as_if_read_once(tmp_path: Path, chunks: list[bytes]) -> None:
    grown(tmp_path, chunks)


def test_the_stamp_of_a_file_is_that_of_its_stat(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta(), user("a")])
    info = (tmp_path / path).stat()
    found = extracted(tmp_path, path)
    assert (found.path, found.extractor) == (path, EXTRACTOR_VERSION)
    assert found.stamp == (info.st_size, info.st_mtime_ns, info.st_ino)
    assert found.resume.end == info.st_size
    assert found.metadata == reduce_lines(meta(), user("a")).metadata
    assert (found.bad_lines, found.first_bad) == (0, None)


def test_extracting_writes_nothing(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta()])
    before = (tmp_path / path).stat()
    found = extracted(tmp_path, path)
    go_on(tmp_path, found)
    after = (tmp_path / path).stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    assert [file.name for file in (tmp_path / path).parent.iterdir()] == [rollout_name()]


def test_only_the_lines_after_the_old_end_are_read(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta(dynamic_tools=TOOLS), user("a")])
    first = extracted(tmp_path, path)
    append(tmp_path, path, content(tokens(5)))
    second = go_on(tmp_path, first)
    assert second.metadata == replace(first.metadata, tokens_used=5)
    assert second.tools is None
    assert second.resume.end == (tmp_path / path).stat().st_size


def test_a_file_that_did_not_change_gives_the_same_again(tmp_path: Path) -> None:
    first = extracted(tmp_path, write_rollout(tmp_path, [meta(), b"bad", user("a")]))
    second = go_on(tmp_path, first)
    assert told(second) == told(first)
    assert second.resume == first.resume


def test_a_torn_last_line_is_not_read_until_it_ends(tmp_path: Path) -> None:
    whole, line = content(meta()), content(user("a"))
    for cut in range(1, len(line) - 1):
        path = write_rollout(tmp_path, whole + line[:cut])
        first = extracted(tmp_path, path)
        assert first.metadata == reduce_lines(meta()).metadata
        assert (first.resume.end, first.bad_lines) == (len(whole), 0)
        append(tmp_path, path, line[cut:])
        second = go_on(tmp_path, first)
        assert second.metadata.preview == "a"
        assert told(second) == told(extracted(tmp_path, path))


def test_a_torn_line_is_no_finding_however_often_it_is_looked_at(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, content(meta()) + b'{"torn')
    found = extracted(tmp_path, path)
    for _ in range(3):
        found = go_on(tmp_path, found)
        assert (found.bad_lines, found.first_bad) == (0, None)


def test_a_long_torn_line_of_garbage_is_counted_once(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, content(meta()) + b"x" * 2000)
    first = extracted(tmp_path, path, None, LineReader(600))
    second = go_on(tmp_path, first, LineReader(600))
    assert told(second) == told(first)


def test_a_whole_object_without_its_newline_counts(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, content(meta(), user("a"))[:-1])
    assert extracted(tmp_path, path).metadata.preview == "a"


def test_a_whole_object_that_what_follows_spoils_counts_no_longer(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, content(meta(), user("a"))[:-1])
    first = extracted(tmp_path, path)
    append(tmp_path, path, content(user("glued"), user("b")))
    second = go_on(tmp_path, first)
    assert (second.metadata.preview, second.bad_lines) == ("b", 1)
    assert told(second) == told(extracted(tmp_path, path))


def rewritten(home: Path, path: str, data: bytes) -> None:
    """Put other content into the same file."""
    inode = (home / path).stat().st_ino
    with (home / path).open("r+b") as file:
        file.write(data)
        file.truncate()
    assert (home / path).stat().st_ino == inode


@pytest.mark.parametrize("growth", [b"", content(tokens(3))])
def test_a_file_that_was_rewritten_in_place_is_read_afresh(tmp_path: Path, growth: bytes) -> None:
    path = write_rollout(tmp_path, content(meta(), user("aaaa")))
    first = extracted(tmp_path, path)
    rewritten(tmp_path, path, content(meta(), user("bbbb")) + growth)
    second = go_on(tmp_path, first)
    assert second.metadata.preview == "bbbb"
    assert second.tools == []


@pytest.mark.parametrize("place", [0, -1])
def test_a_change_at_either_end_of_the_old_part_is_noticed(tmp_path: Path, place: int) -> None:
    """As migration to another history mode makes it, or a truncation with other lines after."""
    lines = [meta(), *[response("x" * 300)] * 50, user("aaaa")]
    path = write_rollout(tmp_path, lines)
    first = extracted(tmp_path, path)
    lines[place] = meta(source="exec") if place == 0 else user("bbbb")
    rewritten(tmp_path, path, content(*lines) + content(tokens(3)))
    assert told(go_on(tmp_path, first)) == told(extracted(tmp_path, path))


def test_a_truncated_file_is_read_afresh(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta(), user("a"), tokens(9)])
    first = extracted(tmp_path, path)
    os.truncate(tmp_path / path, len(content(meta(), user("a"))))
    second = go_on(tmp_path, first)
    assert (second.metadata.preview, second.metadata.tokens_used) == ("a", 0)
    assert second.tools == []


def test_a_file_truncated_to_nothing_is_unusable(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta()])
    first = extracted(tmp_path, path)
    os.truncate(tmp_path / path, 0)
    found = extract_file(tmp_path, path, earlier_of(first))
    assert isinstance(found, Unusable)
    assert found.reason == "empty file"


def test_a_file_that_was_replaced_is_read_afresh(tmp_path: Path) -> None:
    """Even if it begins as the old one did: decompression may have made it."""
    path = write_rollout(tmp_path, [meta(), user("a")])
    first = extracted(tmp_path, path)
    write_rollout(tmp_path, [meta(), user("a"), tokens(9)], "sessions/new")
    (tmp_path / "sessions/new").replace(tmp_path / path)
    second = go_on(tmp_path, first)
    assert (second.metadata.tokens_used, second.tools) == (9, [])
    assert second.stamp.inode != first.stamp.inode


def bytes_read() -> int:
    """All that this process has read so far."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("rchar: "):
            return int(line.split()[1])
    raise AssertionError("no rchar")


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux")
def test_of_a_grown_file_of_30_mb_only_the_tail_is_read(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta(), user("a"), *[response("x" * 30_000)] * 1000])
    start = bytes_read()
    first = extracted(tmp_path, path)
    assert bytes_read() - start >= first.stamp.size > 30_000_000
    append(tmp_path, path, content(tokens(5)))
    start = bytes_read()
    second = go_on(tmp_path, first)
    assert bytes_read() - start < 1_200_000  # the sample of the old part, twice
    assert second.metadata == replace(first.metadata, tokens_used=5)


LINES = [meta(dynamic_tools=TOOLS), turn(), *[response("x" * 200)] * 900, user("a"), tokens(5)]


def test_a_compressed_file_gives_the_metadata_of_the_plain_one(tmp_path: Path) -> None:
    plain = extracted(tmp_path, write_rollout(tmp_path, LINES))
    found = extracted(tmp_path, write_rollout(tmp_path, LINES, rollout_path() + ".zst"))
    assert told(found) == told(plain)
    assert found.tools == plain.tools
    assert found.stamp.size == (tmp_path / found.path).stat().st_size < plain.stamp.size


def test_a_compressed_file_is_always_read_whole(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, LINES, rollout_path() + ".zst")
    first = extracted(tmp_path, path)
    assert first.resume.guard == ""
    write_rollout(tmp_path, [*LINES, tokens(6)], path)
    second = go_on(tmp_path, first)
    assert second.metadata.tokens_used == 6
    assert second.tools == first.tools


def test_a_compressed_file_cut_short_keeps_what_came_before(tmp_path: Path) -> None:
    many = [meta(), user("a"), *[response(str(number) * 50) for number in range(9000)], tokens(5)]
    data = zstandard.ZstdCompressor().compress(content(*many))
    path = rollout_path() + ".zst"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(data[: len(data) * 2 // 3])
    found = extracted(tmp_path, path)
    assert (found.metadata.preview, found.metadata.tokens_used, found.bad_lines) == ("a", 0, 1)
    assert found.first_bad is not None
    assert found.first_bad.reason == "damaged zstd: cut short"
    assert 0 < found.resume.end <= found.first_bad.offset


@pytest.mark.parametrize("data", [b"garbage", content(meta()), b"\0" * 100])
def test_garbage_in_a_compressed_file_is_unusable(tmp_path: Path, data: bytes) -> None:
    path = rollout_path() + ".zst"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(data)
    found = unusable(tmp_path, path)
    assert found.reason.startswith("damaged zstd: ")
    assert (found.stamp.size, found.offset, found.retry) == (len(data), 0, False)


def test_an_empty_compressed_file_is_unusable(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, b"", rollout_path() + ".zst")
    assert unusable(tmp_path, path).reason == "damaged zstd: empty"
    (tmp_path / path).write_bytes(b"")
    assert unusable(tmp_path, path).reason == "empty file"


def test_a_plain_file_that_takes_the_place_of_a_compressed_one_is_read_afresh(
    tmp_path: Path,
) -> None:
    first = extracted(tmp_path, write_rollout(tmp_path, LINES, rollout_path() + ".zst"))
    path = write_rollout(tmp_path, [*LINES, tokens(6)])
    found = extracted(tmp_path, path, earlier_of(first))
    assert (found.metadata.tokens_used, found.tools) == (6, first.tools)


def test_every_file_of_the_corpus_is_a_thread_or_a_finding() -> None:
    found = [extract_file(CORPUS, path) for path in corpus_rollouts()]
    threads = [one for one in found if isinstance(one, Extracted)]
    assert len(threads) > 150
    for one in found:
        if isinstance(one, Unusable):
            assert one.reason
            assert not one.retry
    assert FOREIGN_ID not in {one.metadata.id for one in threads}


def test_texts_are_kept_whole_on_request(home: Path) -> None:
    prompt = "wörd " * 2000
    path = write_rollout(home, [meta(source={"custom": "x" * 9000}), user(prompt)])
    cut, whole = extracted(home, path).metadata, extract_file(home, path, longest=None)
    assert isinstance(whole, Extracted)
    assert cut.title == prompt[:4096]
    assert whole.metadata.title == whole.metadata.preview == prompt.strip()
    assert whole.metadata.first_user_message == prompt.strip()
    assert len(whole.metadata.source) > 9000 > len(cut.source)
