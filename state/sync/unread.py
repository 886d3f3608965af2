"""The files that a sync or a backfill has found and not stored yet, the last changed first; and how
late a time in such a file may be."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import lru_cache
from typing import Final

from rollout.files.layout import name_time_ms
from rollout.files.scan import FoundFile

_SLACK_MS: Final = 60_000
"""A file system's clock may be behind the one that wrote a line, if only by its coarseness."""
_DAY_MS: Final = 86_400_000
_NO_LIMIT: Final = 2**63
_TIME_BEGINS: Final = len("rollout-")
_TIME_ENDS: Final = len("rollout-2026-11-20T12-00-00")
_ID_BEGINS: Final = _TIME_ENDS + 1
_ID_LENGTH: Final = 36


def latest_ms(file: FoundFile) -> int:
    """No time of a thread that the file holds is later: each line was written before the file last
    changed, and a creation that no line tells is taken from the name. What changed a day before the
    time in its name was set back, so that its time tells nothing."""
    changed = file.stamp.mtime_ns // 1_000_000
    named = _named_ms(file.path.rsplit("/", 1)[-1][_TIME_BEGINS:_TIME_ENDS])
    return _NO_LIMIT if named > changed + _DAY_MS else max(changed + _SLACK_MS, named)


def last_changed_first(file: FoundFile) -> tuple[int, str]:
    """Sort key for reading, in reverse: the newest threads are there first, whatever the order of a
    list; of files with one time the one with the latest name."""
    return (latest_ms(file), file.path.rsplit("/", 1)[-1])


def _named_ms(text: str) -> int:
    day = _day_ms(text[:10])
    try:
        return day and day + (int(text[11:13]) * 60 + int(text[14:16])) * 60_000 + 59_999
    except ValueError:
        return 0


@lru_cache(maxsize=4096)
def _day_ms(text: str) -> int:
    return name_time_ms(f"{text}T00-00-00") or 0


class Unread:
    """Some files that are still to be read, sorted by :func:`last_changed_first`."""

    def __init__(self, files: Sequence[FoundFile]) -> None:
        self.files = files
        self._by_id: dict[str, list[FoundFile]] | None = None

    @classmethod
    def sorted(cls, files: Sequence[FoundFile]) -> "Unread":
        """Files in whatever order."""
        return cls(sorted(files, key=last_changed_first, reverse=True))

    def __len__(self) -> int:
        return len(self.files)

    @property
    def latest_ms(self) -> int:
        """No time of a thread in these files is later."""
        return latest_ms(self.files[0]) if self.files else -_NO_LIMIT

    def of_ids(self, ids: Collection[str]) -> list[FoundFile]:
        """The files that have one of the ids in their name, of a thread or of a rollout."""
        known = self._named()
        found = {file.path: file for id_ in ids for file in known.get(id_, ())}
        return list(found.values())

    def ids(self) -> Collection[str]:
        """The ids in the names of these files."""
        return self._named().keys()

    def _named(self) -> dict[str, list[FoundFile]]:
        if self._by_id is None:
            self._by_id = {}
            for file in self.files:
                name = file.path.rsplit("/", 1)[-1]
                for at in (_ID_BEGINS, _ID_BEGINS + _ID_LENGTH + 1):
                    if len(id_ := name[at : at + _ID_LENGTH].lower()) == _ID_LENGTH:
                        self._by_id.setdefault(id_, []).append(file)
        return self._by_id


Waiting = Callable[[Unread], Awaitable[Collection[str] | None]]
"""Somebody who waits for an answer while files are read. Called between batches with those that
are left, it gives the ids whose files it needs next, maybe none; None once it has its answer. If it
raises Answered, the other files are left to the next command."""
