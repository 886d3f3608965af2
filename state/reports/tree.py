"""Groups of what was used, filled from rows that SQL has summed."""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from state.db.steps import Steps
from state.query.projects import folder_projects_steps
from state.reports import OF_FLEET
from state.reports.calendar import BUCKETS, Shift, bucket_name
from state.reports.groups import Group, Tally

PROVIDER: Final = (
    "CASE u.provider WHEN '' THEN"
    " (SELECT o.model_provider FROM threads o WHERE o.row_id = u.row_id) ELSE u.provider END"
)
KEYS: Final = {
    "project": "p.name",
    "model": "u.model",
    "provider": PROVIDER,
    "effort": "u.effort",
    "source": "t.source_kind",
    "branch": "coalesce(t.git_branch, '')",
    "thread": "t.id",
    "machine": "m.name",
    "user": "m.user_name",
}
"""The key of a row ``u`` of ``thread_usage``, its thread ``t``, its project ``p`` and its machine
``m`` in each dimension, in SQL."""
_OF_MACHINES: Final = frozenset(OF_FLEET)
_OF_THREADS: Final = frozenset({"project", "source", "branch", "thread"}) | _OF_MACHINES
_NEXT: Final = (
    "coalesce((SELECT n.{0} FROM thread_usage n WHERE n.row_id = w.row_id AND n.hour >= w.hour"
    " ORDER BY n.hour LIMIT 1), {1}, '') AS {0}"
)
_PROJECTS: Final = (
    "p AS MATERIALIZED (SELECT value ->> 0 AS folder, value ->> 1 AS name FROM json_each(?))"
)
"""The names of the projects of folders."""
TURNS: Final = (
    "given AS (SELECT CAST(value ->> 0 AS bigint) AS row_id, CAST(value ->> 1 AS bigint) AS hour"
    " FROM json_each(?)),"
    " w AS (SELECT g.row_id, coalesce(g.hour, t.created_at_ms / 3600000) AS hour, t.model,"
    " t.model_provider, t.reasoning_effort FROM given g JOIN threads t ON t.row_id = g.row_id),"
    " u AS MATERIALIZED (SELECT w.row_id, w.hour,"
    f" {_NEXT.format('model', 'w.model')}, {_NEXT.format('provider', 'w.model_provider')},"
    f" {_NEXT.format('effort', 'w.reasoning_effort')} FROM w)"
)
"""Turns as rows ``u``: with the model that the thread used next."""


class Rows(NamedTuple):
    """A condition on the rows that are counted, with its parameters."""

    where: str
    parameters: list[Any]


class Tree:
    """Groups that are filled row by row."""

    def __init__(self, by: Sequence[str], shift: Shift | None, projects: str) -> None:
        self.by = by
        self.shift = shift
        self.projects = projects
        """JSON of folders with the names of their projects, if these are asked for."""
        self.groups: dict[str, Group] = {}
        self._inner: dict[tuple[str, ...], Group] = {}

    def add(self, key: tuple[str, ...], tally: Tally) -> None:
        """Add what was used under the keys of all dimensions."""
        outer = self.groups.get(key[0])
        if outer is None:
            outer = self.groups[key[0]] = Group(key[0])
        if len(key) == 1:
            _add(outer, tally)
            return
        outer.tally.add(tally)
        inner = self._inner.get(key)
        if inner is None:
            inner = self._inner[key] = Group(key[1], tally)
            outer.groups.append(inner)
        else:
            _add(inner, tally)

    def total(self) -> Tally:
        """All groups together, but for the threads."""
        total = Tally()
        for group in self.groups.values():
            total.add(group.tally)
        return total


def _add(group: Group, tally: Tally) -> None:
    """Add a row; a group has several where a clock was put back, so that hours have one name, and
    one of turns."""
    group.tally.add(tally)
    group.tally.threads = max(group.tally.threads, tally.threads)


def grouped(
    tree: Tree, keys: list[str], columns: str, rows: Rows, join: str = "", before: str = ""
) -> Steps[list[tuple[tuple[str, ...], tuple[Any, ...]]]]:
    """Columns of each group, with the names of its keys."""
    threads = "JOIN threads t ON t.row_id = u.row_id" if _OF_THREADS & {*tree.by} else ""
    if _OF_MACHINES & {*tree.by}:
        threads += " JOIN machines m ON m.machine_id = t.machine_id"
    parts, parameters = [before] if before else [], rows.parameters
    if "project" in tree.by:
        threads += " JOIN p ON p.folder = t.cwd_key"
        parts, parameters = [_PROJECTS, *parts], [tree.projects, *parameters]
    given = f"WITH {', '.join(parts)}" if parts else ""
    numbers = ", ".join(str(number) for number in range(1, len(keys) + 1))
    source = "u" if before else "thread_usage u"
    found = yield (
        f"{given} SELECT {', '.join(keys)}, {columns} FROM {source} {threads} {join}"
        f" WHERE {rows.where} GROUP BY {numbers}",
        parameters,
    )
    names = [
        {row[place]: bucket_name(dimension, row[place], tree.shift) for row in found}
        if dimension in BUCKETS
        else {row[place]: str(row[place]) for row in found}
        for place, dimension in enumerate(tree.by)
    ]
    split = len(keys)
    return [
        (tuple(name[key] for name, key in zip(names, row, strict=False)), row[split:])
        for row in found
    ]


def project_names_steps() -> Steps[str]:
    """JSON of all folders with the names of their projects."""
    return json.dumps([*(yield from folder_projects_steps()).items()])
