"""``threadkeep fleet status``: how a fleet is doing, for administrators."""

import datetime
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from cli.arguments.options import JsonOption
from cli.fleet.options import UrlArgument
from cli.terminal import findings, output
from cli.terminal.cells import settled
from cli.terminal.table import Cell, Column, table
from cli.terminal.text import age, amount, iso, one_line, plural

if TYPE_CHECKING:
    from state.fleet.server.operations.status import FleetStatus, Machine, Reader, Table

_SHOWN_MACHINES: Final = 20
_SHOWN_NAMES: Final = 20
_SHOWN_QUERY: Final = 160


def status(url: UrlArgument = None, as_json: JsonOption = False) -> int:
    """Show how a fleet is doing: its machines and what they have not pushed yet, sizes of tables,
    the slowest queries. Changes nothing."""
    from cli.fleet.config import address
    from state.fleet.server.operations.status import fleet_status

    now = datetime.datetime.now(datetime.UTC)
    found = fleet_status(address(url), now)
    if as_json:
        output.data(_document(found))
    else:
        _print(found, now)
    return findings.status(found.findings)


def _print(found: "FleetStatus", now: datetime.datetime) -> None:
    active = [machine for machine in found.machines if machine.revoked_at is None]
    revoked = len(found.machines) - len(active)
    output.line(
        f"Fleet {found.database}: PostgreSQL {found.server}, schema {found.revision},"
        f" {amount(found.database_bytes)}B, about {plural(found.threads, 'thread')} of"
        f" {plural(len(active), 'machine')}{f' ({revoked} revoked)' if revoked else ''}"
    )
    if active:
        output.lines(["", *table(_MACHINE_COLUMNS, _machine_rows(active, now))])
        more = len(active) - _SHOWN_MACHINES
        if more > 0:
            output.say(f"… and {plural(more, 'machine')} more: --json shows them")
    output.lines(_of_names(found))
    output.lines(["", *table(_TABLE_COLUMNS, [*map(_table_row, found.tables)])])
    output.line("")
    if found.slowest is None:
        output.line(
            "Slowest queries: unknown. Set shared_preload_libraries = 'pg_stat_statements' in"
            " postgresql.conf, restart PostgreSQL, then run CREATE EXTENSION pg_stat_statements."
        )
    elif found.slowest:
        output.line("Slowest queries: mean, calls")
        for slow in found.slowest:
            query = one_line(slow.query)[:_SHOWN_QUERY]
            output.line(f"{slow.mean_ms:>8,.1f} ms {slow.calls:>9,}  {query}")
    else:
        output.line("Slowest queries: none yet.")
    if found.findings.total:
        output.line("")
        findings.report(found.findings, "--json shows them")
    output.say(findings.summary(found.findings))


def _of_names(found: "FleetStatus") -> Iterator[str]:
    """The lines of those who are in no table: whoever reads, and whoever was revoked."""
    readers = [each for each in found.readers if each.revoked_at is None]
    yield ""
    yield f"Readers: {_names(readers)}"
    for what, logins in (("machines", found.machines), ("readers", found.readers)):
        if revoked := [each for each in logins if each.revoked_at is not None]:
            yield f"Revoked {what}: {_names(revoked)}"


def _names(logins: "Sequence[Machine | Reader]") -> str:
    names = [f"{settled(each.tenant)}/{settled(each.name)}" for each in logins[:_SHOWN_NAMES]]
    more = len(logins) - len(names)
    return ", ".join([*names, *([f"and {more:,} more"] if more else [])]) or "none"


_MACHINE_COLUMNS: Final = (
    Column("MACHINE", least=16, grows=True),
    Column("TENANT", least=6, drops_same=True, worth=5),
    Column("USER", least=12, drops_same=True, worth=6),
    Column("PUSHED", worth=9, right=True),
    Column("PENDING", worth=8, right=True),
    Column("LEVEL", worth=7),
    Column("EPOCH", worth=1, right=True),
    Column("VERSION", worth=3),
)
_TABLE_COLUMNS: Final = (
    Column("TABLE", grows=True),
    Column("PARTITIONS", worth=1, right=True),
    Column("ROWS", worth=5, right=True),
    Column("DEAD", worth=2, right=True),
    Column("TABLE SIZE", worth=4, right=True),
    Column("INDEXES", worth=3, right=True),
)


def _machine_rows(machines: "list[Machine]", now: datetime.datetime) -> list[list[Cell]]:
    return [[*map(Cell, _machine_row(each, now))] for each in machines[:_SHOWN_MACHINES]]


def _machine_row(machine: "Machine", now: datetime.datetime) -> Iterator[str]:
    yield settled(machine.name)
    yield settled(machine.tenant)
    yield settled(machine.user_name)
    yield "never" if machine.pushed_at is None else age(_ms(machine.pushed_at), _ms(now))
    yield f"{machine.pending:,}"
    yield settled(machine.level)
    yield f"{machine.epoch:,}"
    yield settled(machine.version)


def _table_row(of: "Table") -> list[Cell]:
    sizes = f"{amount(of.table_bytes)}B", f"{amount(of.index_bytes)}B"
    values = (of.name, str(of.partitions or ""), f"{of.rows:,}", f"{of.dead:,}", *sizes)
    return [*map(Cell, values)]


def _ms(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1000)


def _time(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else iso(_ms(moment))


def _document(found: "FleetStatus") -> dict[str, Any]:
    return {
        **findings.document("fleet status", found.findings),
        "database": found.database,
        "server": found.server,
        "schema": found.revision,
        "databaseBytes": found.database_bytes,
        "threads": found.threads,
        "machines": [
            {
                "tenant": machine.tenant,
                "name": machine.name,
                "user": machine.user_name or None,
                "role": machine.role_name,
                "host": machine.host or None,
                "level": machine.level or None,
                "version": machine.version or None,
                "epoch": machine.epoch,
                "pending": machine.pending,
                "pushedAt": _time(machine.pushed_at),
                "revokedAt": _time(machine.revoked_at),
            }
            for machine in found.machines
        ],
        "readers": [
            {
                "tenant": reader.tenant,
                "name": reader.name,
                "createdAt": _time(reader.created_at),
                "revokedAt": _time(reader.revoked_at),
            }
            for reader in found.readers
        ],
        "tables": [
            {
                "name": of.name,
                "partitions": of.partitions,
                "rows": of.rows,
                "deadRows": of.dead,
                "tableBytes": of.table_bytes,
                "indexBytes": of.index_bytes,
            }
            for of in found.tables
        ],
        "slowestQueries": None
        if found.slowest is None
        else [
            {
                "query": slow.query,
                "calls": slow.calls,
                "meanMs": round(slow.mean_ms, 3),
                "totalMs": round(slow.total_ms, 3),
            }
            for slow in found.slowest
        ],
    }
