"""One fault in the files at a time: found, placed, explained; everything else still listed."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.samples.homes import encoded, file_name, lines, thread_id, write
from tests.support.checks import codes, listed, planned, repaired, synced, the, verified

HEALTHY = {thread_id(number) for number in (1, 2, 3)}
SICK = 9
STAMP = "2026-05-28T20:00:09.000Z"


def sick_lines(**meta: Any) -> list[bytes]:
    """The lines of a healthy rollout, each ended."""
    return encoded(lines(SICK, "sick", **meta)).splitlines(keepends=True)


def put(home: Path, *parts: bytes, archived: bool = False) -> Path:
    return write(home, SICK, b"".join(parts), archived=archived)


@dataclass(frozen=True)
class Fault:
    """A home with one fault, and what is to be found of it."""

    name: str
    make: Callable[[Path], object]
    codes: tuple[str, ...] = ()
    listed: bool = True
    offset: int | None = None
    reason: str = ""


def inserted(data: bytes, after: int = 2) -> Callable[[Path], object]:
    """A healthy rollout with more bytes after some of its lines."""

    def make(home: Path) -> None:
        whole = sick_lines()
        put(home, *whole[:after], data, *whole[after:])

    return make


def offset_after(count: int) -> int:
    return sum(map(len, sick_lines()[:count]))


def deep_json(depth: int) -> bytes:
    return b'{"timestamp":"x","type":"event_msg","payload":' + b"[" * depth + b"]" * depth + b"}\n"


def compressed(home: Path, cut: int | None = None) -> None:
    path = put(home, *sick_lines())
    data = zstandard.ZstdCompressor().compress(path.read_bytes())
    path.with_name(path.name + ".zst").write_bytes(data[:cut])
    path.unlink()


def dangling(home: Path) -> None:
    (home / "sessions/2026/05/28" / file_name(SICK)).symlink_to(home / "nowhere")


def without(name: str) -> Callable[[Path], object]:
    """A session_meta without one of its fields."""

    def make(home: Path) -> None:
        value = lines(SICK, "sick")
        del value[0]["payload"][name]
        put(home, encoded(value))

    return make


def other_folder(home: Path) -> None:
    path = put(home, *sick_lines())
    folder = home / "sessions/1999/01/01"
    folder.mkdir(parents=True)
    path.rename(folder / path.name)


def two_files(home: Path) -> None:
    path = put(home, *sick_lines())
    (home / "archived_sessions").mkdir()
    (home / "archived_sessions" / path.name).write_bytes(path.read_bytes())


def a_segment(home: Path) -> None:
    put(home, *sick_lines())
    write(home, SICK, b"".join(sick_lines()), segment=1)


def meta_last(home: Path) -> None:
    first, *others = sick_lines()
    put(home, *others, first)


def glued(home: Path) -> None:
    first, second, *others = sick_lines()
    put(home, first, second.rstrip() + others[0], *others)


LARGE = json.dumps(
    {"timestamp": STAMP, "type": "response_item", "payload": {"text": "x" * 5_000_000}}
).encode()
FAULTS = (
    # what other readers of rollouts trip over
    Fault("malformed line", inserted(b"{oops\n"), ("damaged_lines",), offset=offset_after(2)),
    Fault("empty file", lambda h: put(h), ("unreadable",), False, 0, "empty file"),
    Fault("compressed", compressed),
    Fault("archived", lambda h: put(h, *sick_lines(), archived=True)),
    Fault("invalid UTF-8", inserted(b'{"type":"event_msg","payload":{"type":"\xff"}}\n')),
    Fault("first line malformed", inserted(b"{oops\n", 0), ("damaged_lines",), offset=0),
    Fault("same id in two files", two_files),
    Fault("segment", a_segment),
    Fault("100,000 deep", inserted(deep_json(100_000)), ("damaged_lines",), offset=offset_after(2)),
    Fault("dangling symlink", dangling, listed=False),
    Fault("torn tail", inserted(b'{"timestamp":"2026', 4)),
    Fault("NULs at the end", inserted(b"\0" * 4096, 4)),
    # what Codex reads all the same
    Fault("blank lines", inserted(b"\n  \n\r\n")),
    Fault("CRLF", lambda h: put(h, *(line[:-1] + b"\r\n" for line in sick_lines()))),
    Fault("a line of NULs", inserted(b"\0\0\0\n")),
    Fault("unknown type", inserted(b'{"timestamp":"x","type":"from_2031","payload":{}}\n')),
    Fault("unknown field", lambda h: put(h, *sick_lines(invented={"a": 1}))),
    Fault("a line of 5 MB", inserted(LARGE + b"\n")),
    Fault("session_meta twice", lambda h: put(h, sick_lines()[0], *sick_lines())),
    Fault("folder of another date", other_folder),
    Fault("unknown source", lambda h: put(h, *sick_lines(source="from_2031"))),
    Fault("session_meta last", meta_last),
    Fault("two objects on one line", glued, ("damaged_lines",), offset=offset_after(1)),
    Fault("BOM", inserted(b"\xef\xbb\xbf", 0)),
    # what Codex cannot read, and what users have reported
    Fault("unknown history_mode", lambda h: put(h, *sick_lines(history_mode="from_2031"))),
    Fault("only blanks", lambda h: put(h, b"\n\n \n"), ("unreadable",), False, 0),
    Fault("only garbage", lambda h: put(h, os.urandom(300) + b"\n"), ("unreadable",), False),
    Fault("no id", without("id")),
    Fault("no timestamp", without("timestamp")),
    Fault("no cwd", without("cwd")),
    Fault("no originator", without("originator")),
    Fault("no cli_version", without("cli_version")),
    Fault(
        "paginated lines without ordinals",
        lambda h: put(h, *sick_lines(history_mode="paginated")),
        ("lines_left_out",),
        offset=0,
    ),
    Fault(
        "float token counts",
        inserted(sick_lines()[3].replace(b"109", b"109.5"), 4),
        ("token_counts_unreadable",),
        offset=offset_after(4),
        reason="1 line has",
    ),
    Fault(
        "lines of two writers interleaved",
        inserted(sick_lines()[1][:40] + sick_lines()[2]),
        ("damaged_lines",),
        offset=offset_after(2),
    ),
    Fault(
        "NUL in a name",
        inserted(b'{"timestamp":"x","type":"response_item","payload":{"name":"a\\u0000b"}}\n'),
    ),
    Fault("truncated zstd", lambda h: compressed(h, 60), ("unreadable",), False, 0, "damaged zstd"),
    Fault("garbage zstd", lambda h: compressed(h, 4), ("unreadable",), False, 0, "damaged zstd"),
)


@pytest.fixture
def healthy(home: Path) -> Path:
    for number in (1, 2, 3):
        write(home, number)
    return home


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_in_a_file_is_found_and_costs_no_other_thread(
    fault: Fault, healthy: Path, index_path: Path
) -> None:
    fault.make(healthy)
    behind = verified(healthy, index_path)
    assert set(codes(behind)) == {"no_index"}
    synced(healthy, index_path)
    expected = HEALTHY | {thread_id(SICK)} if fault.listed else HEALTHY
    assert listed(healthy, index_path) == expected
    found = verified(healthy, index_path)
    assert tuple(codes(found)) == fault.codes
    for code in fault.codes:
        finding = the(found, code)
        assert fault.reason in finding.message
        assert finding.path
        assert str(SICK) in finding.path
        if fault.offset is not None:
            assert finding.offset == fault.offset
    # Damage in the files stays: no command changes a rollout.
    assert repaired(healthy, index_path) is None
    assert tuple(codes(verified(healthy, index_path))) == fault.codes
    assert planned(healthy, index_path).stays == len(fault.codes)


def grow(home: Path) -> None:
    with write(home, 1).open("ab") as file:
        file.write(encoded([lines(1)[2]]))


def rewrite(home: Path) -> None:
    write(home, 1, encoded(lines(1, "another prompt")), mtime_ms=1)


def archive(home: Path) -> None:
    (home / "archived_sessions").mkdir()
    path = home / "sessions/2026/05/28" / file_name(1)
    path.rename(home / "archived_sessions" / path.name)


BEHIND: dict[str, tuple[Callable[[Path], object], dict[str, int]]] = {
    "a new file": (lambda h: write(h, 7), {"not_indexed": 1}),
    "a file that grew": (grow, {"out_of_date": 1}),
    "a rewritten file": (rewrite, {"out_of_date": 1}),
    "a file deleted": (
        lambda h: (h / "sessions/2026/05/28" / file_name(1)).unlink(),
        {"file_gone": 1},
    ),
    "a file archived": (archive, {"file_gone": 1, "not_indexed": 1}),
    "a name set": (
        lambda h: (h / "session_index.jsonl").write_text(
            json.dumps({"id": thread_id(1), "thread_name": "mine", "updated_at": STAMP}) + "\n"
        ),
        {"names_out_of_date": 1},
    ),
    "another default provider": (
        lambda h: (h / "config.toml").write_text('model_provider = "x"\n'),
        {"names_out_of_date": 1},
    ),
    "the folder gone": (lambda h: (h / "sessions").rename(h / "away"), {"file_gone": 3}),
}


@pytest.mark.parametrize("what", BEHIND)
@pytest.mark.parametrize("by", ["sync", "repair"])
def test_an_index_behind_the_files_is_reported_and_mended(
    what: str, by: str, healthy: Path, index_path: Path
) -> None:
    synced(healthy, index_path)
    change, expected = BEHIND[what]
    change(healthy)
    found = verified(healthy, index_path)
    assert codes(found) == expected
    assert {finding.kind.mend for finding in found.kept} == {"threadkeep sync"}
    if by == "sync":
        synced(healthy, index_path)
    else:
        assert planned(healthy, index_path).catch_up == set(expected)
        assert repaired(healthy, index_path) is not None
    assert codes(verified(healthy, index_path)) == {}


def test_a_damaged_line_of_the_names_is_found_with_its_place(
    healthy: Path, index_path: Path
) -> None:
    good = json.dumps({"id": thread_id(1), "thread_name": "one"}).encode() + b"\n"
    (healthy / "session_index.jsonl").write_bytes(good + b"{torn\n" + good + b"[1]\n")
    synced(healthy, index_path)
    found = verified(healthy, index_path)
    assert codes(found) == {"names_line": 2}
    assert [finding.offset for finding in found.kept] == [len(good), 2 * len(good) + 6]
    assert listed(healthy, index_path) == HEALTHY


def test_relatives_that_are_missing_are_notes(healthy: Path, index_path: Path) -> None:
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(77), "depth": 1}}}
    write(healthy, 4, encoded(lines(4, source=spawn)))
    write(healthy, 5, encoded(lines(5, forked_from_id=thread_id(78))))
    base = {"thread_id": thread_id(79), "end_ordinal_exclusive": 3, "end_byte_offset": 99}
    write(healthy, 6, encoded(lines(6, forked_from_id=thread_id(79), history_base=base)))
    synced(healthy, index_path)
    found = verified(healthy, index_path)
    assert dict(found.by_code) == {"parent_elsewhere": 1, "fork_elsewhere": 1, "base_elsewhere": 1}
    # A fork by reference cannot be read without its base; the others are whole.
    assert codes(found) == {"base_elsewhere": 1}
    assert thread_id(79) in the(found, "base_elsewhere").message


def test_a_home_without_rollouts_is_clean(home: Path, index_path: Path) -> None:
    synced(home, index_path)
    assert verified(home, index_path).total == 0
