"""Undo changes of threads: put back the marks, the names and the files that were there before."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rollout.errors import RolloutError
from rollout.files.move import MoveGroup
from state.edit.archive import move_threads
from state.edit.marks import set_marks
from state.edit.metadata import Changed, set_name, take_back_name
from state.edit.move_plan import Action, MoveOutcome
from state.errors import StateError
from state.query.marks import Marks
from state.thread_index import ThreadIndex
from state.userdata.marks import NOTE, ON, PINNED, STATUS, tag_key

Error = StateError | RolloutError
Changes = Mapping[str, str | None]
"""Values of marks, by their keys; None takes one back."""


def tag_words(text: str) -> list[str]:
    """The words of a text that names tags, with blanks, commas or ``#`` between them."""
    return text.replace(",", " ").replace("#", " ").split()


def tag_changes(text: str) -> dict[str, str | None]:
    """The changes that a text asks for: ``tag`` adds one, ``-tag`` removes it. Raises InvalidMark
    if one cannot be a tag."""
    return {
        tag_key(word.removeprefix("-")): None if word.startswith("-") else ON
        for word in tag_words(text)
    }


def done_with_tags(changes: Changes) -> str:
    """What was done with tags: ``Added #a, #b and removed #c``."""
    added = [f"#{key.partition(':')[2]}" for key, value in changes.items() if value]
    removed = [f"#{key.partition(':')[2]}" for key, value in changes.items() if not value]
    parts = (("added", added), ("removed", removed))
    text = " and ".join(f"{verb} {', '.join(names)}" for verb, names in parts if names)
    return f"{text[:1].upper()}{text[1:]}"


def as_before(marks: Marks, changes: Changes) -> Changes:
    """The changes that give a thread back the marks that ``changes`` take."""
    earlier = {
        PINNED: ON if marks.pinned else None,
        NOTE: marks.note or None,
        STATUS: marks.status or None,
        **{tag_key(name): ON for name in marks.tags},
    }
    return {key: earlier.get(key) for key, value in changes.items() if earlier.get(key) != value}


async def put_back_marks(
    index: ThreadIndex, values: Mapping[str, Changes], sqlite_home: Path | None
) -> dict[str, Changed | Error]:
    """Set marks of threads to what they were: what became of each."""
    alike: defaultdict[tuple[tuple[str, str | None], ...], list[str]] = defaultdict(list)
    for id_, changes in values.items():
        alike[tuple(sorted(changes.items()))].append(id_)
    results: dict[str, Changed | Error] = {}
    for given, ids in alike.items():
        if given:
            results |= await set_marks(index, ids, dict(given), sqlite_home)
    return results


async def put_back_name(
    index: ThreadIndex, thread_id: str, name: str, before: str | None, sqlite_home: Path | None
) -> Changed | str:
    """Give a thread that was named ``name`` the name that it had before, None for none. If it has
    another one by now, it keeps that, which is given back. Raises what
    :func:`state.edit.metadata.set_name` raises."""
    now = (await index.thread(thread_id))["name"]
    if now != name:
        return now or ""
    if before is None:
        return await take_back_name(index, thread_id, sqlite_home)
    changed, _ = await set_name(index, thread_id, before, sqlite_home)
    return changed


async def put_back_files(
    index: ThreadIndex, action: Action, groups: Sequence[MoveGroup], sqlite_home: Path | None
) -> list[MoveOutcome]:
    """Undo the moves of an ``action``: these threads alone go back to where they were. Raises what
    :func:`state.edit.archive.move_threads` raises."""
    ids = [id_ for group in groups for id_ in group.thread_ids]
    back = {move.target: move.source for group in groups for move in group.moves}
    opposite = Action.UNARCHIVE if action is Action.ARCHIVE else Action.ARCHIVE
    return await move_threads(index, opposite, ids, sqlite_home, back=back)
