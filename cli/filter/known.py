"""What the index has that a filter can choose."""

import os
from typing import Final

from cli.filter.language import Known
from state.db.steps import Steps
from state.query.marks import tag_counts_steps
from state.query.projects import project_steps

_MOST: Final = 1000
_VALUES: Final = (
    "SELECT {0} FROM threads WHERE {0} <> '' GROUP BY {0} ORDER BY max(recency_at_ms) DESC LIMIT ?"
)


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
