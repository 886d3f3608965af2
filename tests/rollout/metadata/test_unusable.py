"""Files that give no thread, and findings about those that give one."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.files.stamp import NO_STAMP, FileStamp
from rollout.metadata.extract import extract_file
from rollout.metadata.outcomes import Unusable
from tests.samples import strategies
from tests.samples.rollouts import (
    THREAD_ID,
    content,
    encode,
    extracted,
    meta,
    reduce_lines,
    response,
    rollout_path,
    run_unprivileged,
    tokens,
    turn,
    unusable,
    user,
    write_rollout,
)
from tests.support.effort import examples

DAMAGED = encode(response("x"))[:-3]


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "empty file", 0),
        (b"\n \r\n\t\n", "nothing but blanks", 0),
        (b"\0" * 5000, "nothing but blanks", 0),
        (b"\0" * 600_000, "nothing but blanks", 0),
        (b"\0\0\n\0\0\n", "nothing but blanks", 0),
        (b"\n\n5\n", "a JSON number, not an object", 2),
        (b"\nx" * 3, "not valid JSON: ", 1),
        (b"{}\n", "no payload in the envelope", 0),
        (b"\n" + encode(meta())[:-5], "ends in the middle of a line", 1),
        (b"\n" + b"x" * 300_000, "a long line that is no JSON object", 1),
        (b"\xff\xfe" + "{}\n".encode("utf-16-le"), "not valid JSON: ", 0),
    ],
)
def test_a_file_without_a_usable_line_is_unusable_with_its_reason_and_place(
    tmp_path: Path, data: bytes, reason: str, offset: int
) -> None:
    path = write_rollout(tmp_path, data)
    found = unusable(tmp_path, path)
    assert found.reason.startswith(reason)
    assert found.offset == offset
    assert not found.retry
    info = (tmp_path / path).stat()
    assert found[:2] == (path, (info.st_size, info.st_mtime_ns, info.st_ino))


def test_a_file_that_is_not_named_as_a_rollout_is_unusable(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta()], "sessions/notes.jsonl")
    assert unusable(tmp_path, path).reason == "not named rollout-*.jsonl"


def test_a_file_that_nowhere_tells_its_id_is_unusable(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [user("a"), turn()], "sessions/rollout-x.jsonl")
    assert unusable(tmp_path, path).reason.startswith("no thread id")


def test_a_file_without_a_session_meta_is_usable_with_a_finding(tmp_path: Path) -> None:
    found = extracted(tmp_path, write_rollout(tmp_path, [user("a")]))
    assert found.metadata.id == THREAD_ID
    assert found.first_bad is not None
    assert found.first_bad.reason.startswith("no session_meta")


def test_a_bad_line_among_good_ones_is_a_finding_with_its_place(tmp_path: Path) -> None:
    found = extracted(tmp_path, write_rollout(tmp_path, [meta(), b"x", user("a"), b"y"]))
    assert (found.bad_lines, found.metadata.preview) == (2, "a")
    assert found.first_bad is not None
    assert found.first_bad.offset == len(content(meta()))


def test_a_byte_order_mark_and_a_bad_byte_cost_nothing(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + content(meta(), encode(user("a?b")).replace(b"?", b"\xff"))
    found = extracted(tmp_path, write_rollout(tmp_path, data))
    assert (found.metadata.cwd, found.metadata.preview, found.bad_lines) == (
        "/work/demo",
        "a\ufffdb",
        0,
    )


def test_two_objects_on_one_line_are_one_bad_line(tmp_path: Path) -> None:
    glued = encode(user("a")) + encode(user("b"))
    found = extracted(tmp_path, write_rollout(tmp_path, [meta(), glued, user("c")]))
    assert (found.metadata.preview, found.bad_lines) == ("c", 1)


def test_windows_line_ends_make_no_difference(tmp_path: Path) -> None:
    lines = [meta(), user("a"), tokens(5)]
    data = content(*lines).replace(b"\n", b"\r\n")
    found = extracted(tmp_path, write_rollout(tmp_path, data))
    assert (found.metadata, found.bad_lines) == (reduce_lines(*lines).metadata, 0)


def test_a_file_that_has_gone_is_tried_again(tmp_path: Path) -> None:
    found = unusable(tmp_path, rollout_path())
    assert found == Unusable(rollout_path(), NO_STAMP, "the file has gone", retry=True)


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_a_folder_is_unusable(tmp_path: Path, suffix: str) -> None:
    path = rollout_path() + suffix
    (tmp_path / path).mkdir(parents=True)
    found = unusable(tmp_path, path)
    assert (found.reason, found.retry) == ("cannot be read: Is a directory", True)


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, suffix: str) -> None:
    path = rollout_path() + suffix
    (tmp_path / path).parent.mkdir(parents=True)
    os.mkfifo(tmp_path / path)
    found = unusable(tmp_path, path)
    assert (found.reason, found.retry) == ("cannot be read: not a regular file", True)


def test_a_file_where_a_folder_was_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "sessions").touch()
    assert unusable(tmp_path, rollout_path()).retry


def test_a_file_that_may_not_be_read_is_tried_again(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta()])
    (tmp_path / path).chmod(0)
    info = (tmp_path / path).stat()
    found = run_unprivileged(tmp_path, f"extract_file(Path('.'), {path!r})")
    assert found == [path, [*FileStamp.of(info)], "cannot be read: Permission denied", 0, True]


def test_a_file_in_a_folder_that_may_not_be_entered_is_tried_again(tmp_path: Path) -> None:
    path = write_rollout(tmp_path, [meta()])
    (tmp_path / path).parent.chmod(0)
    found = run_unprivileged(tmp_path, f"extract_file(Path('.'), {path!r})")
    assert Unusable(*found).retry
    assert "Permission denied" in Unusable(*found).reason


@examples(150)
@given(data=strategies.rollout_bytes(), named=st.booleans(), compressed=st.booleans())
def test_no_content_makes_extraction_fail(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, named: bool, compressed: bool
) -> None:
    """And the finding of an unusable file lies within it."""
    home = tmp_path_factory.getbasetemp()
    path = rollout_path() if named else "sessions/rollout-x.jsonl"
    path = write_rollout(home, data, path + (".zst" if compressed else ""))
    found = extract_file(home, path)
    if isinstance(found, Unusable):
        assert 0 <= found.offset <= len(data)
        assert found.reason
    else:
        assert found.resume.end <= len(data)
