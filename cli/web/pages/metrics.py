"""Numbers for Prometheus, in its text format."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli import __version__
from cli.web.site import site_of
from state.db.job_table import BACKFILL, FLEET, FULLTEXT
from state.db.steps import Steps
from state.sync.status import status_steps

_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_JOBS: Final = (("backfill", BACKFILL), ("fulltext", FULLTEXT))
_PUSH: Final = "SELECT joined, pushed_at_ms, (SELECT count(*) FROM fleet_outbox) FROM fleet_state"
_STATUSES: Final = ("pending", "running", "complete")
Labels = Mapping[str, str]


class Metric(NamedTuple):
    """A number that has been measured now, once or for several labels."""

    name: str
    help: str
    samples: Sequence[tuple[Labels, float]]


_INFO: Final = Metric("info", "The version of threadkeep.", [({"version": __version__}, 1)])
_MOST_MACHINES: Final = 200
"""Machines that have numbers of their own: those that have not pushed for the longest time."""


async def metrics(request: Request) -> Response:
    """All of them. If the index cannot be read the answer is an error, as for every page: then
    Prometheus has ``up`` 0."""
    site = site_of(request)
    index = (await site.kept.store()).index
    steps = _fleet_steps() if site.is_fleet else _index_steps(site.here.index)
    found = await index.database.query(steps)
    return Response(text_of(found), media_type=_TYPE)


def text_of(metrics: Sequence[Metric]) -> str:
    """Metrics as Prometheus reads them; one without a sample is left out."""
    return "".join(line for metric in metrics if metric.samples for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    name = f"threadkeep_{metric.name}"
    yield f"# HELP {name} {metric.help}\n# TYPE {name} gauge\n"
    for labels, value in metric.samples:
        pairs = ",".join(f'{key}="{text.translate(_ESCAPED)}"' for key, text in labels.items())
        yield f"{name}{{{pairs}}} {value}\n" if pairs else f"{name} {value}\n"


def _index_steps(path: Path) -> Steps[list[Metric]]:
    """What is measured of an index, which is at that path."""
    status = yield from status_steps(path)
    jobs = []
    (joined, pushed_at_ms, outbox), *_ = yield _PUSH, []
    for job, table in (*_JOBS, *([("push", FLEET)] if joined else ())):
        ((now,),) = yield f"SELECT status FROM {table.name}", []
        jobs += [({"job": job, "status": each}, int(each == now)) for each in _STATUSES]
    unarchived = status.threads - status.archived
    return [
        _INFO,
        Metric(
            "threads",
            "Threads in the index.",
            [({"archived": "no"}, unarchived), ({"archived": "yes"}, status.archived)],
        ),
        Metric(
            "files",
            "Rollout files by what the index makes of them.",
            [({"bucket": bucket}, count) for bucket, count in sorted(status.buckets.items())],
        ),
        Metric("index_bytes", "The size of the index.", [({}, status.index_bytes)]),
        Metric("job_status", "1 for the status that a job of the index has.", jobs),
        Metric(
            "backfill_files",
            "Files of the last backfill.",
            [
                ({"state": "done"}, status.backfill.files_done),
                ({"state": "found"}, status.backfill.files_total),
            ],
        ),
        Metric(
            "fulltext_pending_threads",
            "Threads that changed since their messages were indexed.",
            [({}, status.fulltext_pending)],
        ),
        Metric(
            "push_outbox_threads",
            "Threads that are still to be pushed into the fleet.",
            [({}, outbox)] if joined else [],
        ),
        Metric(
            "push_timestamp_seconds",
            "When the fleet had all that this machine pushes, the last time; 0 if never.",
            [({}, pushed_at_ms / 1000)] if joined else [],
        ),
    ]


def _fleet_steps() -> Steps[list[Metric]]:
    """What is measured of a fleet."""
    from state.fleet.machines import database_steps, machines_steps

    count, machines = yield from machines_steps(_MOST_MACHINES)
    database = yield from database_steps()
    labels = [{"machine": each.name, "user": each.user} for each in machines]
    pushed = zip(labels, machines, strict=True)
    return [
        _INFO,
        Metric("fleet_machines", "Machines that may push.", [({}, count)]),
        Metric(
            "fleet_machine_push_timestamp_seconds",
            "When a machine pushed last: 0 if it has not yet.",
            [(names, (each.pushed_at_ms or 0) / 1000) for names, each in pushed],
        ),
        Metric(
            "fleet_machine_pending_threads",
            "Threads that a machine had still to push then.",
            [(names, each.pending) for names, each in zip(labels, machines, strict=True)],
        ),
        Metric("fleet_database_bytes", "The size of the database.", [({}, database.size_bytes)]),
        Metric(
            "fleet_database_connections",
            "Connections that the database has.",
            [({}, database.connections)],
        ),
    ]


ROUTES: Final[Sequence[Route]] = (Route("/metrics", metrics),)
