"""How many threads of a list each project has, and each tag and status."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from state.db.derived_columns import Facet
from state.db.steps import Steps
from state.query.choices import fits
from state.query.model import Query
from state.query.projects import Projects, projects_steps
from state.userdata.marks import STATUS, TAG

_FOLDERS: Final = (
    "SELECT cwd_key, facet, count(*), max(recency_at_ms) FROM threads GROUP BY cwd_key, facet"
)
_MARKED: Final = (
    "SELECT u.key, u.value, t.facet, count(*) FROM user_data u"
    " CROSS JOIN threads t ON t.id = u.thread_id"
    f" WHERE (u.key = '{STATUS}' OR (u.key >= '{TAG}' AND u.key < 'tag;')) AND u.value IS NOT NULL"
    " GROUP BY u.key, u.value, t.facet"
)


class Counts(NamedTuple):
    """How many threads of a list there are of each."""

    projects: Mapping[str, int]
    """By name, those that were used last first."""
    tags: Mapping[str, int]
    """Those that most threads have first."""
    statuses: Mapping[str, int]
    names: Projects
    """Which folder belongs to which project."""


def counts_steps(query: Query) -> Steps[Counts]:
    """The counts of the list of ``query``, of which only archive, source and provider count."""
    names = yield from projects_steps()
    projects: Counter[str] = Counter()
    used: defaultdict[str, int] = defaultdict(int)
    for key, facet, count, recency_ms in (yield _FOLDERS, []):
        if fits(query, Facet.decode(facet)):
            name = names.name(key)
            projects[name] += count
            used[name] = max(used[name], recency_ms)
    tags: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for key, value, facet, count in (yield _MARKED, []):
        if fits(query, Facet.decode(facet)):
            if key == STATUS:
                statuses[value] += count
            else:
                tags[key.removeprefix(TAG)] += count
    return Counts(
        {name: projects[name] for name in sorted(projects, key=lambda name: (-used[name], name))},
        {tag: tags[tag] for tag in sorted(tags, key=lambda tag: (-tags[tag], tag))},
        statuses,
        names,
    )
