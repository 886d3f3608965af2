"""``threadkeep fleet init``, ``upgrade`` and ``check``: for administrators."""

import shlex

from cli import errors
from cli.arguments.options import JsonOption
from cli.fleet.options import UrlArgument
from cli.terminal import findings, output
from cli.terminal.text import plural


def init(url: UrlArgument = None, as_json: JsonOption = False) -> int:
    """Set up a fleet in a database that is there. It makes the tables, and the roles
    threadkeep_owner, threadkeep_machine, threadkeep_reader and threadkeep_admin."""
    return _set_up(url, as_json=as_json, first=True)


def upgrade(url: UrlArgument = None, as_json: JsonOption = False) -> int:
    """Bring the tables of a fleet to the version of this threadkeep. Machines that have an older
    one keep what they would push until they are updated, too."""
    return _set_up(url, as_json=as_json, first=False)


def _set_up(url: str | None, *, as_json: bool, first: bool) -> int:
    from cli.fleet.config import address
    from state.fleet.server.admin.setup import initialize, upgrade
    from state.fleet.server.operations.partitions import create_usual_months

    fleet = address(url)
    done = (initialize if first else upgrade)(fleet)
    made = create_usual_months(fleet)
    if as_json:
        output.data(
            {
                "version": 1,
                "database": done.database,
                "server": done.server,
                "schemaBefore": done.before,
                "schema": done.revision,
            },
            changed=done.before != done.revision or bool(made),
        )
        return errors.OK
    where = f"{done.database} (PostgreSQL {done.server}, schema {done.revision})"
    if done.before == done.revision and made and not first:
        partitions = plural(len(made), "monthly partition")
        output.say(f"The schema of the fleet in {where} is up to date. Made {partitions}.")
    elif done.before == done.revision:
        output.say(f"The fleet in {where} is up to date.")
    elif done.before:
        output.say(f"Upgraded the fleet in {where} from {done.before}.")
    else:
        output.say(f"Set up a fleet in {where}.")
    if first:
        command = ["threadkeep", "fleet", "machine", "add", "NAME", *([url] if url else [])]
        output.say(f"To let a machine push: {shlex.join(command)}")
    return errors.OK


def check(url: UrlArgument = None, as_json: JsonOption = False) -> int:
    """Check that a fleet is as init has made it, and that nobody can see or change more than they
    should: server, roles, row security, grants, logins. Changes nothing."""
    from cli.fleet.config import address
    from state.fleet.server.admin.check import check_fleet

    found = check_fleet(address(url))
    if as_json:
        output.data(findings.document("fleet check", found))
    else:
        findings.report(found, "--json shows them")
        output.say(findings.summary(found))
    return findings.status(found)
