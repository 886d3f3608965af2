"""Finds the secrets in rollouts; for processes of their own. No secret leaves them."""

import os
import re
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from cli.redact.remover import SecretRemover
from rollout.errors import SHORTAGES, Damage, RolloutError
from rollout.history.segments import Find
from rollout.history.thread import bare_if_empty, open_history
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.reader import LineReader, Skipping, open_rollout
from rollout.schema import kinds

_NO_TEXT: Final = Skipping(
    kinds.line_pattern(f'(?:{kinds.TOKEN_COUNT}|token_usage_record")', kinds.PLAIN)
)
"""Skips lines that have nothing but numbers."""
_LEADS: Final = re.compile(
    rb'.{0,120}?"type":"(?:turn_context"'
    rb'|response_item","payload":\{"type":"message".{0,80}?"role":"(?:user|developer)")'
)
"""Lines that may stand before the one that begins their turn."""
_MOST: Final = 2000
"""Secrets of a file that are kept; all are counted."""


class Rollout(NamedTuple):
    """A file to search, and the file of its thread, relative to the home."""

    path: str
    thread_path: str


class Place(NamedTuple):
    """Where a secret is."""

    offset: int
    """Where its line begins, in bytes of the file's content; of the first line of its turn that has
    it."""
    anchor: int
    """An offset that is in the same turn."""
    item: str
    """The types of the line, outer and inner: ``response_item/function_call_output``."""
    kind: str
    length: int
    digest: bytes
    """Tells it from others of the file."""
    times: int = 1
    """How often it is there."""
    turn: int | None = None
    """From 1; None outside all turns."""


class Scanned(NamedTuple):
    """What was found in a file."""

    places: list[Place]
    left_out: int
    """How many more there are."""
    unseen: int
    """Images and other runs of base64, which were not searched."""
    damage: list[Damage]
    """Where it breaks off; the rest was not searched."""
    problem: str = ""
    """Why it could not be read, if it could not."""
    elsewhere: bool = False
    """Whether :func:`numbered` needs other files to number the turns."""


class Finder(SecretRemover):
    """Notes the secrets that it removes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, int, bytes]] = []
        """The kind, length and digest of each."""
        self._key = os.urandom(16)  # digests of passwords could be tried out

    def _out(self, kind: str, instead: str, removed: str) -> str:
        removed = removed.strip("\\\"'")
        data = removed.encode("utf-8", "surrogatepass")
        digest = blake2b(data, digest_size=8, key=self._key).digest()
        self.found.append((kind, len(removed), digest))
        return instead


@cache
def _finder() -> Finder:
    return Finder()


def scan_rollouts(home: str, rollouts: Sequence[Rollout]) -> list[Scanned]:
    """The secrets in some files. Raises OSError if the system lacks memory, file descriptors or
    the like."""
    finder = _finder()
    return [_scan(finder, Path(home), rollout) for rollout in rollouts]


def _scan(finder: Finder, home: Path, rollout: Rollout) -> Scanned:
    damage: list[Damage] = []
    places: list[Place] = []
    left_out = 0
    problem = ""
    finder.unseen = 0
    leads = 0  # places at the end whose turn the next line tells
    try:
        with open_rollout(home / rollout.path, damage) as stream:
            for line in LineReader().lines(stream, 0, _NO_TEXT):
                if not isinstance(line, Line):
                    continue
                leading = _LEADS.match(line.data) is not None
                if leads and not leading:
                    places[-leads:] = [
                        place._replace(anchor=line.offset) for place in places[-leads:]
                    ]
                    leads = 0
                found = _places(finder, line)
                room = max(_MOST - len(places), 0)
                left_out += len(found[room:])
                places += found[:room]
                leads += leading * len(found[:room])
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        problem = f"cannot be read: {error.strerror or error}"
    scanned = Scanned(places, left_out, finder.unseen, damage, problem)
    try:
        return numbered(home, rollout, scanned, _not_here)
    except _OtherFileNeeded:
        return scanned._replace(elsewhere=True)


def _places(finder: Finder, line: Line) -> list[Place]:
    finder.found = []
    item = parse_line(line, images=True)
    if isinstance(item, BadLine):
        finder.text(line.data.decode("utf-8", "replace"))
        types = ""
    elif item is not None:
        finder.value(item)
        types = _types(item)
    return [Place(line.offset, line.offset, types, *secret) for secret in finder.found]


def _types(item: dict[str, Any]) -> str:
    payload = item.get("payload")
    inner = payload if isinstance(payload, dict) else {}
    part = inner.get("item")
    names = (item.get("type"), inner.get("type"), part.get("type") if isinstance(part, dict) else 0)
    return "/".join(name for name in names if isinstance(name, str))


def numbered(home: Path, rollout: Rollout, scanned: Scanned, find: Find) -> Scanned:
    """What was found, with the numbers of turns, and once for each turn."""
    if not scanned.places:
        return scanned
    starts: list[tuple[int, int]] = []
    with suppress(RolloutError, OSError):
        history = bare_if_empty(open_history(home / rollout.thread_path, find))
        starts = sorted(
            (turn.start.offset, number)
            for number, turn in enumerate(history.turns, 1)
            if history.parts[turn.start.file].path == home / rollout.path
        )
    found: dict[tuple[int | None, str, bytes], Place] = {}
    for place in scanned.places:
        at = bisect_right(starts, place.anchor, key=lambda start: start[0])
        turn = starts[at - 1][1] if at else None
        known = found.setdefault(
            (turn, place.kind, place.digest), place._replace(times=0, turn=turn)
        )
        found[turn, place.kind, place.digest] = known._replace(times=known.times + 1)
    return scanned._replace(places=[*found.values()], elsewhere=False)


class _OtherFileNeeded(Exception):
    """The history of a thread begins in another file."""


def _not_here(rollout_id: str) -> Path | None:
    raise _OtherFileNeeded(rollout_id)
