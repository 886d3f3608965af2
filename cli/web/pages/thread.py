"""A thread, its turns and what is searched for in it."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

ROUTES: Final[Sequence[Route]] = ()
