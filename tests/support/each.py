"""Many cases of one kind in one test, which tells all that are wrong."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Case = TypeVar("Case")


def each(cases: Iterable[Case], check: Callable[[Case], None]) -> None:
    """Check every case, whatever is wrong with those before it."""
    wrong: dict[str, Exception] = {}
    count = 0
    for count, case in enumerate(cases, 1):  # noqa: B007
        try:
            check(case)
        except Exception as error:  # noqa: BLE001 - told with the others
            wrong[str(case)] = error
    assert count, "there are no cases"
    if wrong:
        told = "\n".join(f"{case}: {str(error)[:500]}" for case, error in wrong.items())
        raise AssertionError(f"{len(wrong)} of {count}:\n{told}") from next(iter(wrong.values()))
