"""What of a fleet is seen: the newest copy of each thread, or what one machine has."""

from typing import Final, NamedTuple

from state.db.steps import Steps
from state.errors import InvalidQuery
from state.fleet.reading.dialect import Native
from state.fleet.server.schema import MACHINE_SETTING, MACHINE_VIEWS, VIEWS
from state.query.model import Query

_MACHINES: Final = Native(
    "SELECT machine_id, name, user_name FROM machines WHERE tenant_id = %s ORDER BY name"
)
_SHOWN: Final = 5
"""Names of machines or users that an error gives."""


class Machine(NamedTuple):
    """A machine of the tenant."""

    machine_id: int
    name: str
    user: str


class Scope(NamedTuple):
    """Whose threads are seen."""

    tenant_id: int
    machine: Machine | None = None
    """If one is named, the fleet is seen as its own index has it."""

    @property
    def begin(self) -> str:
        """Statements that begin a transaction in which the views are those of this scope."""
        views = MACHINE_VIEWS if self.machine else VIEWS
        machine = self.machine.machine_id if self.machine else ""
        # Nothing is found in public or among temporary tables, where others may put things. What
        # is read in a moment is not compiled.
        return (
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
            f" SET LOCAL search_path = pg_catalog, {views}, pg_temp;"
            f" SET LOCAL {MACHINE_SETTING} = '{machine}'; SET LOCAL jit = off"
        )


def machines_steps(tenant_id: int) -> Steps[list[Machine]]:
    """All machines of the tenant, by name."""
    return [Machine(*row) for row in (yield _MACHINES, [tenant_id])]


def scope_of(query: Query, tenant_id: int, machines: list[Machine]) -> Scope:
    """The scope of a query. Raises InvalidQuery if it names a machine or user that there is not."""
    scope = Scope(tenant_id)
    if query.machine is not None:
        named = [each for each in machines if each.name == query.machine]
        if not named:
            raise InvalidQuery(_unknown("machine", query.machine, [m.name for m in machines]))
        scope = scope._replace(machine=named[0])
    if query.users:
        known = {each.user for each in machines}
        for user in query.users:
            if user not in known:
                raise InvalidQuery(_unknown("user", user, sorted(known - {""})))
    return scope


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = [each for each in known if name.lower() in each.lower() or each.lower() in name.lower()]
    shown = ", ".join((near or known)[:_SHOWN])
    more = ", …" if len(near or known) > _SHOWN else ""
    return f"no {what} of the fleet is called {name!r}: it has {shown or 'none'}{more}"
