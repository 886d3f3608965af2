"""A thread as one JSON document, written turn by turn."""

from collections.abc import Iterator
from typing import Any

from cli.render.reading import Reading
from cli.terminal import damage, output


def document(reading: Reading) -> Iterator[str]:
    """The text of ``{"thread": …, "movedTo": …, "damage": […], "others": […]}``, in pieces: the
    app-server's ``ThreadReadResponse`` with turns, and what that leaves out."""
    thread = reading.thread()
    del thread["turns"]
    # The last key of a Thread is its turns.
    yield f'{{"thread": {_json(thread)[:-1]}, "turns": ['
    yield from _array(reading.answers())
    moved = _json(reading.cleaned(reading.details["moved_to"]))
    broken = _json(reading.cleaned(damage.document(reading.dialogue.damage, reading.home)))
    yield f']}}, "movedTo": {moved}, "damage": {broken}, "others": ['
    yield from _array(reading.others())
    yield "]}\n"


def _array(values: Iterator[Any]) -> Iterator[str]:
    separator = "\n"
    for value in values:
        yield f"{separator}{_json(value)}"
        separator = ",\n"


def _json(value: object) -> str:
    return output.json_text(value)
