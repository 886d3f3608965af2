"""The outline of a thread: of each turn what was asked, which files it changed, which commands
failed in it, and how many tokens it used.

A patch counts where it was applied. One that failed or was declined is a failure, as a command is
that failed or was declined; of what has no end nothing is known. Tokens are those that
:mod:`rollout.usage` counts, so without what was inherited, in the turn in which they are told.
"""

import json
import re
from collections.abc import Callable, Container, Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

from rollout.files.layout import parse_uuid
from rollout.files.text import one_line, shortened, storable_text
from rollout.history.segments import source_meta
from rollout.history.tool_calls import TOOL_CALL, begins_turn
from rollout.history.transcript import Transcript, with_calls
from rollout.items.calls import (
    PATCHES,
    SHELLS,
    command_line,
    outcome,
    parsed,
    shorten_outputs,
    untyped,
)
from rollout.items.patches import (
    ChangedFile,
    files_of_changes,
    files_of_patch,
    merged,
    patch_in,
    patch_text,
)
from rollout.items.thread_item import UNKNOWN
from rollout.jsonl.parse import Item, Line, object_of
from rollout.jsonl.reader import LineReader, Skipping
from rollout.schema import kinds
from rollout.schema.strict import Fields
from rollout.turns.turn import Turn

LONGEST: Final = 200
"""So many characters of a prompt or a command are kept."""
_TELLING: Final = (UNKNOWN, "commandExecution", "fileChange")
"""The kinds of items that tell of commands and files."""
_COMPACTED: Final = "the history was compacted here"
_ENDED_BADLY: Final = ("failed", "declined")
_MOST_LINES: Final = 10_000
"""So many lines of a turn are kept while it is read; the others are read once more."""
_LONG_LINE: Final = 1024
_BUFFER_BYTES: Final = 256 * 1024


class FailedCommand(NamedTuple):
    """A command or a patch that failed, or that was declined."""

    command: str
    """As one would type it, on one line that may be cut; of a patch ``apply_patch`` and its
    files."""
    exit_code: int | None = None
    """None if it has none: it was declined, or it is a patch."""


class TurnOutline(NamedTuple):
    """A turn in a line."""

    prompt: str = ""
    """The first line that the user wrote, which may be cut, or what the turn is if nobody wrote
    anything; empty if that cannot be told."""
    files: tuple[ChangedFile, ...] = ()
    """Each once, in the order in which they were first changed."""
    failures: tuple[FailedCommand, ...] = ()
    tokens: int | None = None
    """What its responses used of this thread's own; None if none is told."""

    def dump(self) -> tuple[str, str | None, str | None, int | None]:
        """For :meth:`load`: prompt, files and failures as JSON if there are any, and tokens."""
        return (
            storable_text(self.prompt),
            json.dumps(self.files) if self.files else None,
            json.dumps(self.failures) if self.failures else None,
            self.tokens,
        )

    @classmethod
    def load(
        cls, prompt: str, files: str | None, failures: str | None, tokens: int | None
    ) -> "TurnOutline":
        """What :meth:`dump` gave. Raises ValueError or TypeError for what it did not give."""
        return cls(
            prompt,
            tuple(ChangedFile(*each) for each in json.loads(files)) if files else (),
            tuple(FailedCommand(*each) for each in json.loads(failures)) if failures else (),
            tokens,
        )


class ListedTurn(NamedTuple):
    """A turn in an outline."""

    number: int
    """From 1."""
    turn: Turn
    """It may lack its items."""
    outline: TurnOutline

    @property
    def prompt(self) -> str:
        return self.outline.prompt

    @property
    def started_ms(self) -> int | None:
        started = self.turn.started_at
        return None if started is None else started * 1000


def prompt_of(item: Fields | None) -> str:
    """The first line of what :meth:`rollout.history.transcript.Transcript.beginning` gives: what
    the user wrote, or what the turn is if nobody wrote anything."""
    match item:
        case {"type": "userMessage", "content": list(content)}:
            text = "\n".join(filter(None, map(_part_text, content)))
            instead = "[image]" if any(map(_is_image, content)) else ""
        case {"type": "enteredReviewMode", "review": str(text)}:
            instead = "review begins"
        case {"type": "contextCompaction"}:
            text, instead = "", _COMPACTED
        case _:
            return ""
    _, _, behind = text.partition(kinds.REQUEST_MARKER)  # of editors, behind what is open
    return next(filter(None, map(one_line, (behind or text).split("\n"))), instead)


def _is_image(part: Fields) -> bool:
    return part["type"] == "localImage" or (part["type"] == "image" and "url" in part)


def _part_text(part: Fields) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "skill" | "mention" as kind, "name": name, "path": path}:
            return f"[{kind} {name}: {path}]"
    if _is_image(part):
        return ""
    where = part.get("path") or part.get("url") or part.get("fileId") or ""
    return f"[{part['type']} {str(where)[:200]}]"


def turn_outline(
    entries: Iterable[tuple[Fields, bool]], prompt: str = "", tokens: int | None = None
) -> TurnOutline:
    """The outline of a turn with these ``entries``: see
    :meth:`rollout.history.transcript.Transcript.entries`."""
    files: list[ChangedFile] = []
    failures: list[FailedCommand] = []
    for item, call in with_calls(entries):
        kind = item["type"]
        if kind == "commandExecution":
            _command(item, call, failures)
        elif kind == "fileChange":
            _patch(item, call, files, failures)
        elif kind == TOOL_CALL:
            _call(item, files, failures)
    return TurnOutline(shortened(prompt, LONGEST), merged(files), tuple(failures), tokens)


def _command(item: Fields, call: Fields | None, failures: list[FailedCommand]) -> None:
    code = item.get("exitCode")
    if code is None and call:
        code = outcome(call["output"], shell=True).exit_code
    if code or item.get("status") in _ENDED_BADLY:
        failures.append(FailedCommand(_line(untyped(str(item.get("command")))), code))


def _patch(
    item: Fields, call: Fields | None, files: list[ChangedFile], failures: list[FailedCommand]
) -> None:
    text = "" if call is None else patch_text(parsed(call["arguments"])) or ""
    found = [*files_of_changes(item.get("changes") or ())] or [*files_of_patch(text)]
    if item.get("status") == "completed":
        files += found
    elif item.get("status") in _ENDED_BADLY:
        failures.append(_failed_patch(found))


def _call(call: Fields, files: list[ChangedFile], failures: list[FailedCommand]) -> None:
    """A call without an item: only its output tells how it ended."""
    if call["output"] is None or call["name"] not in (*SHELLS, PATCHES):
        return
    arguments = parsed(call["arguments"])
    ended = outcome(call["output"], shell=call["name"] in SHELLS)
    line = command_line(arguments) or ""
    if call["name"] == PATCHES or (PATCHES in line and patch_in(line)):
        found = [*files_of_patch(patch_text(arguments) or "")]
        if ended.exit_code == 0 or (not ended.failed and ended.text.startswith("Success")):
            files += found
        else:
            failures.append(_failed_patch(found, ended.exit_code))
    elif ended.failed:
        failures.append(FailedCommand(_line(line), ended.exit_code))


def _failed_patch(files: Iterable[ChangedFile], code: int | None = None) -> FailedCommand:
    named = dict.fromkeys(file.moved_from or file.path for file in files)
    return FailedCommand(_line(" ".join([PATCHES, *named])), code)


def _line(command: str) -> str:
    return shortened(one_line(command[: LONGEST * 20]), LONGEST)


class UsageMark(NamedTuple):
    """How far the tokens of a thread were counted."""

    file: int
    """Which of the files that its history is in."""
    offset: int
    state: str
    """Of the :class:`rollout.usage.reducer.UsageReducer` there."""


@cache
def _needed() -> Skipping:
    """All but lines about calls, items and tokens."""
    events = (
        *kinds.read_by(kinds.Reader.CALLS, kinds.Level.EVENT),
        *kinds.read_by(kinds.Reader.USAGE, kinds.Level.EVENT),
        "item_completed",
    )
    readers = kinds.Reader.CALLS | kinds.Reader.USAGE
    responses = kinds.any_of(*kinds.passed_by(kinds.Reader.CALLS, kinds.Level.RESPONSE))
    lines = (
        kinds.any_of(*kinds.passed_by(readers, kinds.Level.LINE)),
        kinds.payload_type("response_item", responses),
        kinds.payload_type("event_msg", kinds.none_of(*events)) + '[a-z_]+"',
    )
    return Skipping(kinds.line_pattern("|".join(lines), kinds.PLAIN))


@cache
def _item_line() -> re.Pattern[bytes]:
    return kinds.line_pattern(kinds.payload_type("event_msg", 'item_completed"'), kinds.PLAIN)


class OutlinePass:
    """One pass over the files of a thread for the outlines of its turns."""

    def __init__(
        self,
        transcript: Transcript,
        *,
        mark: UsageMark | None = None,
        end: int | None = None,
        pause: Callable[[], None] | None = None,
    ) -> None:
        """``mark``: that of an earlier pass; what it counted is not read again. ``end``:
        how far the thread's own file was read for the turns, by default all of it. ``pause`` is
        called before each turn; what it raises ends the work."""
        from rollout.usage.reducer import UsageReducer  # what shows an outline needs none

        self._new_usage = UsageReducer
        self._transcript = transcript
        self._end = end
        self._pause = pause
        self._reader = LineReader(_BUFFER_BYTES)
        self._part = mark.file if mark else 0
        self._offset = mark.offset if mark else 0
        self._usage = UsageReducer.resumed(mark.state) if mark else UsageReducer()
        self._counted = 0
        """Tokens of lines inside of turns."""
        self._thread_id: str | None = None
        parts = transcript.parts
        if len(parts) > 1:
            self._thread_id = parse_uuid(source_meta(parts[-1].path).get("id"))
        self.mark = mark
        """Where the last turn begins, once its outline was given."""

    def outlines(
        self, first: int = 0, wanted: Container[int] | None = None
    ) -> Iterator[tuple[int, TurnOutline]]:
        """The outlines of the turns from the one with the number ``first`` on, from 0; of those
        that are ``wanted``, by default all. Raises OSError if a file cannot be read."""
        if self.mark and (self._part, self._offset) > self._place(first):
            self._part = self._offset = 0
            self._usage = self._new_usage()
        last = len(self._transcript.turns) - 1
        for number in range(first, last + 1):
            if self._pause:
                self._pause()
            self._count_until(*self._place(number))
            if number == last:
                self.mark = UsageMark(self._part, self._offset, self._usage.usage().state)
            if wanted is None or number in wanted:
                yield number, self._outline(number, last=number == last)

    def _place(self, number: int) -> tuple[int, int]:
        turns = self._transcript.turns
        start = turns[number].start if number < len(turns) else None
        return (start.file, start.offset) if start else (len(self._transcript.parts), 0)

    def _count_until(self, part: int, offset: int) -> None:
        """Count the tokens of lines before the one at ``offset``, which are of no turn."""
        if part != self._part:
            self._part, self._offset, self._usage = part, 0, self._new_usage()
        is_item = _item_line().match
        for line in self._lines(self._offset, offset):
            if not is_item(line.data) and (item := object_of(line)):
                self._usage.apply(item, line.offset)
        self._offset = offset

    def _lines(self, start: int, end: int | None) -> Iterator[Line]:
        if end is None and self._part == len(self._transcript.parts) - 1:
            end = self._end
        if end is not None and end <= start:
            return
        stream = self._transcript.file(self._part).stream(start, end)
        for line in self._reader.lines(stream, start, _needed()):
            if isinstance(line, Line):
                yield line

    def _outline(self, number: int, *, last: bool) -> TurnOutline:
        transcript, file = self._transcript, self._transcript.file(self._part)
        before = self._counted
        file.kept = {}
        found = turn_outline(
            transcript.entries(number, self._lines_of(number, file.kept), _TELLING),
        )
        prompt = prompt_of(transcript.beginning(number))
        file.kept = {}
        tokens = self._counted - before + (self._usage.doubtful if last else 0)
        return found._replace(
            prompt=shortened(prompt, LONGEST),
            tokens=tokens if self._is_own() and tokens > 0 else None,
        )

    def _lines_of(self, number: int, kept: dict[int, Item]) -> Iterator[tuple[int, Item]]:
        """The lines of a turn that may tell something, each with the byte where it begins. They are
        ``kept`` for a closer look; what they tell of tokens is counted."""
        transcript = self._transcript
        turn, cut = transcript.turns[number], transcript.parts[self._part].end_ordinal
        own, telling = transcript.own_messages(number), self._telling(turn)
        start, end = turn.start.offset, transcript.end_of(number)
        inside, is_item = True, _item_line().match
        for line in self._lines(start, end):
            if line.offset not in telling and is_item(line.data):
                continue
            item = object_of(line)
            if item is None:
                continue
            if cut is not None and _is_behind(item, cut):
                break
            if inside and own and line.offset > start:
                inside = not begins_turn(item) or own(line.offset)
            if item.get("type") != "response_item":
                counted = self._usage.certain
                self._usage.apply(item, line.offset)
                self._counted += (self._usage.certain - counted) * inside
            if inside:
                if len(line.data) > _LONG_LINE:
                    shorten_outputs(item)
                if len(kept) < _MOST_LINES:
                    kept[line.offset] = _NOTHING if _has_succeeded(item) else item
                yield line.offset, item
        self._offset = self._offset if end is None else end

    def _telling(self, turn: Turn) -> frozenset[int]:
        """Where the lines of items begin that tell something."""
        refs = [*turn.items.of_kinds(*_TELLING)]
        if turn.first_user >= 0:
            refs.append(turn.items.at(turn.first_user))
        return frozenset(at for ref in refs for at in ref.offsets if ref.file == self._part)

    def _is_own(self) -> bool:
        """Whether the file is the thread's own: what others used is inherited."""
        return self._thread_id is None or self._usage.thread_id == self._thread_id


_NOTHING: Final[Item] = {"type": "event_msg", "payload": {}}


def _has_succeeded(line: Item) -> bool:
    """Whether a line is the item of a command of which an outline has nothing to tell: most are."""
    match line:
        case {"payload": {"item": {"type": "CommandExecution", "exit_code": 0, "status": status}}}:
            return bool(status == "completed")
    return False


def _is_behind(line: Item, cut: int) -> bool:
    ordinal = line.get("ordinal")
    return isinstance(ordinal, int) and ordinal >= cut
