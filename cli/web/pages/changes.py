"""Changes of threads: the forms that ask for them, and the changes, by POST."""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.render.labels import label
from cli.terminal.text import one_line
from cli.web.changing import CHANGES, Change, Undos
from cli.web.errors import is_part, wants_json
from cli.web.pages.threads import catalog_of
from cli.web.site import fragment, page, site_of
from rollout.files.layout import parse_uuid
from state.errors import ThreadNotFound
from state.query.marks import NO_MARKS, marks_steps
from state.query.rows import Row
from state.query.thread_json import display_name
from state.thread_index import ThreadIndex
from state.userdata.marks import STATUSES

_UNDO: Final = "undo"
_NOT_HERE: Final = (
    "Threads cannot be changed here. To change them, run: threadkeep web --allow-changes"
)
_TOO_LATE: Final = (
    "This change cannot be undone any more: it was undone already, or threadkeep was started again"
    " since."
)


async def forms(request: Request) -> Response:
    """What can be changed of a thread: a page, or a part of one for a script."""
    if not site_of(request).allow_changes:
        raise HTTPException(HTTPStatus.FORBIDDEN, _NOT_HERE)
    index, row = await _thread(request)
    marks = (await index.database.query(marks_steps([row["id"]]))).get(row["id"], NO_MARKS)
    known, _ = await catalog_of(request).of(index)
    values: dict[str, Any] = {
        "row": row,
        "marks": marks,
        "title": one_line(label(row)) or row["id"],
        "name": display_name(row) or "",
        "statuses": STATUSES,
        "known_tags": [tag for tag in known.tags if tag not in marks.tags],
    }
    if is_part(request):
        return await fragment(request, "_change.html", **values)
    return await page(request, "change.html", current="threads", **values)


async def change(request: Request, *, action: str) -> Response:
    """Change a thread. A form gets a page that says what was done, a script JSON."""
    index, row = await _thread(request)
    fields = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    undos = _undos(request)
    if action == _UNDO:
        done = await undos.undo(index, row["id"], fields.get("undo", ""))
        if done is None:
            raise HTTPException(HTTPStatus.CONFLICT, _TOO_LATE)
    else:
        done = await CHANGES[action](Change(index, site_of(request).here, row, fields))
    catalog_of(request).outdate()
    undo = undos.keep(row["id"], done)
    if wants_json(request):
        return JSONResponse({"told": done.told, "undo": undo})
    values: dict[str, Any] = {"row": row, "told": done.told, "undo": undo}
    return await page(request, "changed.html", current="threads", **values)


async def _thread(request: Request) -> tuple[ThreadIndex, Row]:
    index = (await site_of(request).kept.store()).index
    id_ = parse_uuid(request.path_params["id"])
    if id_ is None:
        raise ThreadNotFound(request.path_params["id"])
    return index, await index.thread(id_)


def _undos(request: Request) -> Undos:
    state = request.app.state
    if not hasattr(state, "undos"):
        state.undos = Undos()
    undos: Undos = state.undos
    return undos


ROUTES: Final[Sequence[Route]] = (
    Route("/thread/{id}/change", forms),
    *(
        Route(f"/thread/{{id}}/{action}", partial(change, action=action), methods=["POST"])
        for action in (*CHANGES, _UNDO)
    ),
)
