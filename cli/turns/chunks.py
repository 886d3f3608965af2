"""Turns in chunks: one may be far longer than a page, and is made into blocks a part at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cli.render.blocks.block import Block
from cli.render.blocks.items import blocks
from cli.render.reading import end_blocks
from cli.turns.heads import Key
from rollout.history.transcript import Transcript, TurnPlan, with_calls

_CHUNK_PLACES: Final = 40
_CHUNK_BYTES: Final = 256 * 1024
"""A chunk of a turn has at most so many entries, and few of them if they are long."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the chunks of a turn are."""

    version: tuple[int, ...]
    turn: TurnPlan
    starts: list[int]
    """The place where each chunk begins, and the end."""
    orphan: bool


def starts_of(plan: TurnPlan) -> list[int]:
    """Where the chunks of a turn begin, and the end."""
    starts, count = [0], len(plan.places)
    begin = plan.offset(0) if count else 0
    for at in range(1, count):
        offset = plan.offset(at)
        if at - starts[-1] >= _CHUNK_PLACES or offset - begin > _CHUNK_BYTES:
            starts.append(at)
            begin = offset
    return [*starts, count]


def blocks_of(dialogue: Transcript, plan: Plan, chunk: int) -> Iterator[tuple[Key, Block]]:
    """The blocks of a chunk, each with where it is in its turn."""
    begin, end = plan.starts[chunk : chunk + 2]
    for place in range(begin, end):
        number = 0
        for item, call in with_calls(dialogue.read(plan.turn, place, place + 1)):
            for block in blocks(item, call):
                yield (place, number), block
                number += 1
    if end == plan.starts[-1]:
        for number, block in enumerate(() if plan.orphan else end_blocks(plan.turn.turn)):
            yield (end, number), block
