"""Verify and repair an index from a test."""

import asyncio
from pathlib import Path

from state.checks.findings import Finding, Findings
from state.query.model import Query
from state.repair.plan import Plan
from state.repair.repair import make_plan, repair
from state.repair.verify import Depth, verify
from state.thread_index import open_index
from tests.support.indexes import empty_index


def verified(home: Path, index: Path, *, deep: bool = True) -> Findings:
    """All that verifying finds."""
    found = Findings(keep=10_000)
    asyncio.run(verify(home, index, found.add, depth=Depth() if deep else None))
    return found


def codes(findings: Findings) -> dict[str, int]:
    """What a check found, by code; notes left out."""
    return {
        code: count
        for code, count in sorted(findings.by_code.items())
        if any(f.kind.code == code and f.kind.severity != "note" for f in findings.kept)
    }


def the(findings: Findings, code: str) -> Finding:
    """The one finding of a kind."""
    (found,) = [finding for finding in findings.kept if finding.kind.code == code]
    return found


def planned(home: Path, index: Path) -> Plan:
    """What repairing would do, by the deep check."""
    return asyncio.run(make_plan(home, index, deep=True))


def repaired(home: Path, index: Path) -> Path | None:
    """Repair by the deep check: where the index as it was before is."""
    return asyncio.run(repair(home, index, deep=True))[1]


def synced(home: Path, index: Path) -> None:
    """Bring the index in step."""
    empty_index(index)

    async def work() -> None:
        async with open_index(home, index) as opened:
            await opened.catch_up()

    asyncio.run(work())


def listed(home: Path, index: Path) -> set[str]:
    """The ids of all threads that lists can show, active or archived."""

    async def work() -> set[str]:
        async with open_index(home, index) as opened:
            pages = [
                await opened.page(Query(all_sources=True, archived=archived, limit=100))
                for archived in (False, True)
            ]
        return {row["id"] for page in pages for row in page.rows}

    return asyncio.run(work())
