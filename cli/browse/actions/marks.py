"""Tags, the pin, the note and the status of threads."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cli.browse.actions.acting import ActingApp
from cli.browse.actions.sentences import called, capital, of_codex, refusals
from cli.browse.dialogs import Choice, Entered, Question, TextDialog
from cli.edit.undo import (
    Changes,
    as_before,
    done_with_tags,
    put_back_marks,
    tag_changes,
    tag_words,
)
from cli.terminal.text import one_line, plural
from state.aio import finished
from state.edit.marks import delete_tags, set_marks
from state.edit.metadata import Changed
from state.errors import InvalidMark
from state.query.marks import Marks, marks_steps, tag_counts_steps, tagged_steps
from state.userdata.marks import NOTE, ON, PINNED, STATUS, STATUSES, checked_marks, tag_key
from state.userdata.store import set_values

_NO_STATUS: Final = "none"
_MOST_TAGS: Final = 12
"""So many known tags are shown."""


async def tag(app: ActingApp, ids: Sequence[str]) -> None:
    """Show the tags of threads, add some and remove some; or delete a tag from all threads."""
    rows = await app.index.rows_of(ids)
    marks = await app.index.database.query(marks_steps(ids))
    known = await app.index.database.query(tag_counts_steps())
    common = sorted(known, key=lambda name: (-known[name], name))
    own = Counter(name for each in marks.values() for name in each.tags)
    lines = [
        _listed("Tags", {name: own[name] for name in sorted(own)}, len(ids)),
        _listed("Known", {name: known[name] for name in common[:_MOST_TAGS]}, 1),
        "tag adds, -tag removes",
    ]
    entered = await app.push_screen_wait(
        TextDialog(
            f"Tags of {called(rows, ids)}",
            lines=[line for line in lines if line],
            known=common,
            everywhere="Ctrl+D deletes from all" if known else "",
            problem=_tag_problem(known),
        )
    )
    if entered is None or not entered.text.strip():
        return
    if entered.everywhere:
        await _delete(app, tag_words(entered.text)[0].removeprefix("-"), known)
        return
    changes = tag_changes(entered.text)
    await _change(app, ids, changes, f"{done_with_tags(changes)}: {called(rows, ids)}")


async def pin(app: ActingApp, ids: Sequence[str]) -> None:
    """Pin threads; if all are pinned, take that back."""
    rows = await app.index.rows_of(ids)
    marks = await app.index.database.query(marks_steps(ids))
    pinned = all(id_ in marks and marks[id_].pinned for id_ in ids)
    done = "Unpinned" if pinned else "Pinned"
    await _change(app, ids, {PINNED: None if pinned else ON}, f"{done} {called(rows, ids)}")


async def note(app: ActingApp, ids: Sequence[str]) -> None:
    """Ask for a note, and set it; none takes it back."""
    rows = await app.index.rows_of(ids)
    marks = await app.index.database.query(marks_steps(ids))
    notes = {marks[id_].note if id_ in marks else "" for id_ in ids}
    before = notes.pop() if len(notes) == 1 else ""

    def problem(entered: Entered) -> str:
        return _problem({NOTE: entered.text or None})

    title = f"Note on {called(rows, ids)}"
    entered = await app.push_screen_wait(TextDialog(title, one_line(before), problem=problem))
    if entered is None or (entered.text.strip() == one_line(before) and not notes):
        return
    text = entered.text.strip() or None
    verb = "Noted on" if text else "Removed the note of"
    await _change(app, ids, {NOTE: text}, f"{verb} {called(rows, ids)}")


async def status(app: ActingApp, ids: Sequence[str]) -> None:
    """Ask for a status, and set it."""
    rows = await app.index.rows_of(ids)
    marks = await app.index.database.query(marks_steps(ids))
    current = {marks[id_].status if id_ in marks else "" for id_ in ids}
    before = current.pop() if len(current) == 1 else ""
    title = f"Status of {called(rows, ids)}"
    words = (*STATUSES, _NO_STATUS)
    word = await app.push_screen_wait(Choice(title, words, before or STATUSES[0]))
    if word is None:
        return
    value = None if word == _NO_STATUS else word
    await _change(app, ids, {STATUS: value}, f"Status {word}: {called(rows, ids)}")


async def _change(app: ActingApp, ids: Sequence[str], changes: Changes, done: str) -> None:
    """Change marks, and note how that is undone."""
    before = await app.index.database.query(marks_steps(ids))
    app.say("Writing …")
    results = await set_marks(app.index, ids, changes, app.here.sqlite_home)
    refused = {id_: each for id_, each in results.items() if not isinstance(each, Changed)}
    changed = [id_ for id_ in results if id_ not in refused]
    if changed:
        back = {id_: as_before(before.get(id_, Marks()), changes) for id_ in changed}
        app.can_undo(f"{done[:1].lower()}{done[1:]}", lambda: _put_back(app, back))
    told = f"{done}. {app.how_undone}" if changed else "Nothing was changed."
    rows = await app.index.rows_of([*refused])
    app.say(f"{told}{refusals(rows, refused)}{of_codex(results.values())}")
    await app.reload()


async def _delete(app: ActingApp, name: str, known: Mapping[str, int]) -> None:
    """Delete a tag from all threads."""
    key = tag_key(name)
    name = _name(key)
    count = plural(known[name], "thread")
    if not await app.push_screen_wait(Question(f"Delete the tag #{name} from {count}?")):
        app.say("Nothing was changed.")
        return
    ids = await app.index.database.query(tagged_steps(name))
    await delete_tags(app.index, [name])

    async def undo() -> str:
        await finished(set_values(app.index.database, ids, {key: ON}))
        return ""

    app.can_undo(f"deleted #{name}", undo)
    app.say(f"Deleted #{name} from {count}. {app.how_undone}")
    await app.reload()


async def _put_back(app: ActingApp, values: Mapping[str, Changes]) -> str:
    """Set marks to what they were. Gives what could not be."""
    results = await put_back_marks(app.index, values, app.here.sqlite_home)
    refused = {id_: each for id_, each in results.items() if not isinstance(each, Changed)}
    rows = await app.index.rows_of([*refused])
    return f"{refusals(rows, refused)}{of_codex(results.values())}"


def _tag_problem(known: Mapping[str, int]) -> Callable[[Entered], str]:
    def problem(entered: Entered) -> str:
        try:
            names = [_name(key) for key in tag_changes(entered.text)]
        except InvalidMark as error:
            return f"{capital(one_line(str(error)))}."
        if not entered.everywhere:
            return ""
        if len(names) != 1:
            return "Name the one tag that is to be deleted."
        return "" if names[0] in known else f"No thread has #{one_line(names[0])}."

    return problem


def _problem(changes: Changes) -> str:
    try:
        checked_marks(changes)
    except InvalidMark as error:
        return f"{capital(one_line(str(error)))}."
    return ""


def _name(key: str) -> str:
    return key.partition(":")[2]


def _listed(what: str, counts: Mapping[str, int], whole: int) -> str:
    """A line of tags, each with how many threads have it, where that is not all of them."""
    tags = [f"#{name}{f' ({count})' if count != whole else ''}" for name, count in counts.items()]
    return f"{what}: {'  '.join(tags)}" if tags else ""
