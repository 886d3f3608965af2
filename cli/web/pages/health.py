"""The state of the index, and what to do."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

ROUTES: Final[Sequence[Route]] = ()
