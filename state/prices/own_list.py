"""A user's own prices: ``prices.toml`` beside the index, which goes before the library's."""

import tomllib
from datetime import date
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from state.errors import InvalidPrices
from state.prices.rate import FIRST_HOUR, LAST_HOUR, Pair, Prices, Rate, first_hour

_MILLION: Final = 1_000_000
_Price = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    provider: str = "*"
    since: date | None = None
    input: _Price
    cached_input: _Price | None = None
    cache_write: _Price | None = None
    output: _Price

    def matches(self, pair: Pair) -> bool:
        return fnmatchcase(pair.model, self.model) and fnmatchcase(pair.provider, self.provider)

    @property
    def from_hour(self) -> int:
        return FIRST_HOUR if self.since is None else first_hour(self.since)

    def rate(self, until: int) -> Rate:
        cached = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write is None else self.cache_write
        prices = (self.input, cached, written, self.output)
        return Rate(Prices(*(price / _MILLION for price in prices)), self.from_hour, until)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    price: list[_Entry] = []


class OwnPrices:
    """The entries of a ``prices.toml``."""

    def __init__(self, path: Path) -> None:
        """Read the file, which need not exist.

        Raises:
            InvalidPrices: it cannot be read, or says something else than prices.
        """
        try:
            given = tomllib.loads(path.read_text("utf-8"))
            self._entries = _File.model_validate(given).price
        except FileNotFoundError:
            self._entries = []
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidPrices(path, _reason(error)) from error
        except ValidationError as error:
            raise InvalidPrices(path, _first_problem(error)) from error

    def rates(self, pair: Pair) -> list[Rate]:
        """The user's rates of a model, the oldest first; of entries for the same days, the last one
        counts. Empty if no entry names the model."""
        starts = {entry.from_hour: entry for entry in self._entries if entry.matches(pair)}
        order = sorted(starts)
        return [starts[start].rate(end) for start, end in pairwise([*order, LAST_HOUR])]


def _reason(error: Exception) -> str:
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _first_problem(error: ValidationError) -> str:
    """The first problem; a key that is unknown before one that is missing, which it may stand
    for."""
    found = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    *entry, name = (part + 1 if isinstance(part, int) else part for part in found["loc"])
    where = " ".join(map(str, entry))
    match found["type"]:
        case "list_type" | "model_type" if found["loc"][0] == "price" and len(found["loc"]) < 3:
            return "write [[price]], not [price]"
        case "extra_forbidden":
            what = f"unknown key {name}"
        case "missing":
            what = f"{name} is missing"
        case _:
            what = f"{name} {found['msg'].removeprefix('Input ')}"
    return f"{where}: {what}" if where else what
