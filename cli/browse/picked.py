"""What the picker ends with."""

from typing import Literal, NamedTuple

from state.query.rows import Row


class Picked(NamedTuple):
    """A thread, and what is to be done with it once the terminal is as it was."""

    row: Row
    action: Literal["pick", "resume", "fork"] = "pick"
    rows: tuple[Row, ...] = ()
    """All threads that are picked, if several are selected."""
