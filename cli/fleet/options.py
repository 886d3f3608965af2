"""What commands of a fleet share."""

from typing import Annotated

import typer

UrlArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="URL",
        help="The fleet: postgresql://USER@HOST/DATABASE, or what else libpq takes. [default:"
        " THREADKEEP_FLEET, or url in fleet.toml]",
        show_default=False,
    ),
]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="What it is called.", show_default=False)
]
TenantOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="Whose threads they are: a tenant sees only its own."),
]
RoleOption = Annotated[
    str | None,
    typer.Option(
        metavar="ROLE",
        help="What PostgreSQL calls it, if not NAME.",
        show_default=False,
    ),
]
NoPasswordOption = Annotated[
    bool,
    typer.Option("--no-password", help="Make no password: it has a certificate, or the like."),
]
