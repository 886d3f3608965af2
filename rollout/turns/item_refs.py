"""References to the items of a turn, a few words each, as a thread may have a million of them.

An *item reference* names the lines that an item is made of; :mod:`rollout.turns.item_reader`
reads them. A history may be in several files, numbered from 0, the oldest first.
"""

import sys
from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from rollout.files.digest import blake2b
from rollout.items.thread_item import KINDS, UNKNOWN

NUMBERED: Final = "item-"
"""How the id of an item begins that has none in its line: a number follows."""
UNCOUNTED: Final = 2**40
"""Numbers and ordinals of items are higher where the lines before them were not read: they are
not known."""
_WORDS: Final = 4  # position, ordinal, number and kind, key
_FILE_SHIFT: Final = 48  # a position is a file and a byte in it
_OFFSET: Final = (1 << _FILE_SHIFT) - 1
_KIND_SHIFT: Final = 8
_KIND: Final = (1 << _KIND_SHIFT) - 1
_PART: Final = _KIND  # the record continues the item before it ...
_GONE: Final = _PART - 1  # ... or did so
_MOST_NUMBERS: Final = _OFFSET  # a larger number is the position of another line, from file 1 on
_MOST_FILES: Final = 254  # in which times are kept: eight bits are left for them
_FEW: Final = 16  # as many keys are looked through one by one
_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}


class Position(NamedTuple):
    """Between two lines of a thread. Earlier ones are less."""

    file: int
    """Which of the files that the thread's history is in."""
    offset: int
    """Bytes of that file's content before it."""
    ordinal: int
    """The first ordinal that may stand behind it; 0 in legacy files."""


class ItemRef(NamedTuple):
    """Where one item is, without its content."""

    kind: str
    """``type`` of the item, or :data:`rollout.items.thread_item.UNKNOWN`."""
    number: int | None
    """Its id is ``item-<number>``; None if the line has it."""
    ordinal: int
    """Of the line where it first appeared; in legacy threads the index of that line."""
    file: int
    """Which of the files that the history is in."""
    offsets: tuple[int, ...]
    """Where its lines begin, in bytes of the file's content."""
    times: tuple[int, int] | None = None
    """File and offset of the line that the item's times are taken from, if it is another one."""

    @property
    def made_up_id(self) -> str:
        """The id of the item if it has none in its line."""
        if self.kind == UNKNOWN or max(self.number or 0, self.ordinal) > UNCOUNTED:
            return f"at-{self.offsets[0]}"
        # Codex makes up another id for a hook's prompt each time that it is read.
        return f"hook-{self.ordinal}" if self.number is None else f"{NUMBERED}{self.number}"


class ItemRefs:
    """References to the items of a turn, in order."""

    __slots__ = ("_count", "_last", "_slots", "_words")

    def __init__(self) -> None:
        self._words = array("Q")
        self._count = 0
        self._last = -1  # record of the last item that is known
        self._slots: array[int] | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ItemRef]:
        return self.of_kinds(*KINDS)

    def records(self, *kinds: str) -> Iterator[tuple[int, ItemRef]]:
        """As :meth:`of_kinds`, each with its record."""
        words, wanted = self._words, {_KIND_NUMBERS[kind] for kind in kinds}
        for at in range(0, len(words), _WORDS):
            if words[at + 2] & _KIND in wanted:
                yield at // _WORDS, self._ref(at)

    def of_kinds(self, *kinds: str) -> Iterator[ItemRef]:
        """Those whose kind is one of these, in order."""
        return (ref for _, ref in self.records(*kinds))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ItemRefs) and self._words == other._words

    __hash__ = None  # type: ignore[assignment]

    def _ref(self, at: int) -> ItemRef:
        words = self._words
        position, ordinal, number = words[at : at + 3]
        kind, file = KINDS[number & _KIND], position >> _FILE_SHIFT
        number >>= _KIND_SHIFT
        offsets = [position & _OFFSET]
        at += _WORDS
        while at < len(words) and words[at + 2] & _KIND == _PART:
            offsets.append(words[at] & _OFFSET)
            at += _WORDS
        if number <= _MOST_NUMBERS:
            return ItemRef(kind, number or None, ordinal, file, tuple(offsets))
        timed = (number >> _FILE_SHIFT) - 1, number & _OFFSET
        times = None if timed == (file, offsets[0]) else timed
        return ItemRef(kind, None, ordinal, file, tuple(offsets), times)

    def at(self, record: int) -> ItemRef:
        """The item that :meth:`add` or :meth:`find` gave this number for."""
        return self._ref(record * _WORDS)

    def add(
        self,
        kind: str,
        position: Position,
        ordinal: int,
        *,
        number: int = 0,
        key: int = 0,
        timed: bool = False,
    ) -> int:
        """Append an item; gives its record. ``key`` is the :func:`key_of` its id,
        if it can be found by that; ``timed``: its line has times."""
        record = len(self._words) // _WORDS
        number = _times(position) if timed else number
        where = position.file << _FILE_SHIFT | position.offset
        self._words.extend((where, ordinal, number << _KIND_SHIFT | _KIND_NUMBERS[kind], key))
        if kind != UNKNOWN:
            self._count += 1
            self._last = record
        if self._slots is not None:
            self._note(record, key)
        return record

    def continue_last(self, position: Position, ordinal: int) -> None:
        """Continue the last known item in another line; unknown ones may follow it."""
        words, at = self._words, len(self._words)
        while words[at - 2] & _KIND == _KIND_NUMBERS[UNKNOWN]:
            at -= _WORDS
        if at < len(words):
            self._slots = None
        where = position.file << _FILE_SHIFT | position.offset
        words[at:at] = array("Q", (where, ordinal, _PART, 0))

    def last_kind(self) -> str | None:
        """The kind of the last item that Codex knows."""
        if self._last < 0:
            return None
        return KINDS[self._words[self._last * _WORDS + 2] & _KIND]

    def replace(
        self, record: int, kind: str, position: Position, *, number: int = 0, timed: bool = False
    ) -> None:
        """The item of this record is in another line now. It keeps its position and ordinal, and
        the times that it had."""
        words, at = self._words, record * _WORDS
        words[at] = position.file << _FILE_SHIFT | position.offset
        number = number or words[at + 2] >> _KIND_SHIFT or (_times(position) if timed else 0)
        words[at + 2] = number << _KIND_SHIFT | _KIND_NUMBERS[kind]
        at += _WORDS
        while at < len(words) and words[at + 2] & _KIND == _PART:
            words[at + 2] = _GONE
            at += _WORDS

    def first(self, kind: str) -> int:
        """The record of the first item of a kind, -1 if there is none."""
        words, wanted = self._words, _KIND_NUMBERS[kind]
        starts = range(0, len(words), _WORDS)
        return next((at // _WORDS for at in starts if words[at + 2] & _KIND == wanted), -1)

    def last(self, kind: str) -> int:
        """The record of the last item of a kind, -1 if there is none."""
        words, wanted = self._words, _KIND_NUMBERS[kind]
        starts = range(len(words) - _WORDS, -1, -_WORDS)
        return next((at // _WORDS for at in starts if words[at + 2] & _KIND == wanted), -1)

    def find(self, key: int) -> int:
        """The record of the item whose id has this key; -1 if there is none."""
        words = self._words
        if self._slots is None:
            count = len(words) // _WORDS
            if count <= _FEW:
                return next((at for at in range(count) if words[at * _WORDS + 3] == key), -1)
            self._grow()
        slots = self._slots
        assert slots is not None
        mask = len(slots) - 1
        at = key & mask
        while record := slots[at]:
            if words[record * _WORDS - 1] == key:
                return record - 1
            at = (at + 1) & mask
        return -1

    def _grow(self) -> None:
        records = len(self._words) // _WORDS
        self._slots = array("I", bytes(4 << (records * 3).bit_length()))
        for record in range(records):
            self._note(record, self._words[record * _WORDS + 3])

    def _note(self, record: int, key: int) -> None:
        slots = self._slots
        assert slots is not None
        if not key:
            return
        if record * 2 > len(slots):
            self._grow()
            return
        mask = len(slots) - 1
        at = key & mask
        while slots[at]:
            at = (at + 1) & mask
        slots[at] = record + 1

    def ordinals(self) -> "array[int]":
        """The ordinal of each record, in order."""
        return self._words[1::_WORDS]

    def kind_at(self, record: int) -> str | None:
        """The kind of the item that has this record; None if the record continues another."""
        kind = self._words[record * _WORDS + 2] & _KIND
        return KINDS[kind] if kind < _GONE else None

    def dump(self) -> bytes:
        """As bytes, for :meth:`load`."""
        return words_to_bytes(self._words)

    @classmethod
    def load(cls, data: bytes) -> "ItemRefs":
        """What :meth:`dump` gave."""
        refs = cls()
        words = refs._words = words_of(data)
        kinds = words[2::_WORDS]
        # Turns may have a hundred thousand items: most are looked at by none but this.
        refs._count = sum(1 for kind in kinds if 0 < kind & _KIND < _GONE)
        records = range(len(kinds) - 1, -1, -1)
        refs._last = next((at for at in records if 0 < kinds[at] & _KIND < _GONE), -1)
        return refs


def words_to_bytes(words: "array[int]") -> bytes:
    """The numbers as little-endian bytes, for :func:`words_of`."""
    if sys.byteorder == "big":
        words = array("Q", words)
        words.byteswap()
    return words.tobytes()


def words_of(data: bytes) -> "array[int]":
    """What :func:`words_to_bytes` was given."""
    words = array("Q")
    words.frombytes(data)
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _times(position: Position) -> int:
    file = min(position.file, _MOST_FILES)
    return file + 1 << _FILE_SHIFT | position.offset


def key_of(item_id: str) -> int:
    """A number for an id, never 0: 64 bits of a hash, so that the ids of a turn do not collide."""
    digest = blake2b(item_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1
