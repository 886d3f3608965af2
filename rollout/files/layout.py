"""Where rollout files are and what their names say (docs/rollout-format.md#files-and-folders).

A *logical* path ends in ``.jsonl``; the file on disk may be that or its compressed form
``.jsonl.zst``. Both are one rollout. Paths are kept relative to the home, with ``/``.
"""

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

SESSIONS: Final = "sessions"
ARCHIVED: Final = "archived_sessions"
ROOTS: Final = (SESSIONS, ARCHIVED)
COMPRESSED_SUFFIX: Final = ".zst"

_EPOCH: Final = date(1970, 1, 1).toordinal()
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UUID: Final = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_LOOSE_UUID: Final = f"[0-9A-Fa-f]{{32}}|{_UUID}"
_COPIED_IDS: Final = rf"({_UUID})(?:_({_UUID}))?(?![0-9A-Za-z])"
_NAME = re.compile(r"rollout-(?P<body>.*)\.jsonl(?P<zst>\.zst)?", re.DOTALL)
_DATE_FOLDERS = re.compile(r"sessions/\d+/\d+/\d+/[^/]+")
_IN_ARCHIVE = re.compile(r"archived_sessions/[^/]+")
_NAME_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d)-(\d\d)-(\d\d)")


class RolloutName(NamedTuple):
    """What a file name says. Parts that cannot be read are None; the file still counts."""

    started_at: str | None
    """``YYYY-MM-DDThh-mm-ss`` in the local time of the machine that wrote it."""
    thread_id: str | None
    rollout_id: str | None
    """Names the physical file: differs from ``thread_id`` only after a revert."""
    compressed: bool


def parse_uuid(text: object) -> str | None:
    """The UUID in ``text`` in lower-case hyphenated form; None if it is not one.

    Any version counts; upper case and missing hyphens are accepted as Codex does.
    """
    return _uuid(text) if isinstance(text, str) and len(text) <= 36 else None


@lru_cache(maxsize=64)  # the lines of a file name the same ones; no longer text is kept
def _uuid(text: str) -> str | None:
    if _CANONICAL_UUID.fullmatch(text):
        return text
    if re.fullmatch(_LOOSE_UUID, text):
        digits = text.replace("-", "").lower()
        ends = (0, 8, 12, 16, 20, 32)
        return "-".join(digits[begin:end] for begin, end in pairwise(ends))
    return None


@lru_cache(maxsize=1024)  # one path is asked for several times in a row
def parse_name(path: str) -> RolloutName | None:
    """What the name of the file at ``path`` says; None if it is not named
    ``rollout-*.jsonl[.zst]``."""
    match = _NAME.fullmatch(path.rsplit("/", 1)[-1])
    if match is None:
        return None
    body, compressed = match["body"], match["zst"] is not None
    started_at = body[:19] if name_time_ms(body[:19]) is not None else None
    ids = body[20:] if started_at and body[19:20] == "-" else ""
    first, separator, second = ids.partition("_")
    thread_id = parse_uuid(first)
    rollout_id = parse_uuid(second) if separator else thread_id
    if thread_id is None or rollout_id is None:
        # Not the regular form: take the UUID at the end, as older parsers did, or those in their
        # usual place, which other programs keep when they copy a file.
        thread_id = rollout_id = parse_uuid(body[-36:])
        copied = re.match(_COPIED_IDS, ids)
        if thread_id is None and copied:
            thread_id, rollout_id = copied[1].lower(), (copied[2] or copied[1]).lower()
    return RolloutName(started_at, thread_id, rollout_id, compressed)


@lru_cache(maxsize=16)
def name_time_ms(text: str) -> int | None:
    """Milliseconds since 1970 of a file-name time read as UTC; None if it is no time."""
    match = _NAME_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    if not (year and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60):
        return None
    if second > 60:
        return None
    days = date(year, month, 1).toordinal() - _EPOCH + day - 1
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000


def logical_path(path: str) -> str:
    """``path`` without its compression suffix: what Codex's API reports."""
    return path.removesuffix(COMPRESSED_SUFFIX)


def is_archived(path: str) -> bool:
    """Whether a path, relative to the home, is in the archive: nothing else says so."""
    return path.startswith(ARCHIVED + "/")


def misplacement(path: str) -> str | None:
    """Why Codex's scan never finds ``path``, which is relative to the home; None if it does.

    It visits folders of three numbers below ``sessions/`` and the archive itself, and expects the
    time and the id in the name (docs/rollout-format.md#what-codex-lists).
    """
    if not (_DATE_FOLDERS.fullmatch(path) or _IN_ARCHIVE.fullmatch(path)):
        return "it is neither in sessions/YYYY/MM/DD nor directly in archived_sessions"
    name = parse_name(path)
    if name is None or name.started_at is None:
        return "its name does not contain a time"
    ids = path.rsplit("/", 1)[-1].removesuffix(COMPRESSED_SUFFIX)[
        len("rollout-") + 20 : -len(".jsonl")
    ]
    if not all(parse_uuid(part) for part in ids.split("_", 1)):
        return "its name does not end in a thread id"
    return None


class Precedence(NamedTuple):
    """Sort key of the physical files of one thread: the greatest is the thread's file."""

    regular: bool
    """Named after this thread and placed as Codex does. Copies that other programs leave beside a
    file (``.sync-conflict-…``, `` (1)``) are not; Codex never lists them."""
    size: int
    """The larger irregular file counts; 0 for regular ones."""
    active: bool
    name: str
    """A later one beats an earlier one: the newest segment of a reverted thread wins."""
    own_day: bool
    """Of two files with one name, the one in the folder of the day in the name wins."""
    logical: str
    plain: bool
    """Plain beats compressed."""

    @property
    def path(self) -> str:
        """The file that is ranked."""
        return self.logical + COMPRESSED_SUFFIX * (not self.plain)


def precedence(path: str, size: int, thread_id: str) -> Precedence:
    """The rank of the file at ``path``, of ``size`` bytes, among those of a thread."""
    logical = logical_path(path)
    name = logical.rsplit("/", 1)[-1]
    parsed = parse_name(name)
    regular = bool(parsed and parsed.thread_id == thread_id and misplacement(path) is None)
    day = ((parsed and parsed.started_at) or "")[:10].replace("-", "/")
    return Precedence(
        regular,
        0 if regular else size,
        not is_archived(path),
        name,
        bool(day) and logical == f"{SESSIONS}/{day}/{name}",
        logical,
        path == logical,
    )


def best_file(files: Iterable[tuple[str, int]], rollout_id: str) -> str | None:
    """The file of the rollout with this id among some paths with their sizes; None if none is."""
    ranked = [
        precedence(path, size, name.thread_id)
        for path, size in files
        if (name := parse_name(path)) and name.rollout_id == rollout_id
        if name.thread_id
    ]
    return max(ranked).path if ranked else None


def thread_id_in_name(path: str) -> str | None:
    """The thread id in the name of a rollout file."""
    name = parse_name(path)
    return name.thread_id if name else None
