"""Where rollouts break off, for people and programs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cli.terminal import output
from cli.terminal.text import one_line, plural
from rollout.errors import Damage

_SHOWN: Final = 5


def relative_path(found: Damage, home: Path) -> str:
    """The damaged file, relative to the home if it is below it."""
    inside = found.path.is_relative_to(home)
    return str(found.path.relative_to(home) if inside else found.path)


def sentences(damage: Sequence[Damage], home: Path, done: str = "is shown") -> Iterator[str]:
    """A line for each of the first few; ``done`` says what became of the readable part."""
    for found in damage[:_SHOWN]:
        where = f"{relative_path(found, home)} breaks off at byte {found.offset:,}"
        yield one_line(f"{where} ({found.reason}); what comes before it {done}.")
    if len(damage) > _SHOWN:
        yield f"… and {plural(len(damage) - _SHOWN, 'file')} more: --json names them."


def document(damage: Sequence[Damage], home: Path) -> list[dict[str, Any]]:
    """All of them as JSON."""
    return [
        {"path": relative_path(found, home), "offset": found.offset, "reason": found.reason}
        for found in damage
    ]


def report(damage: Sequence[Damage], home: Path, thread_id: str) -> None:
    """Say that a thread was shown only in part, and what helps."""
    for sentence in sentences(damage, home):
        output.say(sentence)
    if any(found.endless for found in damage):
        output.say("  --force reads all of it; zstd -d makes a plain file, which has no limit")
    elif damage:
        output.say(f"  threadkeep explain {thread_id} shows more")
