"""What the picker of Codex 0.169 and 0.171 sees of one rollout file.

It reads only the head of each file and is strict about it: the first 10 records for the
``session_meta``, then up to 200 more for a message. Blank lines are no records, unreadable lines
are. The bounds were measured on 0.169; 0.171 lists the same threads.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from rollout.errors import DamagedCompression
from rollout.files.layout import parse_uuid
from rollout.jsonl.parse import BadLine, Line
from rollout.jsonl.reader import LineReader, RolloutStream, open_rollout
from rollout.metadata.model import SEEN_BARE_META, SEEN_META, ThreadMetadata
from rollout.metadata.reducer import MetadataReducer
from rollout.schema.modes import MODES
from rollout.schema.payloads import wrong_in_meta
from rollout.schema.session_source import source_kind, stored_source

META_RECORDS: Final = 10
"""The ``session_meta`` must be among so many records."""
SCAN_RECORDS: Final = 210
"""The first message must be among so many records."""

UNREADABLE: Final = "unreadable"
UNREADABLE_LINE: Final = "unreadable_line"
BARE_ERA: Final = "bare_era"
UNKNOWN_HISTORY_MODE: Final = "unknown_history_mode"
BEYOND_SCAN_DEPTH: Final = "beyond_scan_depth"
EMPTY_PREVIEW: Final = "empty_preview"

_WHITE: Final = b" \t\r\n"
_REQUIRED: Final = ("id", "timestamp", "cwd", "originator", "cli_version")
_GOAL_KEYS: Final = frozenset(
    ("threadId", "objective", "status", "tokensUsed", "timeUsedSeconds", "createdAt", "updatedAt")
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why the scan does not show a file: a code of this module, a clause, and the byte."""

    code: str
    text: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class HeadMeta:
    """What the scan takes from the ``session_meta`` and filters by."""

    thread_id: str
    kind: str
    """See :func:`rollout.schema.session_source.source_kind`."""
    provider: str | None
    """None if the file names none: it counts for the default one."""
    cwd: str
    attached: bool
    """Whether it is a side thread, which no list shows."""
    of_account: bool = False
    """Whether only the account that began it is to see it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the scan sees of a file; it shows the file if there are no obstacles."""

    meta: HeadMeta | None
    obstacles: tuple[Obstacle, ...] = ()


def read_head(path: Path | str) -> Head:
    """What Codex's scan sees of the file at ``path``, plain or compressed.

    If it finds no message, the whole file is searched for the first one; memory is bounded by the
    longest line that may hold one. Never raises for what is in a file.
    """
    try:
        with open_rollout(path) as stream:
            return _read(stream)
    except OSError as error:
        return Head(None, (Obstacle(UNREADABLE, f"cannot be read: {error.strerror}"),))


def _read(stream: RolloutStream) -> Head:
    scan = _Scan()
    damage: Obstacle | None = None
    try:
        for line in LineReader().lines(stream):
            if not scan.take(line):
                break
    except DamagedCompression as error:
        damage = Obstacle(UNREADABLE, error.reason, error.offset)
    obstacles: list[Obstacle] = [found for found in (damage, scan.broken) if found]
    if not scan.records and not obstacles:
        return Head(None, (Obstacle(UNREADABLE, "it is empty", 0),))
    if not (scan.meta and scan.has_preview) and not scan.broken:
        first = _first_places(stream)
        if scan.meta is None:
            obstacles.append(scan.why_no_meta(first))
        if first.message_offset is None:
            text = "the file has no user message and no goal"
            obstacles.append(Obstacle(EMPTY_PREVIEW, text))
        elif scan.records >= SCAN_RECORDS:
            text = f"the first message is not among the {SCAN_RECORDS} records that Codex reads"
            obstacles.append(Obstacle(BEYOND_SCAN_DEPTH, text, first.message_offset))
        elif scan.meta:
            text = "the first message is in a line that Codex cannot read"
            obstacles.append(Obstacle(UNREADABLE_LINE, text, first.message_offset))
    return Head(scan.meta, tuple(obstacles))


class _Scan:
    """The head of one file, record by record, as strictly as Codex reads it."""

    def __init__(self) -> None:
        self.records = 0
        self.meta: HeadMeta | None = None
        self.broken: Obstacle | None = None
        """What ended the scan of the file."""
        self._trouble: Obstacle | None = None
        self._prompts = MetadataReducer(ThreadMetadata(id=""))

    @property
    def has_preview(self) -> bool:
        return bool(self._prompts.metadata.preview)

    def take(self, line: Line | BadLine) -> bool:
        """Look at one line; False if the scan ends there."""
        if isinstance(line, Line):
            if not line.data.strip(_WHITE):
                return True
            try:
                line.data.decode()
            except UnicodeDecodeError as error:
                place = line.offset + error.start
                self.broken = Obstacle(
                    UNREADABLE_LINE, "invalid UTF-8, where Codex stops reading", place
                )
                return False
        self.records += 1
        if isinstance(line, Line):
            self._record(line)
        if self.broken or self.records >= SCAN_RECORDS:
            return False
        if self.records >= META_RECORDS and self.meta is None:
            return False
        return not (self.meta and self.has_preview)

    def _record(self, line: Line) -> None:
        value = _envelope(line)
        if isinstance(value, str):
            self._trouble = self._trouble or Obstacle(UNREADABLE_LINE, value, line.offset)
        elif value["type"] == "session_meta":
            if self.meta is None:
                self._session_meta(value["payload"], line.offset)
        elif _is_whole(value["payload"]):
            self._prompts.apply(line)

    def _session_meta(self, payload: dict[str, Any], offset: int) -> None:
        problem = _meta_problem(payload)
        if problem:
            self._trouble = Obstacle(UNREADABLE_LINE, problem, offset)
            return
        mode = payload.get("history_mode", "legacy")
        if mode not in MODES:
            text = f"history_mode is {orjson.dumps(mode).decode()}, which Codex does not know"
            self.broken = Obstacle(UNKNOWN_HISTORY_MODE, text, offset)
        get = payload.get
        self.meta = HeadMeta(
            thread_id=parse_uuid(get("id")) or "",
            kind=source_kind(stored_source(get("source"))),
            provider=get("model_provider"),
            cwd=get("cwd") or "",
            attached=bool(get("attached_thread") and parse_uuid(get("forked_from_id"))),
            of_account=payload.get("account_scoped") is True,
        )

    def why_no_meta(self, first: "_First") -> Obstacle:
        """Why there is no usable session_meta in the head."""
        if first.flags & SEEN_BARE_META:
            return Obstacle(BARE_ERA, "a file of the first versions (up to 0.2x), no envelope", 0)
        if first.meta_offset is not None and self._trouble is None:
            text = (
                f"the session_meta is not among the {META_RECORDS} records that Codex reads for it"
            )
            return Obstacle(BEYOND_SCAN_DEPTH, text, first.meta_offset)
        why = self._trouble or Obstacle(UNREADABLE_LINE, "there is none", 0)
        return replace(why, text=f"Codex can read no session_meta: {why.text}")


def _envelope(line: Line) -> dict[str, Any] | str:
    """The object of a line with a good envelope, or what is wrong with it."""
    if line.data.startswith(b"\xef\xbb\xbf"):
        return "a byte order mark"
    try:
        value = orjson.loads(line.data)
    except ValueError as error:
        return f"not valid JSON: {error}"
    if not isinstance(value, dict):
        return "no JSON object"
    for key, kind in (("timestamp", str), ("type", str), ("payload", dict)):
        if not isinstance(value.get(key), kind):
            return f"no usable {key} in the envelope"
    if not isinstance(value.get("ordinal", 0), int):
        return "an ordinal that is no integer"
    return value


def _is_whole(payload: dict[str, Any]) -> bool:
    """Whether an event has all that Codex requires; the reducer requires less."""
    if payload.get("type") == "thread_goal_updated":
        goal = payload.get("goal")
        return "threadId" in payload and isinstance(goal, dict) and goal.keys() >= _GOAL_KEYS
    if payload.get("type") == "item_completed":
        item = payload.get("item")
        return (
            {"thread_id", "turn_id"} <= payload.keys() and isinstance(item, dict) and "id" in item
        )
    return True


def _meta_problem(payload: dict[str, Any]) -> str | None:
    """Why Codex drops a session_meta, if it does."""
    missing = [key for key in _REQUIRED if payload.get(key) is None]
    if missing:
        return f"a session_meta without {', '.join(missing)}"
    if wrong := wrong_in_meta(payload):
        return f"a session_meta with a wrong type in {wrong}"
    for key in ("id", "session_id"):
        value = payload.get(key)
        if value is not None and parse_uuid(value) is None:
            return f"a session_meta whose {key} is no UUID"
    source = payload.get("source")
    if isinstance(source, dict) and source_kind(stored_source(source)) == "unknown":
        return "a session_meta with an unknown kind of source"
    return None


@dataclass(slots=True)
class _First:
    """Where the first meta and the first message of the whole file are, read leniently."""

    flags: int = 0
    meta_offset: int | None = None
    message_offset: int | None = None


def _first_places(stream: RolloutStream) -> _First:
    stream.seek(0)
    first = _First()
    reducer = MetadataReducer(ThreadMetadata(id=""))
    try:
        for line in LineReader().lines(stream, 0, reducer):
            reducer.apply(line)
            if first.meta_offset is None and reducer.metadata.flags & SEEN_META:
                first.meta_offset = line.offset
            if first.message_offset is None and reducer.metadata.preview:
                first.message_offset = line.offset
            if first.meta_offset is not None and first.message_offset is not None:
                break
    except DamagedCompression:
        pass  # what came before it counts; the damage is an obstacle already
    first.flags = reducer.metadata.flags
    return first
