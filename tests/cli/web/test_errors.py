"""What bad input and bad places get on a page: what is wrong, what to do, and the right status."""

import asyncio
import errno
import html
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli.arguments.locations import Locations
from cli.web.errors import problem_of
from cli.web.pages import threads
from cli.web.site import site_of
from rollout.errors import HistoryIncomplete, HomeNotFound, RolloutError, WriterActive
from state import errors
from state.errors import StateError
from state.jobs.lease import Owner
from tests.cli.web.support import SCRIPT, Web, small_home, web
from tests.support.command import thread_id

OURS = {**SCRIPT, "sec-fetch-site": "same-origin"}
JSON = {**OURS, "accept": "application/json"}


def ask(here: Locations, work: Callable[[Web], Awaitable[Any]]) -> Any:
    """What ``work`` gives with a client."""

    async def run() -> Any:
        async with web(here) as client:
            return await work(client)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ThreadNotFound("abc"), 404),
        (errors.ThreadInTrash("abc", thread_id(1), 0), 404),
        (errors.ThreadUnreadable("abc", "x.jsonl", "it is empty", 0), 500),
        (errors.AmbiguousThread("019a", [thread_id(1), thread_id(2)]), 300),
        (errors.InvalidCursor("zzz", "its letters"), 400),
        (errors.InvalidQuery("no such day"), 400),
        (errors.EmptySearch(), 400),
        (errors.IndexBusy(Path("/i"), 1), 503),
        (errors.IndexMissing(Path("/i")), 503),
        (errors.IndexDamaged(Path("/i"), "it is empty"), 500),
        (errors.IndexNotWritable(Path("/i"), "read-only"), 503),
        (errors.IndexTooNew(Path("/i"), "v9999", "v0001"), 500),
        (errors.LeaseHeld("somebody", 0), 503),
        (errors.AlreadyArchived(thread_id(1)), 409),
        (errors.InvalidName("it is empty"), 400),
        (errors.FileUnusable(Path("/r.jsonl"), "no permission"), 500),
        (errors.FileUnusable(Path("/r.jsonl"), os.strerror(errno.ENOENT)), 404),
        (WriterActive(thread_id(1), "codex"), 409),
        (HomeNotFound(Path("/h")), 503),
        (HistoryIncomplete(Path("/r.jsonl"), "its base is missing"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_has_a_status_and_two_sentences(
    error: RolloutError | StateError, status: int
) -> None:
    problem = problem_of(error)
    assert problem.status == status
    assert problem.message[0].isupper() or not problem.message[0].isalpha()
    assert not problem.hint.startswith("Threadkeep ")
    assert problem.message.endswith(".")
    assert problem.hint or problem.link or problem.choices or status in (400, 409)


def test_a_home_that_is_gone_is_said_on_pages_in_parts_and_to_scripts(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def look(client: Web) -> None:
        assert (await client.get("/")).status_code == 200
        here.home.rename(tmp_path / "aside")
        page = await client.get("/")
        assert page.status_code == 503
        assert page.headers["retry-after"] == "1"
        assert f"No Codex home at {here.home}" in page.text
        assert "Try again" in page.text
        assert "<html" in page.text
        part = await client.get("/threads", headers=OURS)
        assert part.status_code == 503
        assert "<html" not in part.text
        assert f"No Codex home at {here.home}" in part.text
        told = (await client.get("/complete?q=a", headers=JSON)).json()["error"]
        assert told["kind"] == "home_not_found"
        assert told["hint"]
        (tmp_path / "aside").rename(here.home)
        again = await client.get("/")
        assert again.status_code == 200
        assert "prompt 3" in again.text

    ask(here, look)


def test_a_cursor_that_is_none_is_refused(tmp_path: Path) -> None:
    async def look(client: Web) -> None:
        for cursor in ("zzz", "é", "%00", "x" * 4000):
            answer = await client.get(f"/threads?cursor={cursor}", headers=OURS)
            assert answer.status_code == 400
            assert "This address cannot be followed" in answer.text
            assert "from the beginning" in answer.text

    ask(small_home(tmp_path), look)


def test_threads_that_are_not_there_or_not_any_more(tmp_path: Path) -> None:
    here = small_home(tmp_path, 5)
    urls = [f"/thread/{thread_id(number)}" for number in range(6)]

    async def look(client: Web) -> None:
        async def told(url: str) -> tuple[int, str]:
            answer = await client.get(url, headers=OURS)
            return answer.status_code, html.unescape(answer.text)

        assert (await told("/thread/nothing"))[0] == 404
        assert (await told("/thread/%00"))[0] == 404
        assert (await told(f"{urls[1]}/raw"))[0] == 404
        status, text = await told("/thread/" + "x" * 5000)
        assert status == 404
        assert len(text) < 2000
        status, text = await told("/thread/019a0000")
        assert status == 300
        assert all(f'href="{url}"' in text for url in urls[1:])
        status, text = await told(f"{urls[1]}?turn=99")
        assert (status, "All of the thread" in text) == (404, True)
        for address in ("?from=zz", "?turn=x", "/block?turn=0.0.0.x&block=9.9"):
            status, text = await told(urls[1] + address)
            assert (status, "This address cannot be followed" in text) == (400, True)

        for number, left in ((2, None), (3, b""), (4, b"\x00garbage" * 900)):
            assert (await told(urls[number]))[0] == 200
            (path,) = here.home.rglob(f"*{thread_id(number)}.jsonl")
            path.unlink()
            if left is not None:
                path.write_bytes(left)
            for part in ("", "/turns", "/outline", "/search?q=prompt"):
                status, text = await told(urls[number] + part)
                assert status == (404 if left is None else 500)
                assert ("No thread matches" if left is None else "Nothing can be read") in text
                if left is not None:
                    assert f" explain {thread_id(number)}</code>" in text
            assert f"prompt {number}" not in (await told("/"))[1]

    ask(here, look)


def test_an_index_that_another_process_fills_is_said(tmp_path: Path) -> None:
    here = small_home(tmp_path)
    with closing(sqlite3.connect(here.index)) as connection, connection:
        connection.execute(
            "UPDATE backfill_state SET status = 'running', owner = ?, fence = fence + 1,"
            " lease_expires_at_ms = ?, files_total = 7, files_done = 2",
            [Owner.this_process().to_json(), int((time.time() + 900) * 1000)],
        )

    async def look(client: Web) -> None:
        page = await client.get("/")
        assert "Indexing: 2 of 7 files so far." in page.text
        assert "prompt 3" in page.text

    ask(here, look)


def test_a_damaged_index_is_made_again_while_pages_are_read(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def look(client: Web) -> None:
        assert "prompt 3" in (await client.get("/")).text
        for path in here.index.parent.glob("index.sqlite3*"):
            if path.suffix != ".lock":
                path.write_bytes(b"no database" * 1000)
        statuses = set()
        while True:
            answer = await client.get("/")
            statuses.add(answer.status_code)
            if answer.status_code == 200 and "prompt 3" in answer.text:
                break
            await asyncio.sleep(0.05)
        assert statuses <= {200, 500, 503}

    ask(here, look)


def test_a_fault_of_ours_shows_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(request: Request) -> Response:
        raise ZeroDivisionError("a secret of the code")

    async def file_gone(request: Request) -> Response:
        raise FileNotFoundError(2, "No such file or directory", str(site_of(request).here.home))

    more = (Route("/fails", fails), Route("/gone", file_gone))
    monkeypatch.setattr(threads, "ROUTES", (*threads.ROUTES, *more))

    async def look(client: Web) -> None:
        answer = await client.get("/fails")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert "ZeroDivisionError" in answer.text
        assert answer.headers["content-security-policy"]
        assert [record.name for record in caplog.records if record.exc_info] == ["threadkeep.web"]
        answer = await client.get("/gone")
        assert answer.status_code == 404
        assert "No such file or directory" in answer.text
        missing = await client.get("/no/such/page")
        assert missing.status_code == 404
        assert "There is no such page." in missing.text
        assert (await client.post("/")).status_code == 403

    ask(small_home(tmp_path), look)
