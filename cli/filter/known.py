"""What the index has that a filter can choose."""

import os
from typing import Final

from cli.filter.language import Known
from state.db.steps import Steps
from state.query.marks import tag_counts_steps
from state.query.projects import project_steps
from state.thread_index import ThreadIndex

_MOST: Final = 1000
_MOST_MACHINES: Final = 10_000
"""More, as of one that is not among them nothing is listed."""
_VALUES: Final = (
    "SELECT {0} FROM threads WHERE {0} <> '' GROUP BY {0} ORDER BY max(recency_at_ms) DESC, {0}"
    " LIMIT ?"
)


async def known_of(index: ThreadIndex) -> Known:
    """What an index, or a fleet, has. Raises StateError if it cannot be read."""
    known = await index.read(known_steps)
    of_fleet = await known_machines(index)
    return known._replace(machines=of_fleet.machines, users=of_fleet.users)


async def known_machines(index: ThreadIndex) -> Known:
    """The machines and users of a fleet alone, which are soon there; of an index nothing."""
    if not index.database.is_fleet:
        return Known()
    from state.fleet.machines import names_steps

    machines, users = await index.read(lambda: names_steps(_MOST_MACHINES))
    return Known(machines=machines, users=users)


def known_steps() -> Steps[Known]:
    """The values of filters that threads have: those that were used last first, and of tags those
    that most threads have."""
    found = {}
    for field, column in _COLUMNS.items():
        rows = yield (_VALUES.format(column), [_MOST])
        found[field] = tuple(value for (value,) in rows if value.isprintable())
    tags = yield from tag_counts_steps()
    names = yield from project_steps(found["folders"])
    projects = dict.fromkeys(names[folder] for folder in found["folders"])
    home = f"{os.path.expanduser('~')}/"
    cwds = found.pop("folders")
    return Known(
        folders=tuple(
            f"~/{cwd.removeprefix(home)}" if cwd.startswith(home) else cwd for cwd in cwds
        ),
        projects=tuple(filter(str.isprintable, projects)),
        tags=tuple(sorted(tags, key=lambda tag: (-tags[tag], tag))),
        **found,
    )


_COLUMNS: Final = {
    "models": "model",
    "branches": "git_branch",
    "providers": "model_provider",
    "folders": "cwd",
}
