"""An explanation as lines for people, and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from cli.terminal.cells import wrapped
from cli.terminal.style import Painter
from cli.terminal.text import one_line
from state.explain.explain import Explanation
from state.explain.reasons import BOTH, CODEX, HERE, THREAD_LIST, Reason

_HEADINGS: Final = {
    BOTH: "Not listed anywhere",
    HERE: "Not in threadkeep list",
    CODEX: "Not in Codex's picker (codex resume)",
    THREAD_LIST: "Not in thread/list of Codex's app-server",
}
_LEAST_ROOM: Final = 30


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


def fitted_lines(text: str, width: int | None, indent: str) -> Iterator[str]:
    """The lines of a sentence, all indented, and those that go on a little more."""
    text = one_line(text)
    room = None if width is None else max(width, _LEAST_ROOM) - len(indent)
    for line in [text] if room is None else wrapped(text, room, "  "):
        yield indent + line
