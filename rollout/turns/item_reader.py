"""The items of turns, read from the lines that references name, and turns as responses have them
(docs/rollout-format.md#turns-and-items-in-answers)."""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from rollout.files.cancellation import check_cancelled
from rollout.files.layout import COMPRESSED_SUFFIX
from rollout.items.thread_item import UNKNOWN, item_of
from rollout.jsonl.parse import BadLine, Item, Line, parse_line
from rollout.jsonl.reader import LONGEST_LINE, MemoryRollout, RolloutStream, open_rollout
from rollout.schema.modes import PAGINATED
from rollout.schema.strict import Fields
from rollout.turns.bare import BARE, bare_item, bare_payload
from rollout.turns.item_refs import ItemRef
from rollout.turns.turn import IN_PROGRESS, INTERRUPTED, Turn

View = Literal["notLoaded", "summary", "full"]

_WINDOW_BYTES: Final = 16 * 1024
_UNPACKED_BYTES: Final = 2**20
_OPEN_FILES: Final = 64
"""So many of a history's files are open at once: it may be in thousands."""


class LineFile(AbstractContextManager["LineFile"]):
    """Single lines of a rollout, by the bytes where they begin, as far as it reads. Close it, or
    use it in a ``with``."""

    def __init__(self, path: Path | str, *, images: bool = False) -> None:
        """``images``: also the inline ones of very long lines. Raises OSError if it cannot be
        read."""
        self._file: BinaryIO
        self._packed: RolloutStream | None = None
        self._unpacked = 0
        self._opened = ExitStack()
        if isinstance(path, MemoryRollout):
            self._file = BytesIO(path.content)
        elif os.fspath(path).endswith(COMPRESSED_SUFFIX):
            from tempfile import TemporaryFile

            with ExitStack() as opened:
                # The pass that found the lines has reported the damage.
                self._packed = opened.enter_context(open_rollout(Path(path), []))
                self._file = cast("BinaryIO", TemporaryFile(buffering=0))  # noqa: SIM115
                self._opened = opened.pop_all()
        else:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._images = images
        self.kept: dict[int, Item] = {}
        """Lines that were read already, by where they begin."""
        self._start = 0
        self._window = b""

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._opened.close()

    def read(self, offset: int) -> Item | None:
        """The line that begins at ``offset``; None if it cannot be read."""
        if (kept := self.kept.get(offset)) is not None:
            return kept
        data = self.data(offset)
        line = None if data is None else parse_line(Line(offset, data), images=self._images)
        return None if isinstance(line, BadLine) else line

    def stream(self, offset: int, end: int | None = None) -> RolloutStream:
        """The content from ``offset`` on, before ``end``, for a
        :class:`rollout.jsonl.reader.LineReader`."""
        self._unpack(end)
        return _Stream(self._file.fileno(), offset, end)

    def data(self, offset: int) -> bytes | None:
        """The bytes of the line that begins at ``offset``; None if there are none."""
        check_cancelled()
        front = offset - self._start
        if not 0 <= front < len(self._window):
            self._start, self._window, front = offset, self._more(offset, _WINDOW_BYTES), 0
        end = self._window.find(b"\n", front)
        if end < 0 and front:
            self._start, self._window, front = offset, self._more(offset, _WINDOW_BYTES), 0
            end = self._window.find(b"\n")
        size = len(self._window)
        while end < 0 and size <= LONGEST_LINE:
            more = self._more(self._start + size, size)
            if not more:
                return self._window[front:]
            self._window += more
            end = self._window.find(b"\n", size)
            size = len(self._window)
        return None if end < 0 else self._window[front:end]

    def _more(self, offset: int, size: int) -> bytes:
        if isinstance(self._file, BytesIO):
            return bytes(self._file.getbuffer()[offset : offset + size])
        self._unpack(offset + size)
        return os.pread(self._file.fileno(), size, offset)

    def _unpack(self, end: int | None) -> None:
        """Have the plain content of a compressed file in a file without a name, before ``end``:
        only its front could be read otherwise, and all of it may be very much."""
        if self._packed is None or (end is not None and self._unpacked >= end):
            return
        buffer = memoryview(bytearray(_UNPACKED_BYTES))
        while end is None or self._unpacked < end:
            got = self._packed.readinto(buffer)
            if not got:
                self._packed = None
                return
            self._file.write(buffer[:got])
            self._unpacked += got


class _Stream:
    """A file that others read too, read on from some byte, to another one if that is given."""

    def __init__(self, descriptor: int, offset: int, end: int | None) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._end = end

    def readinto(self, buffer: memoryview, /) -> int:
        if self._end is not None:
            buffer = buffer[: max(self._end - self._offset, 0)]
        got = os.preadv(self._descriptor, [buffer], self._offset)
        self._offset += got
        return got

    def seek(self, offset: int, /) -> int:
        self._offset = offset
        return offset

    def fileno(self) -> int:
        return self._descriptor


class ItemReader(AbstractContextManager["ItemReader"]):
    """The items of a thread whose history is in some files. Use it in a ``with``."""

    def __init__(self, paths: Sequence[Path], mode: str, *, images: bool = False) -> None:
        """``mode`` is the history mode of the thread, or :data:`rollout.turns.bare.BARE`;
        ``images``: items have also those inline images that make their lines very long."""
        self._images = images
        self._paths = paths
        self._mode = mode
        self._files: OrderedDict[int, LineFile] = OrderedDict()

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def item(self, ref: ItemRef) -> Fields | None:
        """The item at a reference; None if its lines are not in the file any more. Raises OSError
        if the file cannot be read."""
        if self._mode == BARE:
            line = self.file(ref.file).read(ref.offsets[0])
            payload = line and bare_payload(line)
            return bare_item(payload, ref.offsets[0]) if payload else None
        lines = [line for at in ref.offsets if (line := self._line(ref.file, at))]
        own_id = ref.made_up_id
        item = item_of(lines, own_id)
        if item and ref.times and (timed := self._line(*ref.times)):
            first = item_of([timed], own_id) or item
            for name in ("startedAtMs", "completedAtMs"):
                item[name] = item[name] if first[name] is None else first[name]
        return item

    def file(self, number: int) -> LineFile:
        """One of the files, counted from 0; good until others have been asked for. Raises OSError
        if it cannot be read."""
        file = self._files.get(number)
        if file is None:
            if len(self._files) >= _OPEN_FILES:
                self._files.popitem(last=False)[1].close()
            file = self._files[number] = LineFile(self._paths[number], images=self._images)
        self._files.move_to_end(number)
        return file

    def _line(self, number: int, offset: int) -> Item | None:
        line = self.file(number).read(offset)
        return line if line and isinstance(line.get("payload"), dict) else None

    def _full(self, turn: Turn) -> Iterator[Fields]:
        """The items of a turn in order, without those that Codex does not know."""
        for ref in turn.items:
            if ref.kind != UNKNOWN and (item := self.item(ref)) is not None:
                yield item

    def _summary(self, turn: Turn) -> Iterator[Fields]:
        records = [at for at in (turn.first_user, turn.final_agent) if at >= 0]
        if self._mode == PAGINATED:
            records.sort()
        for record in records:
            if (item := self.item(turn.items.at(record))) is not None:
                yield item

    def turn(self, turn: Turn, view: View = "full", *, live: bool = False) -> Fields:
        """A turn as responses have it. ``live``: the turn is running now."""
        items: list[Fields] = []
        if view == "full":
            items.extend(self._full(turn))
        elif view == "summary":
            items.extend(self._summary(turn))
        return turn_answer(turn, items, view, live=live)


def turn_answer(turn: Turn, items: list[Fields], view: View, *, live: bool = False) -> Fields:
    unfinished = turn.status == IN_PROGRESS and not live
    return {
        "id": turn.id,
        "rootTurnId": turn.root_id,
        "items": items,
        "itemsView": view,
        "status": INTERRUPTED if unfinished else turn.status,
        "error": turn.error,
        "startedAt": turn.started_at,
        "completedAt": turn.completed_at,
        "durationMs": turn.duration_ms,
    }
