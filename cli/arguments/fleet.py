"""Options for commands that read a fleet in the place of the index of this machine."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from cli.arguments.filters import expands
from cli.arguments.options import locations

if TYPE_CHECKING:
    from cli.arguments.locations import Locations

OPTION: Final = "--fleet"
_ADDRESS: Final = re.compile(r"postgres(?:ql)?://|\s*[a-z_]+\s*=")


class FleetOptions(NamedTuple):
    """The fleet to read, and whose threads of it; the fields are options."""

    fleet: Annotated[
        str | None,
        typer.Option(
            OPTION,
            metavar="[URL]",
            help="Read the threads of all machines: of the configured fleet, or of"
            " postgresql://USER@HOST/DATABASE.",
            show_default=False,
        ),
    ] = None
    machine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only this machine of the fleet, as its own index has it.",
            show_default=False,
        ),
    ] = None
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this user of the fleet. Repeatable.", show_default=False
        ),
    ] = None

    def locations(self, context: typer.Context) -> "Locations":
        """The locations of the running command, with the fleet if one is to be read. Raises
        typer.BadParameter if a machine or user is named without one, and WrongUsage if none is
        configured."""
        if self.fleet is None:
            for option, value in (("--machine", self.machine), ("--user", self.user)):
                if value:
                    raise typer.BadParameter(
                        f"{option} chooses among the machines of a fleet\nadd {OPTION}"
                    )
            return locations(context)
        from cli.fleet.config import address

        return locations(context)._replace(fleet=address(self.fleet), **self.filters)

    @property
    def words(self) -> str:
        """What leads another command to the same threads, as it is typed."""
        import shlex

        named = [self.fleet] if self.fleet else []
        named += [] if self.machine is None else ["--machine", self.machine]
        return shlex.join([OPTION, *named])

    @property
    def filters(self) -> dict[str, Any]:
        """The fields of a query that they set."""
        return {"machine": self.machine, "users": tuple(self.user or ())}


takes_fleet: Final = expands("fleet", FleetOptions)
"""Gives a command the options for a fleet, as ``fleet``."""
takes_fleet_alone: Final = expands("fleet", FleetOptions, "user")
"""The same for a command that reads one thread: of its newest copy, or of that of a machine."""


def is_address(word: str) -> bool:
    """Whether a word behind ``--fleet`` is the address of one."""
    return _ADDRESS.match(word) is not None


def with_address(words: Sequence[str]) -> list[str]:
    """The words of a command, in which ``--fleet`` has a value: none, where what follows it is no
    address."""
    found: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*found, *words[place:]]
        following = words[place + 1] if place + 1 < len(words) else ""
        alone = word == OPTION and not is_address(following)
        found.append(f"{OPTION}=" if alone else word)
    return found
