"""What a page says that cannot be shown: what is wrong, and what to do."""

import errno
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from cli.errors import NOT_FOUND, USAGE, outcome
from cli.render.labels import label
from cli.web.site import Site, site_of, theme_of
from rollout.errors import HomeNotFound, NotACodexHome, RolloutError, TurnNotFound, WriterActive
from rollout.files.layout import parse_uuid
from state import errors
from state.errors import AmbiguousThread, FileUnusable, StateError

_log = logging.getLogger("threadkeep.web")
_CONFLICTS: Final = (
    errors.AlreadyArchived,
    errors.HasDependents,
    errors.NotArchived,
    errors.TargetExists,
    errors.ThreadArchived,
    errors.ThreadExists,
    WriterActive,
)
_HINTS: Final = {
    errors.AlreadyArchived: "",
    errors.EmptySearch: 'Give words, beginnings of words (word*) or "phrases".',
    errors.InvalidMark: "",
    errors.InvalidName: "",
    errors.NotArchived: "",
    errors.ThreadArchived: "Unarchive it first.",
    HomeNotFound: "Pages come back with it. To read another one: threadkeep --home DIR web",
    TurnNotFound: "",
    errors.ThreadNotFound: "Search for a word that was said in it, or look through all threads.",
}
"""What to do on a page, where a command says something else."""
_LATER: Final = (HomeNotFound, NotACodexHome, errors.IndexMissing, errors.IndexUnavailable)


class Link(NamedTuple):
    """Where to go on."""

    href: str
    text: str


class Choice(NamedTuple):
    """A thread that may be meant."""

    id: str
    title: str
    about: str


@dataclass(frozen=True)
class Problem:
    """An error for people."""

    status: HTTPStatus
    title: str
    message: str
    hint: str = ""
    link: Link | None = None
    choices: Sequence[Choice] = ()
    kind: str = "error"

    @classmethod
    def busy(cls, message: str) -> "Problem":
        """Too much is asked for at once."""
        return cls(HTTPStatus.SERVICE_UNAVAILABLE, "Not now", message, kind="busy")


_LONGEST: Final = 600
"""Characters of a sentence: an error may name what somebody has asked for."""
_LIST: Final = Link("/", "All threads")


def problem_of(error: RolloutError | StateError) -> Problem:
    """How an error is shown."""
    found = outcome(error)
    message, link = _sentence(str(error)), None
    hint = _HINTS.get(type(error), _sentence(found.hint))
    if isinstance(error, errors.ThreadUnreadable) and (id_ := parse_uuid(error.reference)):
        hint = f"threadkeep explain {id_} shows what is wrong with it."
    choices: list[Choice] = []
    status, title = HTTPStatus.INTERNAL_SERVER_ERROR, "This cannot be shown"
    if isinstance(error, AmbiguousThread):
        status, title = HTTPStatus.MULTIPLE_CHOICES, "Which thread?"
        message, hint = _sentence(error.summary), ""
        about = "{} in {}"
        choices = [
            Choice(row["id"], label(row), about.format(row["id"], row["cwd"] or "no folder"))
            for row in error.rows
        ] or [Choice(id_, id_, "") for id_ in error.ids]
    elif isinstance(error, _LATER) or found.retryable:
        status, title = HTTPStatus.SERVICE_UNAVAILABLE, "Not now"
        link = Link("", "Try again")
    elif found.status == NOT_FOUND:
        status, title, link = HTTPStatus.NOT_FOUND, "Not found", _LIST
        if isinstance(error, TurnNotFound):
            link = Link("?", "All of the thread")
    elif found.status == USAGE:
        status, title = HTTPStatus.BAD_REQUEST, "This cannot be answered"
        if isinstance(error, errors.InvalidMark | errors.InvalidName):
            title = "Nothing was changed"
        if isinstance(error, errors.InvalidCursor):
            message = _sentence(f"this address cannot be followed: {error.reason}")
            hint, link = "", Link("?", "Start from the beginning")
    if isinstance(error, FileUnusable) and error.reason == os.strerror(errno.ENOENT):
        status, title, link, hint = HTTPStatus.NOT_FOUND, "Not found", _LIST, ""  # deleted just now
    if isinstance(error, _CONFLICTS):
        status, title = HTTPStatus.CONFLICT, "Nothing was changed"
    return Problem(status, title, message, hint, link, choices, found.kind)


def fault_of(error: Exception) -> Problem:
    """How a failure of our code is shown."""
    message = f"threadkeep failed here: {type(error).__name__}."
    hint = "The terminal in which threadkeep web runs shows more."
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return Problem(status, "A fault of threadkeep", message, hint, _LIST)


def _sentence(text: str) -> str:
    """A text of the command line as a sentence; a command that begins it stays as it is typed."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    if not text.startswith("threadkeep "):
        text = f"{text[:1].upper()}{text[1:]}"
    return text if text.endswith((".", "…", "?")) else f"{text}."


def refused(site: Site, status: HTTPStatus, reason: str) -> bytes:
    """The page for a request that is refused before any page is asked."""
    problem = Problem(status, status.phrase, reason)
    if status == HTTPStatus.UNAUTHORIZED:
        hint = "Run threadkeep web, and open the address that it prints."
        link = Link("", "Coming from another site? Go on here")
        problem = Problem(status, "Come in by the address", reason, hint, link)
    return site.render("refused.html", {"problem": problem}).encode()


def wants_json(request: Request) -> bool:
    """Whether a script asks that reads JSON."""
    return "application/json" in request.headers.get("accept", "")


def is_part(request: Request) -> bool:
    """Whether a script asks, which puts the answer into a page. Where a browser reaches us by the
    name of another machine it does not say so: then only a script asks for HTML alone."""
    destination = request.headers.get("sec-fetch-dest")
    if destination is None:
        return request.headers.get("accept") == "text/html"
    return destination not in ("document", "iframe")


def answer(request: Request, problem: Problem) -> Response:
    """The problem as a page; as a part of one or as JSON where a script asks."""
    site, status = site_of(request), problem.status.value
    headers = {"retry-after": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    if wants_json(request):
        fields = {"kind": problem.kind, "message": problem.message, "hint": problem.hint}
        return JSONResponse({"error": fields}, status, headers)
    template = "problem.html" if is_part(request) else "error.html"
    values = {"problem": problem, "theme": theme_of(request)}
    return HTMLResponse(site.render(template, values), status, headers)


async def on_error(request: Request, error: Exception) -> Response:
    """The answer where a handler raised an error of ours, or one of the system about a file."""
    if isinstance(error, OSError):
        error = FileUnusable.of(error, Path(str(error.filename or site_of(request).here.home)))
    if not isinstance(error, RolloutError | StateError):
        raise error
    site_of(request).kept.note_lost(error)
    return answer(request, problem_of(error))


async def on_http(request: Request, error: Exception) -> Response:
    """The answer for an address or a method that no page has."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    message = error.detail if error.detail != status.phrase else "There is no such page"
    return answer(request, Problem(status, status.phrase, _sentence(message), link=_LIST))


async def on_fault(request: Request, error: Exception) -> Response:
    """The answer where our code failed: the log has the traceback, the page has none."""
    _log.error("a page failed: %s", request.url.path, exc_info=error)
    return answer(request, fault_of(error))


HANDLERS: Final[Mapping[Any, Any]] = {
    RolloutError: on_error,
    StateError: on_error,
    OSError: on_error,
    HTTPException: on_http,
    Exception: on_fault,
}
