"""A thread as one JSON document, written turn by turn."""

from collections.abc import Iterator
from typing import Any

from cli.render.reading import Reading
from cli.terminal import damage
from cli.terminal.output import json_text


def document(reading: Reading, **more: Any) -> Iterator[str]:
    """The text of ``{"thread": …, "movedTo": …, "damage": […], "others": […]}``, in pieces: the
    app-server's ``ThreadReadResponse`` with turns, and what that leaves out. The thread also has
    what is given as ``more``."""
    thread = reading.thread() | more
    del thread["turns"]
    # The last key of a Thread is its turns.
    yield f'{{"thread": {json_text(thread)[:-1]}, "turns": ['
    yield from _array(reading.answers())
    moved = json_text(reading.cleaned(reading.details["moved_to"]))
    broken = json_text(reading.cleaned(damage.document(reading.dialogue.damage, reading.home)))
    yield f']}}, "movedTo": {moved}, "damage": {broken}, "others": ['
    yield from _array(reading.others())
    yield "]}\n"


def _array(values: Iterator[Any]) -> Iterator[str]:
    separator = "\n"
    for value in values:
        yield f"{separator}{json_text(value)}"
        separator = ",\n"
