"""``threadkeep fleet``: the PostgreSQL that many machines push their threads into."""

import typer

from cli.arguments.command import Command, Group
from cli.fleet.logins import add_machine, add_reader, revoke_machine, revoke_reader
from cli.fleet.prune import prune
from cli.fleet.setup import check, init, upgrade
from cli.fleet.status import status


def _group(name: str, about: str) -> typer.Typer:
    return typer.Typer(
        name=name, cls=Group, rich_markup_mode=None, add_completion=False, help=about
    )


command = _group("fleet", "Set up and look after a fleet: many machines, one PostgreSQL.")
_machine = _group("machine", "Let machines push into the fleet, or no longer.")
_reader = _group("reader", "Let people read the threads of the fleet, or no longer.")
for group, name, function in (
    (command, "init", init),
    (command, "upgrade", upgrade),
    (command, "check", check),
    (command, "status", status),
    (command, "prune", prune),
    (_machine, "add", add_machine),
    (_machine, "revoke", revoke_machine),
    (_reader, "add", add_reader),
    (_reader, "revoke", revoke_reader),
):
    group.command(name, cls=Command)(function)
command.add_typer(_machine)
command.add_typer(_reader)
