"""Change a thread, and say how that is undone."""

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from cli.arguments.locations import Locations
from cli.edit.undo import (
    Changes,
    as_before,
    done_with_tags,
    put_back_files,
    put_back_marks,
    put_back_name,
    tag_changes,
    tag_words,
)
from cli.errors import outcome
from cli.render.labels import label
from cli.terminal.text import one_line, plural, shortened
from rollout.errors import RolloutError
from state.edit.archive import move_threads
from state.edit.marks import set_marks
from state.edit.metadata import Changed, set_name
from state.edit.move_plan import Action
from state.errors import InvalidMark, StateError
from state.query.marks import NO_MARKS, marks_steps
from state.query.rows import Row
from state.thread_index import ThreadIndex
from state.userdata.marks import NOTE, ON, PINNED, STATUS, tag_key

_MOST_UNDONE: Final = 100
"""So many changes can be undone, the last ones."""
_LONGEST: Final = 60
Undoing = Callable[[ThreadIndex], Awaitable[str]]
"""Undoes a change in the index, which may have been opened again since. Gives what else there is to
say of that."""


class Done(NamedTuple):
    """A change that was made."""

    told: str
    undoing: Undoing | None = None
    """None if there is nothing to undo."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done with a thread."""

    index: ThreadIndex
    here: Locations
    row: Row
    fields: Mapping[str, str]
    """What was typed."""

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def called(self) -> str:
        """What the thread is called in a sentence."""
        return f"“{shortened(one_line(label(self.row)) or self.id, _LONGEST)}”"


class Undone(NamedTuple):
    """A change that can be undone."""

    thread_id: str
    told: str
    undoing: Undoing


class Undos:
    """The last changes that were made here, by a name that only their page knows."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Undone] = OrderedDict()

    def keep(self, thread_id: str, done: Done) -> str:
        """The name of a change; empty if it cannot be undone."""
        if done.undoing is None:
            return ""
        name = secrets.token_urlsafe(12)
        self._kept[name] = Undone(thread_id, done.told, done.undoing)
        if len(self._kept) > _MOST_UNDONE:
            self._kept.popitem(last=False)
        return name

    async def undo(self, index: ThreadIndex, thread_id: str, name: str) -> Done | None:
        """Undo the change with this name; None if there is none of this thread. If it fails, it can
        be tried again."""
        found = self._kept.get(name)
        if found is None or found.thread_id != thread_id:
            return None
        del self._kept[name]  # a second click finds it undone
        try:
            rest = await found.undoing(index)
        except BaseException:
            self._kept[name] = found
            raise
        return Done(f"Undone: {found.told[:1].lower()}{found.told[1:]}{rest}")


async def rename(change: Change) -> Done:
    """Name a thread as ``name`` says."""
    index, home, before = change.index, change.here.sqlite_home, change.row["name"]
    changed, name = await set_name(index, change.id, change.fields.get("name", ""), home)

    async def undo(index: ThreadIndex) -> str:
        found = await put_back_name(index, change.id, name, before, home)
        if isinstance(found, str):
            return f" It has another name by now, and keeps it: “{one_line(found)}”."
        return _of_codex(found)

    told = f"Renamed to “{shortened(one_line(name), _LONGEST)}”."
    return Done(told + _of_codex(changed), undo if name != before else None)


async def tag(change: Change) -> Done:
    """Add the tags that ``tags`` names, and remove those with a minus."""
    return await _mark(change, tag_changes(change.fields.get("tags", "")))


async def untag(change: Change) -> Done:
    """Remove the tags that ``tags`` names."""
    names = tag_words(change.fields.get("tags", ""))
    return await _mark(change, dict.fromkeys(map(tag_key, names)))


async def pin(change: Change) -> Done:
    """Pin a thread."""
    return await _mark(change, {PINNED: ON}, f"Pinned {change.called}.")


async def unpin(change: Change) -> Done:
    """Take back the pin."""
    return await _mark(change, {PINNED: None}, f"Unpinned {change.called}.")


async def note(change: Change) -> Done:
    """Set the note; an empty one is taken back."""
    text = change.fields.get("note", "").replace("\r\n", "\n").strip()
    told = f"{'Noted on' if text else 'Removed the note of'} {change.called}."
    return await _mark(change, {NOTE: text or None}, told)


async def status(change: Change) -> Done:
    """Set the status; ``none`` takes it back."""
    word = change.fields.get("status", "")
    if not word:
        raise InvalidMark("no status is named")
    value = None if word == "none" else word
    return await _mark(change, {STATUS: value}, f"Status {word}: {change.called}.")


async def archive(change: Change) -> Done:
    """Archive a thread, with all that it has spawned."""
    return await _move(change, Action.ARCHIVE, "Archived")


async def unarchive(change: Change) -> Done:
    """Take a thread out of the archive, with all that it has spawned."""
    return await _move(change, Action.UNARCHIVE, "Unarchived")


CHANGES: Final[Mapping[str, Callable[[Change], Awaitable[Done]]]] = {
    each.__name__: each
    for each in (rename, tag, untag, pin, unpin, note, status, archive, unarchive)
}
"""All changes, by their names in addresses. They raise what :mod:`state.edit` raises."""


async def _mark(change: Change, changes: Changes, told: str = "") -> Done:
    index, home, id_ = change.index, change.here.sqlite_home, change.id
    before = (await index.database.query(marks_steps([id_]))).get(id_, NO_MARKS)
    changed = _checked((await set_marks(index, [id_], changes, home))[id_])
    back = as_before(before, changes)

    async def undo(index: ThreadIndex) -> str:
        results = await put_back_marks(index, {id_: back}, home)
        return "".join(_of_codex(_checked(each)) for each in results.values())

    told = told or f"{done_with_tags(changes)}: {change.called}."
    return Done(told + _of_codex(changed), undo if back else None)


async def _move(change: Change, action: Action, done: str) -> Done:
    index, home = change.index, change.here.sqlite_home
    (moved,) = await move_threads(index, action, [change.id], home)
    if moved.error:
        raise moved.error
    group = moved.group
    if group is None:
        return Done("Nothing was moved.")

    async def undo(index: ThreadIndex) -> str:
        outcomes = await put_back_files(index, action, [group], home)
        for each in outcomes:
            if each.error:
                raise each.error
        return ""

    others = len(group.thread_ids) - 1
    along = f" and {plural(others, 'thread')} that it spawned" if others else ""
    return Done(f"{done} {change.called}{along}.", undo)


def _checked(result: Changed | StateError | RolloutError) -> Changed:
    if not isinstance(result, Changed):
        raise result
    return result


def _of_codex(changed: Changed) -> str:
    """That Codex does not know of a change, and why; empty if it does."""
    error = changed.codex_error
    if error is None:
        return ""
    return f" Codex does not know yet: {one_line(str(error))}; {outcome(error).hint}."
