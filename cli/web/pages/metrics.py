"""Numbers for Prometheus, in its text format."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli import __version__
from cli.web.site import site_of
from state.db.job_table import BACKFILL, FULLTEXT
from state.db.steps import Steps
from state.sync.status import status_steps

_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_JOBS: Final = (("backfill", BACKFILL), ("fulltext", FULLTEXT))
_STATUSES: Final = ("pending", "running", "complete")
Labels = Mapping[str, str]


class Metric(NamedTuple):
    """A number that has been measured now, once or for several labels."""

    name: str
    help: str
    samples: Sequence[tuple[Labels, float]]


async def metrics(request: Request) -> Response:
    """All of them. If the index cannot be read the answer is an error, as for every page: then
    Prometheus has ``up`` 0."""
    site = site_of(request)
    index = (await site.kept.store()).index
    found = await index.database.query(_index_steps(site.here.index))
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
    for job, table in _JOBS:
        ((now,),) = yield f"SELECT status FROM {table.name}", []
        jobs += [({"job": job, "status": each}, float(each == now)) for each in _STATUSES]
    unarchived = status.threads - status.archived
    return [
        Metric("info", "The version of threadkeep.", [({"version": __version__}, 1)]),
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
    ]


ROUTES: Final[Sequence[Route]] = (Route("/metrics", metrics),)
