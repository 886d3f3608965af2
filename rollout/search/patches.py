"""Read patches from the lines that say what they have changed."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from rollout.items.calls import parsed
from rollout.items.parts import file_changes
from rollout.items.patches import ChangeKind, diff_of, diffs_of_patch, patch_text
from rollout.jsonl.parse import Line, object_of
from rollout.jsonl.reader import LineReader
from rollout.schema.strict import Fields, Unfit
from rollout.search.changed_files import changes_told, files_printed, kinds_of, time_of
from rollout.turns.item_reader import LineFile

_BEFORE: Final = 4 * 2**20
"""The call of a patch is looked for in so many bytes before its output."""


class ChangePlace(NamedTuple):
    """Where a thread says that it has changed a file."""

    path: str
    file: int
    """Which of the files that the thread is in."""
    offset: int
    """Of the line, in bytes of the file's content."""


class Patch(NamedTuple):
    """A change of a file, with what was changed."""

    path: str
    kind: ChangeKind
    at_ms: int | None
    """When, in milliseconds since 1970; None if the line does not say."""
    turn_id: str | None
    """The turn in which it was made, if the line says so."""
    diff: str | None
    """A unified diff without its header; of a file that was added or deleted its lines, if it has
    them. None if only the name of the file is known."""


def read_patches(
    home: Path, files: Sequence[str], places: Sequence[ChangePlace], *, diffs: bool = True
) -> Iterator[Patch]:
    """The patches at some places in the ``files`` of a thread, relative to the home, in their
    order. What is not there any more is left out, as are files that cannot be read. Without
    ``diffs`` none is looked for: some are far from where the patch is told."""
    for number, group in groupby(places, attrgetter("file")):
        try:
            with LineFile(home / files[number]) as lines:
                for place in group:
                    if patch := _patch_at(lines, place, diffs):
                        yield patch
        except OSError:
            continue


def _patch_at(lines: LineFile, place: ChangePlace, diffs: bool) -> Patch | None:
    data = lines.data(place.offset)
    item = None if data is None else object_of(Line(place.offset, data))
    payload = (item or {}).get("payload", item)
    if item is None or not isinstance(payload, dict):
        return None
    turn_id = _turn_id(payload)
    if told := changes_told(payload):
        for path, kind, change in kinds_of(told[1]):
            if path == place.path:
                diff = _diff(path, change) if diffs else None
                return Patch(path, kind, time_of(item), turn_id, diff)
        return None
    for printed in files_printed(payload):
        if place.path in printed:
            call_id = str(payload.get("call_id"))
            call = _call_before(lines, place.offset, call_id) if diffs else None
            diff = _diff_in(call, place.path) if call else None
            return Patch(place.path, printed[place.path], time_of(item), turn_id, diff)
    return None


def _turn_id(payload: Fields) -> str | None:
    passed = payload.get("internal_chat_message_metadata_passthrough")
    found = payload.get("turn_id", passed.get("turn_id") if isinstance(passed, dict) else None)
    return found if isinstance(found, str) else None


def _diff(path: str, change: Any) -> str | None:
    try:
        (read,) = file_changes({path: change})
    except (Unfit, ValueError):
        return None
    return diff_of(read)


def _diff_in(call: Fields, path: str) -> str | None:
    given = next((call[name] for name in ("arguments", "input", "action") if name in call), None)
    diffs = diffs_of_patch(patch_text(parsed(given)) or "")
    if path in diffs:
        return diffs[path]
    ending = f"/{path}"
    return next((diff for name, diff in diffs.items() if name.endswith(ending)), None)


def _call_before(lines: LineFile, offset: int, call_id: str) -> Fields | None:
    """The call with an id whose output is at ``offset``."""
    start = max(offset - _BEFORE, 0)
    wanted = call_id.encode("utf-8", "replace")
    found: Fields | None = None
    for line in LineReader().lines(lines.stream(start, offset), start):
        if not isinstance(line, Line) or wanted not in line.data:
            continue
        item = object_of(line) or {}
        payload = item.get("payload", item)
        if isinstance(payload, dict) and payload.get("call_id") == call_id:
            is_output = str(payload.get("type")).endswith("_output")
            found = found if is_output else payload
    return found
