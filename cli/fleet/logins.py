"""``threadkeep fleet machine`` and ``fleet reader``: who may push, and who may read."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli import errors
from cli.arguments.options import JsonOption
from cli.fleet.options import (
    NameArgument,
    NoPasswordOption,
    RoleOption,
    TenantOption,
    UrlArgument,
)
from cli.terminal import output
from cli.terminal.text import plural

if TYPE_CHECKING:
    from state.fleet.server.admin.logins import Login

_TENANT = "default"


def add_machine(
    name: NameArgument,
    url: UrlArgument = None,
    tenant: TenantOption = _TENANT,
    user: Annotated[str, typer.Option(metavar="NAME", help="Who works on it.")] = "",
    role: RoleOption = None,
    reads: Annotated[
        bool, typer.Option("--reads", help="Let it read all threads of its tenant, too.")
    ] = False,
    no_password: NoPasswordOption = False,
    as_json: JsonOption = False,
) -> int:
    """Let a machine push. It gets a PostgreSQL user of its own, whose new password is printed as a
    line of ~/.pgpass and is stored nowhere else. A machine that was revoked is let in again."""
    from cli.fleet.config import address
    from state.fleet.server.admin import logins

    login = logins.let_in(
        address(url),
        logins.MACHINE,
        name,
        role=role,
        has_password=not no_password,
        tenant=tenant,
        user=user,
        reads=reads,
    )
    return _added(login, "push", as_json=as_json)


def add_reader(
    name: NameArgument,
    url: UrlArgument = None,
    tenant: TenantOption = _TENANT,
    no_password: NoPasswordOption = False,
    as_json: JsonOption = False,
) -> int:
    """Let somebody read all threads of a tenant. They get a PostgreSQL user of their own, whose new
    password is printed as a line of ~/.pgpass and is stored nowhere else."""
    from cli.fleet.config import address
    from state.fleet.server.admin import logins

    login = logins.let_in(
        address(url), logins.READER, name, has_password=not no_password, tenant=tenant
    )
    return _added(login, "list --fleet", as_json=as_json)


def revoke_machine(
    name: NameArgument,
    url: UrlArgument = None,
    tenant: TenantOption = _TENANT,
    as_json: JsonOption = False,
) -> int:
    """Let a machine push no longer: it cannot log in, and its connections end. What it has pushed
    stays, and machine add lets it in again."""
    return _revoke("machine", name, url, tenant, as_json=as_json)


def revoke_reader(
    name: NameArgument,
    url: UrlArgument = None,
    tenant: TenantOption = _TENANT,
    as_json: JsonOption = False,
) -> int:
    """Let somebody read no longer: they cannot log in, and their connections end."""
    return _revoke("reader", name, url, tenant, as_json=as_json)


def _added(login: "Login", then: str, *, as_json: bool) -> int:
    """Print a new login. ``then`` is the command that it is for."""
    if as_json:
        output.data(
            {
                "version": 1,
                "kind": login.kind,
                "name": login.name,
                "tenant": login.tenant,
                "user": login.user or None,
                "role": login.role,
                "reads": login.reads,
                "url": login.url,
                "password": login.password,
                "pgpass": login.pgpass,
            },
            changed=True,
        )
        return errors.OK
    output.say(f"The {login.kind} {login.name} of tenant {login.tenant} is in the fleet.")
    if login.pgpass is not None:
        output.say(
            "Add this line (on standard output) to ~/.pgpass there, which only its owner may read"
            " (chmod 600):"
        )
        output.lines([login.pgpass], changed=True)
    output.say(f"Then, there: threadkeep {then} {login.url}")
    if login.local:
        output.say("If that is not this computer, put the name of this one for localhost.")
    return errors.OK


def _revoke(kind: str, name: str, url: str | None, tenant: str, *, as_json: bool) -> int:
    from cli.fleet.config import address
    from state.fleet.server.admin import logins

    ended = logins.revoke(address(url), kind, name, tenant)
    if as_json:
        output.data(
            {"version": 1, "kind": kind, "name": name, "tenant": tenant, "ended": ended},
            changed=True,
        )
    else:
        also = f", and {plural(ended, 'connection')} ended" if ended else ""
        output.say(f"The {kind} {name} is revoked{also}.")
    return errors.OK
