"""Reads fields of parsed lines as strictly as Codex does: what does not fit makes the whole line
unreadable for it (docs/rollout-format.md#lines), and raises :class:`Unfit` here."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from rollout.files.layout import parse_uuid

Fields = dict[str, Any]
Spelling = Callable[[str], str]
"""How a kind of line spells a name that is given in snake_case: as it is (``str``), or otherwise
(:func:`camel_case`)."""

U64: Final = (0, 2**64 - 1)
I64: Final = (-(2**63), 2**63 - 1)
I32: Final = (-(2**31), 2**31 - 1)
U16: Final = (0, 2**16 - 1)


class Unfit(ValueError):
    """A field is missing, or not of the type that it must have."""


def obj(value: object) -> Fields:
    """An object."""
    if isinstance(value, dict):
        return value
    raise Unfit


def array(value: object) -> list[Any]:
    """An array."""
    if isinstance(value, list):
        return value
    raise Unfit


def text(value: object) -> str:
    """A string."""
    if isinstance(value, str):
        return value
    raise Unfit


def flag(value: object) -> bool:
    """A boolean."""
    if isinstance(value, bool):
        return value
    raise Unfit


def integer(value: object, limits: tuple[int, int] = I64) -> int:
    """An integer within limits."""
    if isinstance(value, int) and not isinstance(value, bool) and limits[0] <= value <= limits[1]:
        return value
    raise Unfit


def number(value: object) -> float:
    """A number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise Unfit


def member(value: object, names: Mapping[str, str]) -> str:
    """One of the names of an enumeration, as it is called in answers."""
    if isinstance(value, str) and value in names:
        return names[value]
    raise Unfit


def uuid(value: object) -> str:
    """The id of a thread, in its usual spelling."""
    found = parse_uuid(value)
    if found is None:
        raise Unfit
    return found


def texts(value: object) -> list[str]:
    """An array of strings."""
    return [text(each) for each in array(value)]


def optional(value: object, read: Callable[[Any], Any]) -> Any:
    """What ``read`` makes of a field that may be absent or null."""
    return None if value is None else read(value)


def no_value(value: object) -> Any:
    """A field that must not be there."""
    raise Unfit


def default(fields: Fields, name: str, read: Callable[[Any], Any], otherwise: Any) -> Any:
    """What ``read`` makes of a field that may be absent, but not null."""
    return read(fields[name]) if name in fields else otherwise


def duration_ms(value: object) -> int | None:
    """A ``{"secs", "nanos"}`` in milliseconds; None if that is beyond 64 bits."""
    match value:
        case {"secs": secs, "nanos": nanos} | [secs, nanos]:
            seconds, nanos = integer(secs, U64), integer(nanos, (0, 2**32 - 1))
        case _:
            raise Unfit
    total = seconds * 1000 + nanos // 1_000_000
    return total if total <= I64[1] else None


def same(*names: str) -> dict[str, str]:
    """An enumeration whose names are the same in files and in answers."""
    return {name: name for name in names}


def camel(*names: str) -> dict[str, str]:
    """An enumeration that is snake_case in files and camelCase in answers."""
    return {name: camel_case(name) for name in names}


@lru_cache(maxsize=256)
def camel_case(name: str) -> str:
    """``snake_case`` as ``snakeCase``, ``PascalCase`` as ``pascalCase``."""
    first, *rest = name.split("_")
    return first[:1].lower() + first[1:] + "".join(word[:1].upper() + word[1:] for word in rest)
