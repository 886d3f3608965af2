"""Tokens and costs."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

ROUTES: Final[Sequence[Route]] = ()
