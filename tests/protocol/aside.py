"""The script, so played that a request that only our server serves leaves nothing behind."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from tests.protocol.dialogue import Step
from tests.protocol.script import EXPERIMENTAL

SERVED_HERE: Final = frozenset(
    {
        "thread/start with modelProvider=nobody",
        "thread/resume of legacy with modelProvider=nobody",
    }
)
"""Steps of which Codex refuses what they ask for. We do it, and what is live then would show in
many later answers."""


def aside(script: Iterable[Step]) -> Iterator[Step]:
    """The steps in order, those of :data:`SERVED_HERE` each by a client of its own."""
    for step in script:
        if step.name not in SERVED_HERE:
            yield step
            continue
        at = f"aside: {step.name}"
        yield Step(f"greeting of {at}", at, "initialize", EXPERIMENTAL)
        yield replace(step, at=at)
        yield Step(f"end of {at}", at, ends=True)
