"""A fleet of two tenants with something to steal, and logins of those who would."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.state.fleet.security.attack import Prey
    from tests.support.postgres.cluster import Cluster


@pytest.fixture(scope="module")
def shared_prey(cluster: "Cluster") -> Iterator["Prey"]:
    """One for all tests of a file."""
    from tests.state.fleet.security.attack import Prey
    from tests.support.postgres.cluster import new_fleet

    with new_fleet(cluster) as fleet:
        yield Prey.of(fleet)


@pytest.fixture
def prey(shared_prey: "Prey") -> Iterator["Prey"]:
    """The fleet, in which nothing may be another than before when the test ends."""
    before = shared_prey.everything()
    yield shared_prey
    assert shared_prey.everything() == before
