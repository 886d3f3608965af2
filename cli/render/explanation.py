"""An explanation as lines for people, and as JSON."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from cli.terminal.cells import wrapped
from cli.terminal.findings import entry
from cli.terminal.style import Painter
from cli.terminal.text import one_line, plural
from state.explain.explain import Explanation
from state.explain.folder import FolderExplanation
from state.explain.reasons import BOTH, CODEX, HERE, THREAD_LIST, Reason

_HEADINGS: Final = {
    BOTH: "Not listed anywhere",
    HERE: "Not in threadkeep list",
    CODEX: "Not in Codex's picker (codex resume)",
    THREAD_LIST: "Not in thread/list of Codex's app-server",
}
_LEAST_ROOM: Final = 30
_SHOWN_GONE: Final = 3


def document(found: Explanation) -> dict[str, Any]:
    """An explanation as JSON."""
    return {
        "version": 1,
        "verdict": found.verdict,
        "threadId": found.thread_id,
        "path": found.path,
        "listed": found.listed,
        "listedInCodex": found.listed_in_codex,
        "listedInThreadList": found.listed_in_thread_list,
        "reasons": [asdict(reason) for reason in found.reasons],
    }


def explained_lines(found: Explanation, width: int | None, paint: Painter) -> Iterator[str]:
    """An explanation for people, in lines that fit ``width`` but for long words and commands; None
    for any width."""
    for line in fitted_lines(found.verdict, width, ""):
        yield paint(line, "bold")
    places = [
        (name, one_line(value))
        for name, value in (("thread", found.thread_id), ("file", found.path))
        if value
    ]
    if places:
        yield ""
    for name, value in places:
        yield f"{paint(f'{name:<6}', 'dim')}  {value}"
    told = set(found.hiding(CODEX))
    for where, heading in _HEADINGS.items():
        reasons = [reason for reason in found.reasons if reason.hides and reason.where == where]
        if where == THREAD_LIST:  # what it has in common with the picker is said there
            reasons = [reason for reason in reasons if reason.code not in told]
        yield from _section(heading, reasons, found.path, width, paint)
    notes = [reason for reason in found.reasons if not reason.hides]
    yield from _section("Notes", notes, found.path, width, paint)


def _section(
    heading: str, reasons: list[Reason], path: str | None, width: int | None, paint: Painter
) -> Iterator[str]:
    if not reasons:
        return
    yield ""
    yield paint(heading, "bold")
    for reason in reasons:
        place = "" if reason.path in (path, None) else reason.path or ""
        if reason.offset is not None:
            place += f" at byte {reason.offset:,}"
        evidence = f"{reason.evidence} ({place.strip()})" if place else reason.evidence
        first, *rest = fitted_lines(f"{reason.code}: {evidence}", width, "  ")
        yield first.replace(reason.code, paint(reason.code, "yellow"), 1)
        yield from rest
        if reason.mend:
            yield f"    {paint('do:', 'dim')} {paint(one_line(reason.mend), 'cyan')}"


def folder_document(found: FolderExplanation) -> dict[str, Any]:
    """What the picker shows in a folder, as JSON."""
    return {
        "version": 1,
        "verdict": folder_verdict(found, found.folder or ""),
        "folder": found.folder,
        "threads": found.threads,
        "shown": found.shown,
        "shownByFork": found.fork_shows,
        "hidden": [asdict(group) for group in found.hidden],
        "otherFolders": {
            "threads": found.other_folders,
            "shownByAll": found.other_shown,
            "below": found.below,
            "moved": found.moved,
            "gone": [{"folder": cwd, "threads": count} for cwd, count in found.gone.items()],
        },
        "readsFiles": found.reads_files,
        "codexStarts": not found.stopped,
        "findings": [entry(finding) for finding in found.problems],
    }


def folder_verdict(found: FolderExplanation, folder: str) -> str:
    """How much the picker shows, in a sentence; ``folder`` is what the folder is called."""
    picker = f"Codex's picker in {folder}" if found.folder else "The picker of codex resume --all"
    began = " that began there" if found.folder else ""
    threads = plural(found.threads, "thread")
    if not found.threads:
        shown = f"{picker} is empty: none began there."
    elif not found.shown:
        shown = f"{picker} is empty: it leaves out {threads}{began}."
    elif found.shown < found.threads:
        shown = f"{picker} shows {found.shown:,} of the {threads}{began}."
    elif found.threads == 1:
        shown = f"{picker} shows the only thread{began}."
    else:
        shown = f"{picker} shows all {threads}{began}."
    return f"Codex does not start at present. Once it does: {shown}" if found.stopped else shown


def folder_lines(
    found: FolderExplanation, folder: str, width: int | None, paint: Painter
) -> Iterator[str]:
    """What the picker shows in a folder, for people; see :func:`explained_lines`."""
    for line in fitted_lines(folder_verdict(found, folder), width, ""):
        yield paint(line, "bold")
    problems = [
        (finding.kind.severity, finding.message, finding.mend or finding.kind.mend)
        for finding in found.problems
    ]
    yield from _entries("Codex's database", problems, width, paint)
    hidden = [(f"{group.threads:,}", group.text, group.command) for group in found.hidden]
    yield from _entries("Not shown", hidden, width, paint)
    yield from _entries("Besides", _besides(found), width, paint)


_Entry = tuple[str, str, str | None]
"""A mark, a clause that goes on with it, and a command."""


def _besides(found: FolderExplanation) -> Iterator[_Entry]:
    if found.other_folders:
        text = "began in other folders"
        parts = ((found.below, "below this one"), (found.moved, "in a folder that has moved here"))
        if inside := [f"{count:,} {where}" for count, where in parts if count]:
            text += f" ({', '.join(inside)})"
        text += f"; codex resume --all shows {found.other_shown:,} of them"
        yield f"{found.other_folders:,}", text, "codex resume --all"
    for cwd, count in list(found.gone.items())[:_SHOWN_GONE]:
        text = f"began in {cwd}, which is gone: if it is this folder now, record that"
        yield f"{count:,}", text, shlex.join(["threadkeep", "relink", cwd, found.folder or "."])
    if found.fork_shows != found.shown:
        left = found.shown - found.fork_shows
        text = f"not in the picker of codex fork, which shows the provider {found.provider} only"
        yield f"{left:,}", text, None
    if found.reads_files and found.threads:
        text = "the database has none of this folder to show, so the picker reads the files"
        yield "note", text, "threadkeep codex-check --fix"


def _entries(
    heading: str, entries: Iterable[_Entry], width: int | None, paint: Painter
) -> Iterator[str]:
    entries = list(entries)
    if not entries:
        return
    yield ""
    yield paint(heading, "bold")
    longest = max(len(mark) for mark, _, _ in entries)
    do = f"{' ' * (longest + 3)}{paint('do:', 'dim')}"
    for mark, text, command in entries:
        indent = " " * (2 + longest - len(mark))
        first, *rest = fitted_lines(f"{mark} {text}", width, indent)
        yield first.replace(mark, paint(mark, "yellow"), 1)
        yield from rest
        if command:
            yield f"{do} {paint(one_line(command), 'cyan')}"


def fitted_lines(text: str, width: int | None, indent: str) -> Iterator[str]:
    """The lines of a sentence, all indented, and those that go on a little more."""
    text = one_line(text)
    room = None if width is None else max(width, _LEAST_ROOM) - len(indent)
    for line in [text] if room is None else wrapped(text, room, "  "):
        yield indent + line
