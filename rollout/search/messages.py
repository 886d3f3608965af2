"""The messages of users and agents that the history of a thread shows, and where they are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

from rollout.files.digest import blake2b
from rollout.history.thread import ThreadTurns
from rollout.items.thread_item import UNKNOWN, has_text, item_of
from rollout.jsonl.parse import Item, Line, object_of
from rollout.schema.strict import Fields
from rollout.turns.bare import bare_item, bare_payload
from rollout.turns.item_reader import LineFile
from rollout.turns.item_refs import ItemRef
from rollout.turns.turn import Turn

MESSAGES: Final = ("userMessage", "agentMessage")


class NeedsWholeFile(Exception):
    """More decides what is shown than the lines of this pass."""


class Message(NamedTuple):
    """One message."""

    file: int
    """Which of the files that the thread is in."""
    offset: int
    """Of its line, in bytes of the file's content."""
    text: str
    kind: str
    """One of :data:`MESSAGES`."""
    turn_id: str
    """Id of its turn, as ``thread/turns/list`` gives it."""
    item_id: str
    """Its own, as the items of that turn have it; empty if neither is known, of a legacy thread
    that an earlier version of this program has indexed."""
    key: int = 0
    """Of its turn and id, in paginated threads: a later line with the same one replaces it."""


class Location(NamedTuple):
    """Where a message is."""

    file: int
    offset: int
    turn_id: str = ""
    item_id: str = ""
    """Empty, with that of its turn, if the line itself has both."""


def digest_of(messages: Iterable[Message]) -> int:
    """A digest of these messages, whatever their order; the digest of all is the sum of those of
    the parts, by :func:`sum_of`."""
    return digest_of_texts(f"{each.file} {each.offset} {each.text}" for each in messages)


def digest_of_texts(texts: Iterable[str]) -> int:
    """A digest of some texts, whatever their order."""
    found = 0
    for text in texts:
        known = text.encode("utf-8", "replace")
        found += int.from_bytes(blake2b(known, digest_size=_DIGEST_BYTES).digest())
    return sum_of(found)


def sum_of(*digests: int) -> int:
    """The digest of all messages whose parts have these digests."""
    return sum(digests) & _DIGEST_MASK


def item_text(item: Fields) -> str:
    """The text of a message."""
    if item["type"] == "agentMessage":
        return str(item["text"])
    parts = (part for part in item["content"] if part["type"] == "text")
    return "\n".join(part["text"] for part in parts)


def history_messages(history: ThreadTurns) -> Iterator[tuple[Turn, ItemRef, Fields]]:
    """The messages of a history in order, each with its turn and reference. Those that Codex cannot
    read are among them."""
    with history.reader() as reader:
        for turn, ref in history.refs():
            item = reader.item(ref) if ref.kind in (*MESSAGES, UNKNOWN) else None
            if item is not None and is_message(item):
                yield turn, ref, item


def is_message(item: Fields) -> bool:
    """Whether an item is a message whose text could be read."""
    return item["type"] in MESSAGES and has_text(item)


def read_messages(
    home: Path,
    files: Sequence[str],
    locations: Iterable[Location],
    may_hold: Callable[[bytes], bool],
) -> Iterator[Message]:
    """The messages at these locations that ``may_hold`` what is looked for, by the bytes of their
    lines; without those that are not there any more. Raises OSError if a file cannot be read."""
    for file, group in groupby(locations, key=itemgetter(0)):
        with LineFile(f"{home}/{files[file]}") as lines:
            for _, offset, turn_id, item_id in group:
                data = lines.data(offset)
                if data is None or not may_hold(data):
                    continue
                line = object_of(Line(offset, data))
                item = None if line is None else _message_in(line, offset)
                if line is not None and item is not None:
                    if not item_id and line["type"] == "event_msg":
                        turn_id, item_id = line["payload"].get("turn_id") or "", item["id"] or ""
                    yield Message(file, offset, item_text(item), item["type"], turn_id, item_id)


def _message_in(line: Item, offset: int) -> Fields | None:
    item = None
    if isinstance(line.get("payload"), dict) and "type" in line:
        item = item_of([line])
    if item is None and (payload := bare_payload(line)):
        item = bare_item(payload, offset)
    return item if item is not None and is_message(item) else None


_DIGEST_BYTES: Final = 16
_DIGEST_MASK: Final = (1 << 8 * _DIGEST_BYTES) - 1
