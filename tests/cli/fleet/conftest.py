"""What tests of the faces of a fleet share."""

from collections.abc import Iterator

import pytest

from tests.cli.fleet.faces import Faces, faces
from tests.support.postgres.cluster import Cluster, new_fleet


@pytest.fixture(scope="module")
def both(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faces]:
    """A home, and the fleet that its machine has pushed it into; the cache is empty at first."""
    folder = tmp_path_factory.mktemp("faces")
    with new_fleet(cluster) as fleet, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield faces(fleet, folder)
