"""What agents are told of errors: what is wrong, and what to call instead."""

import re
from typing import Final

import typer

from rollout.errors import RolloutError
from state.errors import SHORTEST_PREFIX, AmbiguousThread, StateError, ThreadNotFound

OUR_ERRORS: Final = (RolloutError, StateError, typer.BadParameter, OSError, UnicodeError)
"""What may be raised where a tool answers, and is told to the agent; the last one for values that
are not UTF-8."""
_HINTS: Final = {
    "AmbiguousThread": "give the id of one of them",
    "ThreadNotFound": "call list_threads or search_threads to find its id",
    "InvalidCursor": "call again without cursor, or with the arguments that it came from",
    "EmptySearch": 'give words, "phrases" or beginnings of words (word*)',
    "TurnNotFound": "call thread_outline to see its turns",
    "AmbiguousTurn": "give its number: call thread_outline to see it",
}
"""What an agent does about an error, where the command line has another way."""
_THREADS: Final = (
    f"give its id, the first {SHORTEST_PREFIX} characters of that or more, or its title as lists"
    " have it"
)
_OPTION: Final = re.compile(r"--([a-z]+)(?: ((?:last|this)-week)\b)?")
"""An option of a command, as errors name it, with the value of an example."""
_LONGEST_ERROR: Final = 500
_MOST_CANDIDATES: Final = 10
_LONGEST: Final = 80
"""Characters of the title of a candidate, and of what names no thread."""


def told_to_agents(error: Exception, options: str = "") -> str:
    """What is wrong, and what to do about it: in the words of tools, and with commands that have
    the ``options`` of the server."""
    from cli.errors import outcome
    from cli.render.health.hints import pieces
    from cli.terminal.text import one_line

    if isinstance(error, typer.BadParameter):
        wrong, _, hint = error.message.partition("\n")
        return "; ".join(_OPTION.sub(_as_argument, each) for each in (_brief(wrong), hint) if each)
    if isinstance(error, AmbiguousThread) and error.rows:
        from cli.render.labels import label

        rows = error.rows[:_MOST_CANDIDATES]
        lines = [f"{row['id']} {_beginning(one_line(label(row)))}" for row in rows]
        return "\n".join([f"{_brief(error.summary)}; {_HINTS['AmbiguousThread']}:", *lines])
    if not isinstance(error, RolloutError | StateError):
        return f"{_brief(str(error))}; call again, or list_threads to see what there is"
    text = str(error)
    if type(error) is ThreadNotFound:
        text = f"no thread matches {error.reference[:_LONGEST]!r}: {_THREADS}"
    named = (_HINTS.get(kind.__name__) for kind in type(error).__mro__)
    hint = next(filter(None, named), "")
    if not hint:
        hint = "".join(piece.text for piece in pieces(outcome(error).hint, options))
    return f"{_brief(text)}; {hint}"


def _as_argument(option: "re.Match[str]") -> str:
    """``since`` for ``--since``, and ``since=7d`` for ``--since 7d``."""
    return "=".join(filter(None, option.groups()))


def _brief(text: str) -> str:
    """A line of an error, which may repeat whatever was given."""
    from cli.terminal.text import one_line, shortened

    return shortened(one_line(text[: 2 * _LONGEST_ERROR]), _LONGEST_ERROR)


def _beginning(text: str) -> str:
    """The first words of a text: whole ones, as nobody knows half of a secret for one."""
    return text if len(text) <= _LONGEST else text[:_LONGEST].rpartition(" ")[0]
