"""Amounts, ages and tags as people write them: ``100k``, ``10M``, ``30d``, ``bug,urgent``."""

import re
from typing import Final

import typer

_AMOUNT: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)([kmgt]?)b?", re.IGNORECASE | re.ASCII)
_SIZES: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
"""As :func:`cli.terminal.text.amount` has them."""
AGE: Final = re.compile(r"(\d{1,9})(mo|[mhdwy])", re.ASCII)
SECONDS: Final = {
    **{"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400},
    **{"mo": 365 * 86_400 // 12, "y": 365 * 86_400},
}
"""The units of :func:`cli.terminal.text.age`, which lists show, and months: twelve are a year."""


def tags_of(text: str) -> list[str]:
    """The tags in a text with commas, as they are kept. Raises typer.BadParameter if there are
    none, and InvalidMark if one cannot be a tag."""
    from rollout.files.layout import parse_uuid
    from state.userdata.marks import clean_tag

    names = [name for name in text.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("no tags are given\ngive some, such as bug or bug,urgent")
    for name in names:
        if parse_uuid(name.strip()):
            raise typer.BadParameter(
                f"{name.strip()} is the id of a thread\ngive the tags first, then the threads"
            )
    return list(dict.fromkeys(map(clean_tag, names)))


def amount_of(option: str, text: str | None) -> int:
    """The number that the value of an option is, 0 if it is not given. Raises typer.BadParameter if
    it is none."""
    if text is None:
        return 0
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{option}: {text!r} is not a number\ngive one such as 5000, 100k, 1.5M or 2G"
        )
    return int(float(found[1]) * _SIZES[found[2].lower()])


def age_of(option: str, text: str) -> int:
    """The seconds of the age that the value of an option is. Raises typer.BadParameter if it is
    none."""
    found = AGE.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{option}: {text!r} is not an age"
            "\ngive one such as 30m (minutes), 12h, 30d, 2w, 6mo or 1y"
        )
    return int(found[1]) * SECONDS[found[2]]
