"""The state of the index, and what to do. Nothing is repaired from here."""

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.arguments.locations import Locations
from cli.render.health.status import backfill_text, files_text, problem_lines
from cli.runtime.examination import examine
from cli.terminal.findings import summary
from cli.terminal.text import amount, duration, local, plural
from cli.web.errors import Problem, fault_of, is_part, problem_of
from cli.web.site import Site, fragment, page, site_of
from rollout.errors import RolloutError
from state.db.steps import Steps
from state.errors import StateError
from state.sync.status import Status, problems_steps, status_steps

_SHOWN: Final = 20
_MACHINES: Final = 500
"""Machines of a fleet that the page has."""


async def health(request: Request) -> Response:
    """The page. What takes longer its script asks for, or a reader with ``?checks=1``."""
    site = site_of(request)
    if site.is_fleet:
        return await page(request, "health/fleet.html", current="health", **await _fleet(site))
    here = site.here
    checks = await asyncio.to_thread(lambda: [*examine(here)]) if _asks(request, "checks") else None
    values = {**await _state(site), **_verification(site), "checks": checks}
    return await page(request, "health.html", current="health", **values)


async def state(request: Request) -> Response:
    """The state of the index, which a page asks for again while it changes."""
    _check_home(request)
    return await fragment(request, "health/state.html", **await _state(site_of(request)))


async def checks(request: Request) -> Response:
    """What ``doctor`` finds."""
    _check_home(request)
    here = site_of(request).here
    found = await asyncio.to_thread(lambda: [*examine(here)])
    return await fragment(request, "health/checks.html", checks=found)


async def verification(request: Request) -> Response:
    """What ``verify`` has found so far; with ``?start=1`` it begins anew, for a script of ours: a
    link may be that of another site."""
    _check_home(request)
    site = site_of(request)
    if _asks(request, "start") and is_part(request):
        site.verification.start(site.here)
    return await fragment(request, "health/verification.html", **_verification(site))


async def progress(request: Request) -> Response:
    """How far the index is, for the line at the head of open pages."""
    return JSONResponse({"incomplete": await site_of(request).kept.incomplete()})


async def _fleet(site: Site) -> dict[str, Any]:
    """The values of ``health/fleet.html``."""
    from state.fleet.machines import database_steps, machines_steps

    index = (await site.kept.store()).index
    count, machines = await index.database.query(machines_steps(_MACHINES))
    database = await index.database.query(database_steps())
    return {"count": count, "machines": machines, "database": database}


def _check_home(request: Request) -> None:
    """Refuse the request if there is none: the files of a fleet are not here."""
    if site_of(request).is_fleet:
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _asks(request: Request, name: str) -> bool:
    return bool(request.query_params.get(name))


async def _state(site: Site) -> dict[str, Any]:
    """The values of ``health/state.html``."""
    here = site.here
    try:
        index = (await site.kept.store()).index
        status, problems = await index.database.query(_status_steps(here))
    except (RolloutError, StateError) as error:
        site.kept.note_lost(error)
        problem = problem_of(error)
        return {"failure": problem, "lines": (), "problems": (), "cut": False, "changes": True}
    found = [line for problem in problems[:_SHOWN] for line in problem_lines(problem)]
    return {
        "failure": None,
        "lines": [*_lines(here, status)],
        "problems": found,
        "cut": len(problems) > _SHOWN,
        "changes": status.backfill.status != "complete" or status.fulltext_pending > 0,
    }


def _status_steps(here: Locations) -> Steps[tuple[Status, list[dict[str, Any]]]]:
    problems = yield from problems_steps(_SHOWN + 1)
    status = yield from status_steps(here.index)
    return status, problems


def _lines(here: Locations, status: Status) -> Sequence[tuple[str, str]]:
    """What ``status`` says, each with its label."""
    job, pending = status.backfill, status.fulltext_pending
    archived = f", {status.archived:,} of them archived" if status.archived else ""
    lines = [
        ("Home", str(here.home)),
        ("Index", f"{here.index} ({amount(status.index_bytes)}B)"),
        ("Threads", f"{status.threads:,}{archived}"),
        ("Files", files_text(status.buckets)),
        ("Backfill", backfill_text(job, time.time_ns() // 1_000_000, local)),
        ("Search", f"{plural(pending, 'thread')} still to index" if pending else "up to date"),
    ]
    return [*lines, ("Last error", job.last_error)] if job.last_error else lines


def _verification(site: Site) -> dict[str, Any]:
    """The values of ``health/verification.html``."""
    last = site.verification
    return {
        "verification": last,
        "verified": summary(last.found),
        "took": duration(last.seconds),
        "unverified": _unverified(last.error),
    }


def _unverified(error: Exception | None) -> Problem | None:
    """Why there is no verification."""
    if error is None:
        return None
    return problem_of(error) if isinstance(error, RolloutError | StateError) else fault_of(error)


ROUTES: Final[Sequence[Route]] = (
    Route("/health", health),
    Route("/health/state", state),
    Route("/health/checks", checks),
    Route("/health/verification", verification),
    Route("/health/progress", progress),
)
