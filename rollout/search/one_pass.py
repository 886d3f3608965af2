"""Metadata, usage, messages and changed files, from one pass over the lines of each file.

Where other lines than these decide which messages are shown, or a line cannot be taken for certain,
the messages are left to a pass of their own (:mod:`rollout.search.extract`), which finds the same.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from rollout.history.thread import give
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.reader import LineReader
from rollout.metadata.extract import extract_file
from rollout.metadata.model import ThreadMetadata, complete_metadata
from rollout.metadata.outcomes import EarlierMetadata, Extracted, Unusable
from rollout.metadata.reducer import MetadataReducer
from rollout.metadata.worker import extract_many
from rollout.schema import kinds
from rollout.search.changed_files import ChangedFiles
from rollout.search.documents import Documents, Thread, documents_of, header_of
from rollout.search.extract import MessageReducer, messages_of, reducer_of
from rollout.search.messages import NeedsWholeFile

Read = tuple[Extracted | Unusable, Documents | None]
"""The outcome of a file, and the documents of its thread, unless they need a pass of their own. The
row of the thread is not known yet: it is 0."""


def read_all(home: str, items: Sequence[tuple[str, EarlierMetadata | None, str]]) -> list[Read]:
    """What several files below ``home`` give, in their order: each a path, how far it was read
    before, and the name that its thread probably has."""
    reader = LineReader()
    return [_read(home, *item, reader) for item in items]


def _read(
    home: str, path: str, earlier: EarlierMetadata | None, name: str, reader: LineReader
) -> Read:
    reducers: list[_OnePass] = []
    reader.marked = None

    def begin(metadata: ThreadMetadata, longest: int | None) -> MetadataReducer:
        changed = ChangedFiles(f"{home}/{path}")
        reader.marked = changed.lines
        reducers.append(_OnePass(metadata, longest, path, reader, changed))
        return reducers[-1]

    try:
        outcome = extract_file(home, path, earlier, reader, begin=begin)
        if isinstance(outcome, Unusable) or not reducers:
            return outcome, None
        return outcome, reducers[-1].documents(outcome, name)
    except Exception:  # noqa: BLE001  # whatever it is, it may not cost the metadata
        return extract_many(home, [(path, earlier)])[0], None


class _Apart(Exception):
    """A line that one pass may take otherwise than two."""


class _OnePass(MetadataReducer):
    """Hands the lines of a file to what finds its messages, as well; its reader hands others to
    what finds the files that were changed."""

    def __init__(
        self,
        metadata: ThreadMetadata,
        longest: int | None,
        path: str,
        reader: LineReader,
        changed: ChangedFiles,
    ) -> None:
        self._path, self._reader = path, reader
        self._changed = changed
        self._begun = False
        self._messages: MessageReducer | None = None
        self._skipped = self._unneeded = _NOTHING
        super().__init__(metadata, longest)

    def _note_needs(self) -> None:
        super()._note_needs()
        if self.skip is not self._unneeded:
            self._unneeded = self._skipped = self.skip
            if self._messages is not None:
                self._skipped = kinds.both(self._unneeded, self._messages.skip)
        self.skip = self._skipped

    def apply(self, line: Line | BadLine) -> bool:
        messages = self._messages
        if messages is None:
            return super().apply(line) if self._begun else self._begin(line)
        if isinstance(line, BadLine):
            raise _Apart
        if self._reader.passed:
            self._pass_lines(messages)
        data, unneeded = line.data, None
        if data.endswith(b"}") and line.ended:
            if passed := messages.skip.match(data):
                messages.pass_over(1, int(passed[1] or -1))
                return super().apply(line)
            unneeded = self._unneeded.match(data)
        elif len(data) >= _LONG:  # what does not end like an object is passed over only then
            raise _Apart
        value = parse_line(line)
        try:
            if not line.ended:
                raise NeedsWholeFile  # it may still grow
            if isinstance(value, dict):
                give(messages, value, line)
        except NeedsWholeFile:
            self._find_messages(None)
        if unneeded:
            self._pass_line(unneeded, line.offset)
            return False
        return value is not None and self.take(value, line.offset)

    def _begin(self, line: Line | BadLine) -> bool:
        """Take the first line, which tells how messages are found."""
        self._begun = True
        if isinstance(line, BadLine) or line.offset or not line.ended:
            return super().apply(line)
        value = parse_line(line)
        if isinstance(value, dict) and value.get("type") == "session_meta":
            self._changed.meta = value.get("payload")
            with suppress(NeedsWholeFile):
                messages = reducer_of(self._path, value.get("payload"))
                give(messages, value, line)
                self._find_messages(messages)
        return value is not None and self.take(value, line.offset)

    def _find_messages(self, messages: MessageReducer | None) -> None:
        self._messages = messages
        self._unneeded = _NOTHING
        self._note_needs()

    def _pass_lines(self, messages: MessageReducer) -> None:
        """Tell of the lines that nobody needed."""
        messages.pass_over(self._reader.passed, self._reader.highest)
        self._reader.passed = 0

    def _pass_line(self, unneeded: re.Match[bytes], offset: int) -> None:
        """Count a line as if only the metadata were read."""
        if ordinal := unneeded[1]:
            follows = int(ordinal) >= self.metadata.next_ordinal
            self.pass_over(int(ordinal), 0, -1) if follows else self.pass_over(-1, 1, offset)

    def documents(self, outcome: Extracted, name: str) -> Documents | None:
        """The documents of the thread, if all its messages were found."""
        messages, path = self._messages, outcome.path
        if messages is None or outcome.bad_lines != self.bad_lines:  # the content breaks off
            return None
        self._pass_lines(messages)
        resume = outcome.resume if messages.goes_on else outcome.resume._replace(guard="")
        try:
            read = messages_of(messages, self._changed, path, resume, (path,))
        except NeedsWholeFile:
            return None
        shown = complete_metadata(outcome.metadata)
        preview = shown.preview or shown.fallback_preview
        header = header_of(name or shown.rollout_name, shown.title, preview)
        return documents_of(Thread(0, path, outcome.stamp, header), read)


_NOTHING: Final = re.compile(b"(?!)")
_LONG: Final = 2**16
"""Of longer lines the reader may keep a part, or nothing."""
