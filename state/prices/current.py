"""Whether the rates in an index are up to date. Standard library only: quick reads ask for it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rollout.files.stamp import NO_STAMP, FileStamp
from state.db.steps import Steps

RATES_KEY: Final = "usage_rates"
"""In ``index_meta``: what the rates were looked up in."""
DUE: Final = "due"


def prices_path(index: Path) -> Path:
    """Where a user's own prices are."""
    return index.with_name("prices.toml")


def price_lists(index: Path) -> str:
    """Changes whenever one of the lists of prices does. The library is not imported for it."""
    spec = find_spec("genai_prices")
    data = Path(spec.origin).with_name("data.py") if spec and spec.origin else None
    return " ".join(str(_stamp(path)) for path in (data, prices_path(index)))


def _stamp(path: Path | None) -> FileStamp:
    try:
        return NO_STAMP if path is None else FileStamp.of(path.stat())
    except OSError:
        return NO_STAMP


def rates_are_current_steps(lists: str) -> Steps[bool]:
    """Whether every model has the rates that ``lists`` give, of :func:`price_lists`."""
    known = yield f"SELECT value FROM index_meta WHERE key = '{RATES_KEY}'", []
    if known != [(lists,)]:
        return False
    due = yield f"SELECT 1 FROM usage_rates WHERE origin = '{DUE}' LIMIT 1", []
    return not due
