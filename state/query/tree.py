"""The tree of a thread: its forks, side threads and subagents, from the thread on that all of them
come from.

A thread hangs below the one that spawned it, else below the one that it was forked from. What is
in damaged files may go in circles, and threads may be missing.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from state.db.steps import Steps
from state.query.rows import Row, rows_steps

Kind = Literal["", "fork", "subagent", "side"]
PARENT: Final = "coalesce(parent_thread_id, forked_from_id)"
"""The thread above another one, as the index ``ix_threads_tree_parent`` has it."""
_ABOVE: Final = (
    # UNION, not UNION ALL, here and below, because of circles.
    f"WITH RECURSIVE above(id) AS (SELECT ? UNION SELECT {PARENT} FROM above JOIN threads"
    f" USING (id) WHERE {PARENT} IS NOT NULL) SELECT id, {PARENT} FROM above JOIN threads USING"
    f" (id) WHERE {PARENT} IS NOT NULL"
)
BELOW: Final = (
    "SELECT p.value, t.id FROM json_each(?) p CROSS JOIN threads t ON t.row_id IN (SELECT row_id"
    f" FROM threads WHERE {PARENT} = p.value ORDER BY created_at_ms, id LIMIT ?)"
    " ORDER BY p.key, t.created_at_ms, t.id"
)
"""The threads directly below some others, and no more than so many of each."""
_COUNTED: Final = (
    f"SELECT p.value, (SELECT count(*) FROM threads WHERE {PARENT} = p.value) FROM json_each(?) p"
)
_BASES: Final = (
    "SELECT id, forked_from_id, rollout_path, history_base FROM threads"
    " WHERE id IN (SELECT value FROM json_each(?)) AND history_base IS NOT NULL"
)
_TURNS: Final = (
    "SELECT b.value ->> 0, (SELECT count(*) FROM turns u WHERE u.thread_id = c.thread_id"
    " AND u.orphan = 0 AND u.start_ordinal < b.value ->> 2) FROM json_each(?) b"
    " JOIN turn_checkpoints c ON c.thread_id = b.value ->> 1"
)


_MOST_READ: Final = 50
"""Forks whose files are read for the turn that they began after."""
ForkTurn = Callable[[str, int], int | None]
"""The turns that a rollout, by its path in the home, has before an ordinal, from its files."""


class Tree(NamedTuple):
    """A thread, and those that hang below it, the oldest first."""

    thread_id: str
    row: Row | None
    """None if the index does not have it."""
    kind: Kind
    """How it came from the thread above it; empty if there is none."""
    turn: int | None
    """The last turn that a fork has from the thread above it, if that is known."""
    children: "tuple[Tree, ...]"
    more: int = 0
    """How many more hang directly below it, which are left out."""


class Most(NamedTuple):
    """How much of a tree is wanted."""

    children: int = 100
    """Of one thread."""
    threads: int = 1000
    levels: int = 100


USUAL: Final = Most()
EVERYTHING: Final = Most(2**31, 2**31, 2**31)


def tree_steps(
    thread_id: str, most: Most = USUAL, fork_turn: ForkTurn | None = None
) -> Steps[Tree]:
    """The tree of a thread. Where it is larger than ``most``, those between its root and the thread
    are kept, but for a root that is too far away: then the tree begins below it, and has a kind.
    ``fork_turn`` tells of some forks what the index does not know."""
    path = yield from _path_steps(thread_id)
    top = path[min(len(path) - 1, most.levels // 2)]
    below, more = yield from _below_steps(top, path, most)
    rows = yield from rows_steps([*below])
    kinds = {id_: _kind(row) for id_, row in rows.items()}
    kinds[path[-1]] = ""
    forks = [id_ for id_, kind in kinds.items() if kind == "fork"]
    turns = yield from _turns_steps(forks, fork_turn)
    made: dict[str, Tree] = {}
    for id_ in reversed(below):  # those below a thread come after it
        children = tuple(made.pop(child) for child in below[id_])
        kind = kinds.get(id_, "")
        made[id_] = Tree(id_, rows.get(id_), kind, turns.get(id_), children, more.get(id_, 0))
    return made[top]


def _kind(row: Row) -> Kind:
    if row["parent_thread_id"]:
        return "subagent"
    if row["attached_thread_parent_id"]:
        return "side"
    return "fork" if row["forked_from_id"] else ""


def _path_steps(thread_id: str) -> Steps[list[str]]:
    """The thread, and those above it up to the root; in a circle, up to the least id in it."""
    above = dict((yield _ABOVE, [thread_id]))
    path = {thread_id: None}
    last = thread_id
    while (parent := above.get(last)) and parent not in path:
        path[parent] = None
        last = parent
    found = [*path]
    if parent:
        circle = found[found.index(parent) :]
        del found[found.index(min(circle)) + 1 :]
    return found


def _below_steps(
    top: str, path: Sequence[str], most: Most
) -> Steps[tuple[dict[str, list[str]], dict[str, int]]]:
    """The threads from ``top`` down, each with those directly below it, and before these; and how
    many more some have."""
    next_on_path = dict(zip(path[1:], path, strict=False))
    below: dict[str, list[str]] = {top: []}
    level, cut = [top], list[str]()
    circles: dict[str, int] = {}
    for _ in range(most.levels):
        found = defaultdict(list)
        for parent, child in (yield BELOW, [json.dumps(level), most.children + 1]):
            found[parent].append(child)
        following: list[str] = []
        for parent in level:
            new = [child for child in found[parent] if child not in below]
            room = min(most.children, max(most.threads - len(below), 0))
            shown = new[:room]
            wanted = next_on_path.get(parent)
            if wanted and wanted not in below and wanted not in shown:
                shown.append(wanted)
            if len(shown) < len(new) or len(found[parent]) > most.children:
                cut.append(parent)
                circles[parent] = len(found[parent]) - len(new)
            below[parent] = shown
            below |= {child: [] for child in shown}
            following += shown
        level = following
        if not level:
            break
    cut += level
    counted = (yield _COUNTED, [json.dumps(cut)]) if cut else []
    more = {
        parent: count - len(below[parent]) - circles.get(parent, 0) for parent, count in counted
    }
    return below, {parent: count for parent, count in more.items() if count > 0}


def _turns_steps(forks: Sequence[str], fork_turn: ForkTurn | None) -> Steps[dict[str, int]]:
    """The turns that forks have from the threads above them, where the turns of either are kept,
    or by their files."""
    ends: dict[str, tuple[str, str, int]] = {}
    for id_, source, path, text in (yield _BASES, [json.dumps(forks)]) if forks else []:
        try:
            base = json.loads(text)
        except ValueError:
            continue
        end = base.get("end_ordinal_exclusive") if isinstance(base, dict) else None
        if type(end) is int and abs(end) < 2**63:
            ends[id_] = source, path, end
    begun = [(id_, at, end) for id_, (source, _, end) in ends.items() for at in (source, id_)]
    turns = dict((yield _TURNS, [json.dumps(begun)])) if begun else {}
    if fork_turn is not None:
        for id_ in [id_ for id_ in ends if id_ not in turns][:_MOST_READ]:
            _, path, end = ends[id_]
            if (count := fork_turn(path, end)) is not None:
                turns[id_] = count
    return turns
