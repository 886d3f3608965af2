"""What is above the turns of a thread: what it is called, facts about it, and its kin."""

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from cli.render.labels import folder, label, machine_of
from cli.render.threads import tree_note
from cli.terminal.cells import settled
from cli.terminal.text import amount, local, one_line, plural, shortened
from cli.turns.heads import KnownTurns
from state.query.model import Query
from state.query.rows import Row
from state.query.tree import Most, Tree, tree_steps
from state.thread_index import ThreadIndex

_LONGEST_TITLE: Final = 160
_LONGEST_KIN: Final = 80
_MOST: Final = Most(children=30, threads=120, levels=40)
"""How much of a tree is looked at for the kin of a thread."""


class Kin(NamedTuple):
    """A thread that another one comes from, or that comes from it."""

    id: str
    title: str
    note: str
    """What it is to the other one."""


class Kindred(NamedTuple):
    """The threads next to one in its tree."""

    above: Kin | None = None
    note: str = ""
    """What the thread is to the one above."""
    below: tuple[Kin, ...] = ()
    more: int = 0
    """How many more there are below."""


def title(row: Row) -> str:
    """What a page calls a thread."""
    return shortened(one_line(label(row)), _LONGEST_TITLE) or str(row["id"])


def facts(row: Row, known: KnownTurns | None) -> list[str]:
    """The main facts about a thread."""
    turns = sum(bool(head.number) for head in known.heads) if known and not known.partial else 0
    found = (
        one_line(machine_of(row)),
        folder(row["cwd"], os.path.expanduser("~")) if row["cwd"] else "",
        f"on {one_line(row['git_branch'])}" if row["git_branch"] else "",
        one_line(" ".join(filter(None, (row["model"], row["reasoning_effort"])))),
        f"{amount(row['tokens_used'])} tokens" if row["tokens_used"] else "",
        local(row["created_at_ms"]),
        plural(turns, "turn") if turns else "",
        f"{amount(row['size_bytes'])}B",
        "archived" if row["archived"] else "",
    )
    return [fact for fact in found if fact]


async def kindred(index: ThreadIndex, row: Row, query: Query) -> Kindred:
    """The threads that a thread comes from, and that come from it, of what ``query`` sees. Raises
    StateError if the index cannot be read."""
    tree = await index.read(lambda: tree_steps(row["id"], _MOST), query)
    for above, node in _walk(None, tree):
        if node.thread_id == row["id"]:
            over = _kin(above, "") if above else _elsewhere(row)
            below = tuple(_kin(child, tree_note(child)) for child in node.children)
            return Kindred(over, tree_note(node), below, node.more)
    return Kindred()


def _walk(above: Tree | None, tree: Tree) -> Iterator[tuple[Tree | None, Tree]]:
    waiting = [(above, tree)]
    while waiting:
        above, node = waiting.pop()
        yield above, node
        waiting += [(node, child) for child in node.children]


def _elsewhere(row: Row) -> Kin | None:
    """The thread above one where the index does not have it."""
    id_ = row["parent_thread_id"] or row["forked_from_id"]
    return Kin("", f"{id_} (not in the index)", "") if id_ and id_ != row["id"] else None


def _kin(tree: Tree, note: str) -> Kin:
    if tree.row is None:
        return Kin("", f"{tree.thread_id} (not in the index)", note)
    named = shortened(settled(label(tree.row)), _LONGEST_KIN) or tree.thread_id
    return Kin(tree.thread_id, named, note)
