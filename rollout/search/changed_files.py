"""Find the files that the patches of a rollout have changed, and where its lines say so.

What a patch has changed stands in its event, where there is one
(docs/rollout-format.md#events), and in what the tool printed, which every version of Codex since
0.8 begins with the same words; events have that, too. A patch that has both counts once, by its
event. One that failed or was declined has changed nothing. Undoing a turn leaves files as they are:
its patches count. Those that a fork or a subagent was given with its history are its parent's.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from rollout.errors import SHORTAGES, DamagedCompression, HistoryIncomplete
from rollout.files.text import storable_text
from rollout.history.segments import source_meta
from rollout.items.calls import parsed
from rollout.items.patches import ChangeKind
from rollout.jsonl.marks import MarkedLines
from rollout.jsonl.parse import Item, Line, object_of
from rollout.jsonl.reader import LineReader, RolloutStream, Skipping, open_rollout
from rollout.schema import kinds
from rollout.schema.strict import Fields
from rollout.schema.times import time_ms
from rollout.search.messages import digest_of_texts
from rollout.turns.item_reader import LineFile
from rollout.usage.reducer import UsageReducer

_PRINTED: Final = "Success. Updated the following files:\n"
_FILES: Final = re.compile(re.escape(_PRINTED) + r"((?:[AMD] [^\n]+(?:\n|$))+)")
_MARK: Final = _PRINTED.strip().encode()
_OUTPUT: Final = re.compile(
    kinds.line_pattern(kinds.payload_type("response_item", r'\w+_output",'), kinds.PLAIN).pattern
    + rb'(?:"id":"[^"\\]{0,200}",)?"call_id":"([^"\\]{1,200})"'
)
"""The beginning of an output, with the id of its call."""
_BY_LETTER: Final[dict[str, ChangeKind]] = {"A": "added", "M": "changed", "D": "deleted"}
_BY_TYPE: Final[dict[str, ChangeKind]] = {"add": "added", "delete": "deleted"}
_LONGEST_PATH: Final = 4096
"""No system takes a longer one."""
_MOST_WAITING: Final = 16
"""So many patches wait for what the tool prints."""


class Change(NamedTuple):
    """A file that a patch has changed."""

    path: str
    """As the patch has it: absolute, or relative to where it ran."""
    kind: ChangeKind
    """Of a moved file, both its paths are ``moved``."""
    at_ms: int | None
    """When, in milliseconds since 1970; None if the line does not say."""
    file: int
    """Which of the files that the thread is in."""
    offset: int
    """Of the line that says so, in bytes of the file's content."""


class ChangesIn(NamedTuple):
    """The changes in the files of a thread, and what a later pass over its own needs."""

    changes: list[Change]
    state: Fields


class ChangedFiles:
    """Collects the changes of one file of a thread from the lines that a
    :class:`rollout.jsonl.reader.LineReader` marks for it."""

    meta: Any = None
    """The first ``session_meta`` of the file, for who knows it; else it is read once more."""

    def __init__(self, path: Path | str, *, file: int = 0, state: Fields | None = None) -> None:
        """``file`` is the number of the file among those of the thread. With the ``state`` of an
        earlier pass it continues behind that one."""
        self.lines = MarkedLines(_MARK, self._take)
        self._path, self._number = path, file
        self._found: list[Change] = []
        own_from, waiting = (state or {}).get("own_from"), (state or {}).get("waiting")
        self._own_from: int | None = own_from if isinstance(own_from, int) else None
        self._waiting = _waiting_in(waiting)
        """Patches whose events were seen, and their output was not: their calls and paths."""

    def end(self) -> ChangesIn:
        """The changes that are the thread's own, in the order of their lines, and what a later pass
        needs to continue. Raises OSError if the file cannot be read."""
        own_from = self._own_from
        if own_from is None and self._found:  # few files have changes, and few of those copies
            own_from = _own_from(Path(self._path), self.meta)
        own_from = own_from or 0
        state: Fields = {"own_from": own_from} if own_from > 0 else {}
        if self._waiting:
            state["waiting"] = self._waiting
        return ChangesIn([each for each in self._found if 0 <= own_from <= each.offset], state)

    def _take(self, line: Line) -> None:
        waiting = self._waiting
        if waiting and (output := _OUTPUT.match(line.data)):
            call_id = output[1].decode("utf-8", "replace")
            if any(each[0] == call_id for each in waiting):  # most are told so
                self._waiting = [each for each in waiting if each[0] != call_id]
                return
        item = object_of(self._whole(line))
        payload = (item or {}).get("payload", item)
        if item is None or not isinstance(payload, dict):
            return
        found: dict[str, ChangeKind] = {}
        if event := changes_told(payload):
            call_id, changes = event
            found = {path: kind for path, kind, _ in kinds_of(changes)}
            waiting.append([call_id, *found])
            del waiting[:-_MOST_WAITING]
        elif str(payload.get("type")).endswith("_output"):
            found = self._printed(payload)
        at = time_of(item)
        for path, kind in found.items():
            if len(path) <= _LONGEST_PATH:
                self._found.append(Change(path, kind, at, self._number, line.offset))

    def _whole(self, line: Line) -> Line:
        if line.data:
            return line
        with LineFile(self._path) as file:
            return Line(line.offset, file.data(line.offset) or b"")

    def _printed(self, payload: Fields) -> dict[str, ChangeKind]:
        """What an output says was changed, and no event has."""
        call_id = payload.get("call_id")
        others = [each for each in self._waiting if each[0] != call_id]
        if len(others) < len(self._waiting):
            self._waiting = others
            return {}
        found: dict[str, ChangeKind] = {}
        for printed in files_printed(payload):
            told = next((each for each in self._waiting if _has_all(each[1:], printed)), None)
            if told is not None:  # a script has printed what its patch did
                self._waiting.remove(told)
                continue
            found |= printed
        return found


def _waiting_in(value: Any) -> list[list[str]]:
    """Waiting patches from a state, if they are as they were written."""
    fits = isinstance(value, list) and all(
        isinstance(each, list) and each and all(isinstance(word, str) for word in each)
        for each in value
    )
    return [*value] if fits else []


def _has_all(paths: Sequence[str], printed: dict[str, ChangeKind]) -> bool:
    """Whether an event with these paths tells of all files that were printed, whose paths are
    relative to where the patch ran."""
    return all(any(f"/{path}".endswith(f"/{name}") for path in paths) for name in printed)


def changes_told(payload: Fields) -> tuple[str, Fields] | None:
    """The call and the ``changes`` of the event of a patch that was applied; None if a payload is
    nothing of the kind."""
    item = payload.get("item")
    event = item if isinstance(item, dict) else payload
    changes = event.get("changes")
    if not isinstance(changes, dict) or not changes:
        return None
    default = "completed" if event is payload else None  # an item without a status has not ended
    failed = event.get("success") is False or event.get("status", default) != "completed"
    ended = payload.get("type") in ("item_completed", "patch_apply_end")
    call_id = event.get("id") if event is item else event.get("call_id")
    return (str(call_id), changes) if ended and not failed else None


def kinds_of(changes: Fields) -> Iterator[tuple[str, ChangeKind, Fields]]:
    """The paths in ``changes``, each with what happened to the file and how; of a moved one both
    paths."""
    for name, change in changes.items():
        path = _storable(name)
        fields: Fields = change if isinstance(change, dict) else {}
        if "type" not in fields:
            match change:
                case {"add": dict(more)} | {"delete": dict(more)} | {"update": dict(more)}:
                    fields = {"type": next(iter(change)), **more}  # as older versions have it
        moved = fields.get("move_path")
        if isinstance(moved, str) and moved != name:
            yield path, "moved", fields
            yield _storable(moved), "moved", fields
        else:
            yield path, _BY_TYPE.get(str(fields.get("type")), "changed"), fields


def files_printed(payload: Fields) -> Iterator[dict[str, ChangeKind]]:
    """The files that the output of a tool says were changed, of each patch."""
    for text in _texts(payload.get("output")):
        for files in _FILES.findall(text):
            yield {
                _storable(entry[2:]): _BY_LETTER[entry[0]] for entry in files.split("\n") if entry
            }


def _storable(path: str) -> str:
    """A path that SQLite takes and finds again in JSON, of which it reads no text beyond a NUL. No
    file has one in its name."""
    return storable_text(path).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _texts(output: Any) -> Iterator[str]:
    """The texts of a tool's output: one, or those of its parts; older versions put it in JSON."""
    if isinstance(output, str):
        match parsed(output) if output.startswith("{") else None:
            case {"output": str(text)}:
                yield text
            case _:
                yield output
    elif isinstance(output, dict):
        yield from _texts(output.get("content"))
    elif isinstance(output, list):
        yield from (
            part["text"]
            for part in output
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )


def time_of(item: Item) -> int | None:
    """When a line was written, in milliseconds since 1970, if it says so."""
    written = item.get("timestamp")
    return time_ms(written) if isinstance(written, str) else None


def digest_of_changes(changes: Iterable[tuple[str, int, int]]) -> int:
    """A digest of changes, each with its path, file and offset, whatever their order."""
    return digest_of_texts(f"{file} {offset} {path}" for path, file, offset in changes)


# -- files as a whole --------------------------------------------------------------------------


def changes_in(home: Path, files: Sequence[str], end: int | None = None) -> ChangesIn:
    """The changes of a thread in its ``files``, relative to the home, its own last; of that one in
    the lines before the byte ``end``. Raises OSError if one cannot be read."""
    found: list[Change] = []
    state: Fields = {}
    for number, path in enumerate(files):
        last = number == len(files) - 1
        own = ChangedFiles(home / path, file=number)
        _read(home / path, own, end if last else None)
        changes, state = own.end()
        found += changes
    return ChangesIn(found, state)


def changes_in_each(home: str, items: Sequence[tuple[str, int | None]]) -> list[ChangesIn | None]:
    """As :func:`changes_in`, for several threads, whose files are JSON, in a process of its own;
    None where a file cannot be read."""
    found: list[ChangesIn | None] = []
    for files, end in items:
        try:
            found.append(changes_in(Path(home), orjson.loads(files), end))
        except OSError as error:
            if error.errno in SHORTAGES:
                raise
            found.append(None)
        except (ValueError, TypeError):  # the row is not as it was written
            found.append(None)
    return found


def _read(path: Path, found: ChangedFiles, end: int | None) -> None:
    reader = LineReader()
    reader.marked = found.lines
    if end is None:
        with open_rollout(path, []) as stream:
            _pass_all(reader, stream)
    else:
        with LineFile(path) as file:
            _pass_all(reader, file.stream(0, end))


def _pass_all(reader: LineReader, stream: RolloutStream) -> None:
    for _ in reader.lines(stream, 0, _EVERY_LINE):
        pass


_EVERY_LINE: Final = Skipping(re.compile(b""))
_WITHOUT_USAGE: Final = Skipping(
    kinds.line_pattern(
        kinds.any_of(*kinds.passed_by(kinds.Reader.USAGE, kinds.Level.LINE)), kinds.PLAIN
    )
)


def _own_from(path: Path, meta: Any) -> int:
    """Where the lines of a file begin that are not copied from another thread; -1 if all of them
    are so far. Raises OSError if it cannot be read."""
    try:
        meta = meta if isinstance(meta, dict) else source_meta(path)
    except (DamagedCompression, HistoryIncomplete):
        return 0
    start = meta.get("subagent_history_start_ordinal")
    if type(start) is int and start > 0:
        return _offset_of(path, lambda item, _: _ordinal(item) >= start)
    if meta.get("forked_from_id") is None or isinstance(meta.get("history_base"), dict):
        return 0
    usage = UsageReducer()

    def is_own(item: Item, offset: int) -> bool:
        usage.apply(item, offset)
        return usage.thread_id is not None and not usage.copying

    return _offset_of(path, is_own, _WITHOUT_USAGE)


def _offset_of(path: Path, fits: Callable[[Item, int], bool], needs: Skipping | None = None) -> int:
    with open_rollout(path, []) as stream:
        for line in LineReader().lines(stream, 0, needs):
            if (item := object_of(line)) is not None and fits(item, line.offset):
                return line.offset
    return -1


def _ordinal(item: Item) -> int:
    ordinal = item.get("ordinal")
    return ordinal if isinstance(ordinal, int) else -1
